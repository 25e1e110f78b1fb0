//! Arch's recipe, run by makepkg itself. No source is fetched and nothing is compiled: what comes after that is run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::REPOSITORY;
use crate::built::{copy_programs, here, run};
use crate::files::{compressed_pages, installed};

#[test]
fn the_recipe_packages_what_the_installer_installs() {
    if !here(&["makepkg", "bsdtar", "fakeroot"]) {
        return;
    }
    let room = tempfile::tempdir().expect("a temporary folder can be made");
    let tree = room.path().join(concat!("src/tmux-janitor-", env!("CARGO_PKG_VERSION")));
    copy_programs(&tree.join("target/release"));
    for part in ["packaging", "systemd", "LICENSE", "CHANGELOG.md"] {
        run(Command::new("cp").args(["--recursive", part]).arg(&tree).current_dir(REPOSITORY));
    }
    fs::copy(Path::new(REPOSITORY).join("packaging/arch/PKGBUILD"), room.path().join("PKGBUILD"))
        .expect("a recipe");

    // makepkg refuses to be root, and its options of the distribution are not ours to depend on.
    let config = "CARCH=x86_64\nPKGEXT=.pkg.tar\nSRCEXT=.src.tar\nOPTIONS=(!strip docs zipman !debug !lto)\n\
        MAN_DIRS=(usr/share/man)\nCOMPRESSGZ=(gzip -c -f -n)\n";
    fs::write(room.path().join("makepkg.conf"), config).expect("there is room");
    let mut makepkg = if rustix::process::geteuid().is_root() {
        run(Command::new("chown").args(["--recursive", "65534:65534"]).arg(room.path()));
        fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "makepkg"]);
        nobody
    } else {
        Command::new("makepkg")
    };
    run(makepkg
        .args(["--repackage", "--nodeps", "--nocheck", "--config", "makepkg.conf"])
        .current_dir(room.path())
        .env("HOME", room.path())
        .env("PKGDEST", room.path()));

    let package = concat!("tmux-janitor-", env!("CARGO_PKG_VERSION"), "-1-x86_64.pkg.tar");
    let listed = run(Command::new("tar")
        .args(["--list", "--verbose", "--numeric-owner", "--file", package])
        .current_dir(room.path()));
    let files = listed.lines().filter(|line| !line.starts_with('d')).filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [mode, "0/0", _, _, _, path] = words[..] else { panic!("root owns everything: {line}") };
        // .PKGINFO and its kind.
        (!path.starts_with('.')).then(|| (format!("/{path}"), mode.to_owned()))
    });
    let mut expected = installed();
    compressed_pages(&mut expected);
    for besides in [
        "licenses/tmux-janitor/LICENSE",
        "doc/tmux-janitor/examples/config.toml",
        "doc/tmux-janitor/examples/tmux-session@.service",
    ] {
        expected.insert(format!("/usr/share/{besides}"), "-rw-r--r--".into());
    }
    assert_eq!(files.collect::<BTreeMap<_, _>>(), expected);
}
