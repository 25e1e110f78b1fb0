//! What is installed: the files, the installer's manners, the units' and the catalog's text.

use crate::common::reader::reader;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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
        "share/man/man1/tmux-janitor-audit.1",
        "share/man/man8/tmux-janitor.service.8",
        "share/man/man8/tmux-janitor-watch@.service.8",
        "share/bash-completion/completions/tmux-janitor",
        "share/zsh/site-functions/_tmux-janitor",
        "share/fish/vendor_completions.d/tmux-janitor.fish",
        "share/doc/tmux-janitor/docs/tmux-janitor.schema.json",
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

/// The oldest systemd that is promised: README.md, the packages, packaging/install, `setup`.
const OLDEST_SYSTEMD: u32 = 252;

/// What systemd's own manual pages say: "Added in version N". Those without a number are as old as units are.
#[rustfmt::skip]
const ADDED: [(u32, &[&str]); 20] = [
    (0, &["CapabilityBoundingSet", "ExecReload", "ExecStart", "LimitNOFILE", "OnActiveSec", "OnUnitActiveSec", "Restart",
          "RestartSec", "Type", "UMask", "User", "WatchdogSec"]),
    (187, &["NoNewPrivileges", "SystemCallFilter"]),
    (188, &["TimeoutStartSec", "TimeoutStopSec"]),
    (189, &["RestartPreventExitStatus", "SuccessExitStatus"]),
    (201, &["After", "Also", "Before", "Description", "Documentation", "WantedBy"]),
    (209, &["AccuracySec", "PrivateDevices", "SystemCallArchitectures", "SystemCallErrorNumber"]),
    (211, &["RestrictAddressFamilies"]),
    (214, &["ProtectHome", "ProtectSystem"]),
    (227, &["TasksMax"]),
    (229, &["AmbientCapabilities", "StartLimitBurst", "StartLimitIntervalSec"]),
    (231, &["MemoryDenyWriteExecute", "MemoryMax", "ReadOnlyPaths", "ReadWritePaths", "RestrictRealtime"]),
    (232, &["PrivateUsers", "ProtectControlGroups", "ProtectKernelModules", "ProtectKernelTunables"]),
    (233, &["RestrictNamespaces"]),
    (235, &["KeyringMode", "LockPersonality"]),
    (239, &["PrivateMounts"]),
    (242, &["ProtectHostname", "RestrictSUIDSGID"]),
    (243, &["OOMPolicy"]),
    (244, &["ProtectKernelLogs"]),
    (245, &["ProtectClock"]),
    (248, &["PrivateIPC"]),
];

/// The units are verified by the systemd that is there (`tests/machines/units`), which may be newer than what is promised.
#[test]
fn no_unit_has_a_directive_that_the_oldest_promised_systemd_lacks() {
    let packaging = Path::new(REPOSITORY).join("packaging");
    let mut files = units();
    files.push(packaging.join("no-user-namespaces/tmux-janitor.service.conf"));
    files.push(packaging.join("examples/tmux-session@.service"));
    let mut looked_at = BTreeSet::new();
    for file in files {
        for line in read(&file).lines().filter(|line| !line.starts_with('#')) {
            let Some((directive, value)) = line.split_once('=') else { continue };
            let since = ADDED.iter().find(|(_, names)| names.contains(&directive)).map(|(since, _)| *since);
            assert!(
                since.is_some_and(|since| since <= OLDEST_SYSTEMD),
                "{}: {directive}= came with {since:?}; look it up in systemd.directives(7)",
                file.display()
            );
            // Values that came later than their directive: systemd.service(5).
            let late = directive == "Type" && ["exec", "notify-reload"].contains(&value);
            assert!(!late, "{}: {line}", file.display());
            looked_at.insert(directive.to_owned());
        }
    }
    let known: BTreeSet<_> =
        ADDED.iter().flat_map(|(_, names)| *names).map(|name| (*name).to_owned()).collect();
    assert_eq!(looked_at, known, "what no unit has needs no line in the table");

    for (file, words) in [
        ("README.md", format!("systemd {OLDEST_SYSTEMD} or newer")),
        ("packaging/install", format!("oldest_systemd={OLDEST_SYSTEMD} ")),
        ("src/setup/manager.rs", format!("OLDEST_SYSTEMD: u32 = {OLDEST_SYSTEMD};")),
        ("Cargo.toml", format!("systemd (>= {OLDEST_SYSTEMD})")),
        ("Cargo.toml", format!("systemd = \">= {OLDEST_SYSTEMD}\"")),
        ("packaging/arch/PKGBUILD", format!("systemd>={OLDEST_SYSTEMD}:")),
    ] {
        assert!(read(&Path::new(REPOSITORY).join(file)).contains(&words), "{file} lacks {words:?}");
    }
}

