//! What is in the packages: what the installer installs, and nothing that only one of them has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::built::{deb, rpm, run};
use super::{PROGRAM, REPOSITORY};

/// Path and mode of each file.
type Files = BTreeMap<String, String>;

#[test]
fn the_deb_ships_what_the_installer_installs() {
    let Some(deb) = deb() else {
        return;
    };
    let mut expected = installed();
    // zsh of Debian looks elsewhere.
    let mode = expected.remove("/usr/share/zsh/site-functions/_tmux-janitor").expect("it is installed");
    expected.insert("/usr/share/zsh/vendor-completions/_tmux-janitor".into(), mode);
    expected.remove("/usr/share/doc/tmux-janitor/CHANGELOG.md").expect("it is installed");
    compressed_pages(&mut expected);
    for besides in [
        "doc/tmux-janitor/changelog.Debian.gz",
        "doc/tmux-janitor/changelog.gz",
        "doc/tmux-janitor/copyright",
        "lintian/overrides/tmux-janitor",
    ] {
        expected.insert(format!("/usr/share/{besides}"), "-rw-r--r--".into());
    }
    assert_eq!(in_deb(deb), expected);
    same_text(deb);
}

#[test]
fn the_rpm_ships_what_the_installer_installs() {
    let Some(rpm) = rpm() else {
        return;
    };
    let mut expected = installed();
    compressed_pages(&mut expected);
    expected.insert("/usr/share/licenses/tmux-janitor/LICENSE".into(), "-rw-r--r--".into());
    let listed = run(Command::new("rpm")
        .args([
            "--query",
            "--package",
            "--queryformat",
            "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]",
        ])
        .arg(rpm));
    let files = listed.lines().filter(|line| !line.starts_with('d')).map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let [mode, "root", path] = words[..] else { panic!("root owns everything: {line}") };
        (path.to_owned(), mode.to_owned())
    });
    assert_eq!(files.collect::<Files>(), expected);
}

/// The version stands in five places.
#[test]
fn the_packages_have_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    let text = |path: &str| {
        std::fs::read_to_string(Path::new(REPOSITORY).join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let first = text("packaging/deb/changelog");
    assert!(
        first.starts_with(&format!("tmux-janitor ({version}-1) ")),
        "the newest entry is not {version}:\n{first}"
    );
    let recipe = text("packaging/arch/PKGBUILD");
    assert!(recipe.lines().any(|line| line == format!("pkgver={version}")), "{recipe}");
    let recipe = text("packaging/rpm/tmux-janitor.spec");
    assert!(recipe.lines().any(|line| line == format!("Version:        {version}")), "{recipe}");
    // The others ask Cargo.toml: see nix.rs, and what the packages say of themselves in deb.rs and rpm.rs.
}

/// What `packaging/install` stages, without the list by which it uninstalls.
pub(crate) fn installed() -> Files {
    let stage = tempfile::tempdir().expect("a temporary folder can be made");
    crate::common::reader::reader();
    run(Command::new(Path::new(REPOSITORY).join("packaging/install"))
        .args(["--prefix", "/usr", "--system", "--binary", PROGRAM, "--destdir"])
        .arg(stage.path()));
    let listed = run(Command::new("find").arg(stage.path()).args(["-type", "f", "-printf", "%M /%P\n"]));
    let mut files = by_path(&listed);
    files.remove("/usr/share/tmux-janitor/installed").expect("the list is installed");
    files
}

/// Man pages are compressed in packages.
pub(crate) fn compressed_pages(files: &mut Files) {
    let pages: Vec<_> = files.keys().filter(|path| path.starts_with("/usr/share/man/")).cloned().collect();
    assert!(pages.len() >= 3, "{pages:?}");
    for page in pages {
        let mode = files.remove(&page).expect("it was just seen");
        files.insert(format!("{page}.gz"), mode);
    }
}

/// Lines of mode and path.
fn by_path(listed: &str) -> Files {
    let words = listed.lines().filter_map(|line| line.split_once(' '));
    words.map(|(mode, path)| (path.to_owned(), mode.to_owned())).collect()
}

fn in_deb(deb: &Path) -> Files {
    let listed = run(Command::new("dpkg-deb").arg("--contents").arg(deb));
    let files = listed.lines().filter(|line| !line.starts_with('d')).map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [mode, "0/0" | "root/root", _, _, _, path] = words[..] else {
            panic!("root owns everything: {line}")
        };
        (path.trim_start_matches('.').to_owned(), mode.to_owned())
    });
    files.collect()
}

/// Not the names alone: units and presets are those of this repository, byte for byte.
fn same_text(deb: &Path) {
    let unpacked = tempfile::tempdir().expect("a temporary folder can be made");
    run(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(unpacked.path()));
    let mut compared = BTreeSet::new();
    for folder in ["system", "user", "system-preset", "user-preset"] {
        let source = Path::new(REPOSITORY).join("systemd").join(folder);
        for entry in source.read_dir().expect("the folder is there") {
            let source = entry.expect("an entry").path();
            let name = source.file_name().expect("it has a name");
            let packed = unpacked.path().join("usr/lib/systemd").join(folder).join(name);
            let text = |path: &Path| std::fs::read_to_string(path).expect("a text");
            assert_eq!(text(&packed), text(&source), "{}", source.display());
            compared.insert(source.clone());
        }
    }
    assert!(compared.len() >= 8, "{compared:?}");
}
