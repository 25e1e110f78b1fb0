//! What is installed: the files, the installer's manners, the units' and the catalog's text.
#![expect(clippy::expect_used, reason = "a test stops at the first thing that does not work")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");

#[test]
fn a_staged_installation_holds_every_file_and_is_taken_away_whole() {
    let stage = tempfile::tempdir().expect("a temporary folder can be made");
    let destdir = stage.path().to_str().expect("it is UTF-8");

    let done = install(&["--prefix", "/opt/tools", "--destdir", destdir, "--binary", PROGRAM]);
    assert!(done.status.success(), "{done:?}");
    let tools = stage.path().join("opt/tools");
    for file in [
        "bin/tmux-janitor",
        "libexec/tmux-janitor-audit",
        "lib/systemd/user/tmux-janitor.service",
        "lib/systemd/user/tmux-janitor.timer",
        "lib/systemd/user-preset/90-tmux-janitor.preset",
        "lib/systemd/catalog/tmux-janitor.catalog",
        "share/tmux-janitor/no-user-namespaces.conf",
        "share/man/man1/tmux-janitor.1",
        "share/bash-completion/completions/tmux-janitor",
        "share/zsh/site-functions/_tmux-janitor",
        "share/fish/vendor_completions.d/tmux-janitor.fish",
    ] {
        let length = fs::metadata(tools.join(file)).map(|about| about.len()).unwrap_or_default();
        assert!(length > 0, "{file} is missing or empty");
    }
    let service = read(&tools.join("lib/systemd/user/tmux-janitor.service"));
    assert!(service.contains("\nExecStart=/opt/tools/bin/tmux-janitor sweep\n"), "{service}");

    let done = install(&["--prefix", "/opt/tools", "--destdir", destdir, "--uninstall"]);
    assert!(done.status.success(), "{done:?}");
    let left: Vec<_> = fs::read_dir(stage.path()).expect("it is still there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn uninstalling_leaves_what_was_there_before() {
    let stage = tempfile::tempdir().expect("a temporary folder can be made");
    let destdir = stage.path().to_str().expect("it is UTF-8");
    let (empty, foreign) = (stage.path().join("usr/bin"), stage.path().join("usr/share/man/man1"));
    fs::create_dir_all(&empty).expect("a folder can be made");

    install(&["--prefix", "/usr", "--destdir", destdir, "--binary", PROGRAM]);
    fs::write(foreign.join("other.1"), "somebody else's").expect("the folder was installed");
    install(&["--prefix", "/usr", "--destdir", destdir, "--uninstall"]);

    let mut left = vec![];
    walk(stage.path(), &mut left);
    let left: BTreeSet<_> =
        left.iter().map(|path| path.strip_prefix(stage.path()).expect("it lies below")).collect();
    let expected =
        ["usr", "usr/bin", "usr/share", "usr/share/man", "usr/share/man/man1", "usr/share/man/man1/other.1"];
    assert_eq!(left, expected.map(Path::new).into());
}

#[test]
fn bad_usage_ends_with_2_and_one_sentence() {
    for arguments in [
        &[][..],
        &["--now"],
        &["--user", "--prefix", "/usr"],
        &["--user", "--destdir", "/nowhere"],
        &["--user", "--system"],
        &["--user", "--binary", "/nowhere/tmux-janitor"],
        &["--user", "--uninstall", "--now"],
        &["--user", "extra"],
        &["--prefix"],
        &["--prefix", "relative"],
        &["--prefix", "/with blank"],
        &["--prefix", "/usr", "--destdir", "/nowhere", "--now"],
        &["--prefix", "/opt/tools", "--now"],
        &["--prefix", "/usr", "--frobnicate"],
    ] {
        let Output { status, stdout, stderr } = install(arguments);
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            stdout.is_empty() && said.lines().count() == 1 && said.ends_with(".\n"),
            "{arguments:?}: {said}"
        );
    }
    assert!(install(&["--help"]).status.success());
}