/// What that drop-in is worth there was seen with 247 itself, of Debian 11; here it is the installer that is asked.
#[test]
fn an_older_systemd_is_named_and_gets_a_sweep_that_works() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let bin = home.path().join("bin");
    fs::create_dir(&bin).expect("a folder can be made");
    let drop_in = home.path().join(".config/systemd/user/tmux-janitor.service.d/no-user-namespaces.conf");
    let install = |version: u32| {
        let systemctl = bin.join("systemctl");
        let script =
            format!("#!/bin/sh\n[ \"$1\" = --version ] && echo 'systemd {version} ({version}.3-7)'\n");
        fs::write(&systemctl, script).expect("there is room");
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("there is a PATH"));
        let done = Command::new(Path::new(REPOSITORY).join("packaging/install"))
            .args(["--user", "--binary", PROGRAM])
            .env("HOME", home.path())
            .env("PATH", path)
            .output()
            .expect("bash is there");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };

    let said = install(OLDEST_SYSTEMD);
    assert!(!said.contains("226/NAMESPACE"), "{said}");
    let said = install(247);
    assert!(
        said.contains("systemd here is 247")
            && said.contains("252 or newer")
            && said.contains("226/NAMESPACE"),
        "{said}"
    );
    assert!(read(&drop_in).contains("\nPrivateUsers=no\n"));
}

/// Without a word of systemctl, which is not there. bash alone has a PATH of our own.
#[test]
fn without_systemd_it_is_installed_and_removed_all_the_same() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let bin = home.path().join("bin");
    fs::create_dir(&bin).expect("a folder can be made");
    let path = std::env::var("PATH").expect("there is a PATH");
    for folder in path.split(':').map(Path::new).filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder).expect("it can be read") {
            let program = entry.expect("an entry").path();
            let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with("systemd") && !["systemctl", "journalctl", "loginctl"].contains(&name) {
                let _ = std::os::unix::fs::symlink(&program, bin.join(name));
            }
        }
    }
    for arguments in [&["--binary", PROGRAM][..], &["--binary", PROGRAM, "--now"], &["--uninstall"]] {
        let done = Command::new(Path::new(REPOSITORY).join("packaging/install"))
            .arg("--user")
            .args(arguments)
            .env("HOME", home.path())
            .env("PATH", &bin)
            .output()
            .expect("bash is there");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && done.stderr.is_empty(), "{arguments:?}: {done:?}");
        assert!(!said.contains("systemctl") && !said.contains("loginctl"), "{said}");
        let is_there = home.path().join(".local/bin/tmux-janitor").exists();
        assert_eq!(is_there, arguments.contains(&PROGRAM), "{said}");
        assert_eq!(is_there, said.contains("*/10 * * * * "), "{said}");
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

/// What the library of that Rust lacks is told by clippy (`incompatible_msrv`), what a crate needs by the crate itself.
#[test]
fn every_crate_can_be_built_with_the_oldest_rust_that_is_promised() {
    let told = Command::new("cargo")
        .args(["metadata", "--locked", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(REPOSITORY)
        .output()
        .expect("cargo runs this test");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("it prints JSON");
    let number = |package: &serde_json::Value| {
        let mut parts = package["rust_version"].as_str()?.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    let packages = told["packages"].as_array().expect("a list");
    let ours = packages.iter().find(|package| package["name"] == "tmux-janitor").and_then(number);
    let ours = ours.expect("rust-version in Cargo.toml");
    for package in packages {
        assert!(number(package) <= Some(ours), "{} needs {}", package["name"], package["rust_version"]);
    }
    let words = format!("Rust {}.{} or newer", ours.0, ours.1);
    assert!(read(&Path::new(REPOSITORY).join("README.md")).contains(&words), "README.md lacks {words:?}");
}

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

/// A message id, sd-id128(3).
fn is_id(word: &str) -> bool {
    word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn install(arguments: &[&str]) -> Output {
    // The other half of what is installed.
    reader();
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