/// systemd.exec(5): what would hide servers from the sweep, or the user from the service.
#[test]
fn no_unit_shuts_out_what_a_sweep_must_see() {
    let banned = [
        "PrivateTmp=",
        "PrivateNetwork=",
        "NetworkNamespacePath=",
        "DynamicUser=",
        "ProtectProc=",
        "ProcSubset=",
        "RootDirectory=",
        "PrivatePIDs=",
        "ProtectHome=yes",
        "ProtectHome=tmpfs",
        "InaccessiblePaths=",
        "TemporaryFileSystem=",
    ];
    let units = units();
    assert!(units.len() >= 2, "{units:?}");
    for unit in units {
        for line in read(&unit).lines() {
            assert!(!banned.iter().any(|word| line.starts_with(word)), "{}: {line}", unit.display());
        }
    }
}

/// Whoever holds a start lock and gets no processor makes that start wait.
#[test]
fn no_unit_has_a_sweep_wait_for_others_with_locks_in_its_hands() {
    let banned =
        ["Nice=", "CPUScheduling", "CPUWeight=", "StartupCPUWeight=", "CPUShares=", "CPUQuota=", "Slice="];
    for unit in units() {
        for line in read(&unit).lines() {
            assert!(!banned.iter().any(|word| line.starts_with(word)), "{}: {line}", unit.display());
        }
    }
}

#[test]
fn every_oneshot_is_ordered_before_the_spawner() {
    for unit in units() {
        let text = read(&unit);
        if text.contains("\nType=oneshot\n") {
            assert!(text.contains("\nBefore=forge-post-boot-sessions.service\n"), "{}", unit.display());
        }
    }
}

/// The format: <https://systemd.io/CATALOG>.
#[test]
fn the_catalog_explains_every_event_with_fields_that_exist() {
    let catalog = read(&Path::new(REPOSITORY).join("packaging/catalog/tmux-janitor.catalog"));
    let fields = ["SOCKET", "LABEL", "DIR", "UID", "STATE", "REASON", "OUTCOME", "SERVER_PID", "ERROR"];
    let mut ids = BTreeSet::new();
    for entry in catalog.split("\n-- ").skip(1) {
        let (head, text) = entry.split_once("\n\n").expect("an empty line ends the head");
        let (id, head) = head.split_once('\n').expect("the head has lines");
        assert!(is_id(id), "{id}");
        for key in
            ["Subject: ", "Defined-By: tmux-janitor", "Support: ", "Documentation: man:tmux-janitor(1)"]
        {
            assert!(head.lines().any(|line| line.starts_with(key)), "{id} lacks {key}");
        }
        assert!(text.len() > 100, "{id} says next to nothing");
        for field in entry.split('@').skip(1).step_by(2) {
            let known = field.strip_prefix("TMUX_JANITOR_").is_some_and(|name| fields.contains(&name));
            assert!(known, "{id} speaks of {field}");
        }
        assert!(ids.insert(id), "{id} stands there twice");
    }
    assert_eq!(ids.len(), 11, "one entry for each event");

    let mut sources = vec![];
    walk(&Path::new(REPOSITORY).join("src"), &mut sources);
    sources.retain(|path| path.is_file());
    let sources: Vec<_> = sources.iter().map(|path| read(path)).collect();
    let words = sources.iter().flat_map(|text| text.split('"'));
    let written: BTreeSet<_> = words.filter(|word| is_id(word)).collect();
    assert!(
        !written.is_empty() && written.is_subset(&ids),
        "written to the journal, but not explained: {written:?}"
    );
}

/// A message id, sd-id128(3).
#[test]
fn nothing_that_is_shipped_holds_the_marks_of_a_merge() {
    let mut files = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    for folder in ["packaging", "systemd", "docs"] {
        walk(Path::new(folder), &mut files);
    }
    for file in files.iter().filter(|file| file.is_file()) {
        let text = read(file);
        let is_mark = |line: &&str| ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark));
        assert_eq!(text.lines().find(is_mark), None, "{}", file.display());
    }
}

fn is_id(word: &str) -> bool {
    word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn install(arguments: &[&str]) -> Output {
    let mut installer = Command::new(Path::new(REPOSITORY).join("packaging/install"));
    installer.args(arguments).output().expect("bash is there")
}

fn units() -> Vec<PathBuf> {
    let mut files = vec![];
    walk(&Path::new(REPOSITORY).join("systemd"), &mut files);
    files.retain(|path| path.extension().is_some_and(|kind| kind == "service" || kind == "timer"));
    files
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        }
        found.push(path);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
