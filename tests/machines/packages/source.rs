//! Debian's source package, as far as that goes without compiling it: what debhelper may take away, and what it may not.

use std::path::Path;
use std::process::Command;

use super::REPOSITORY;
use super::built::{here, run};
use crate::common::skip::skip;

#[test]
fn debhelper_leaves_the_vendored_crates_and_the_pages_as_they_are() {
    if !here(&["dh", "dpkg-source", "git"]) {
        return;
    }
    let mut git = Command::new("git");
    if !git
        .args(["-C", REPOSITORY, "rev-parse", "--quiet", "--verify", "HEAD"])
        .output()
        .is_ok_and(|ended| ended.status.success())
    {
        return skip("packaging/source packs what is committed, and this is no repository of git");
    }
    // The crates of other systems, too, which nothing here is compiled of.
    let mut fetch = Command::new("cargo");
    if !fetch
        .args(["fetch", "--locked", "--quiet"])
        .current_dir(REPOSITORY)
        .status()
        .is_ok_and(|status| status.success())
    {
        return skip("cargo cannot fetch all the crates");
    }
    let room = tempfile::tempdir().expect("a temporary folder can be made");
    let said = run(Command::new(Path::new(REPOSITORY).join("packaging/source")).arg(room.path()));
    let tree = room.path().join("tree");
    run(Command::new("dpkg-source").args(["--extract", said.trim_end()]).arg(&tree));

    let vendored = || run(Command::new("find").args(["vendor", "-type", "f"]).current_dir(&tree));
    let before = vendored();
    // What it takes for a leftover of patch(1).
    let is_left_over = |path: &str| Path::new(path).extension().is_some_and(|extension| extension == "orig");
    assert!(before.lines().any(is_left_over), "no crate has such a file any more");
    run(Command::new("debian/rules").arg("clean").current_dir(&tree));
    assert_eq!(vendored(), before);

    // Links lead from page to page, and programs read the schema.
    let installed = Path::new("debian/tmux-janitor/usr/share/doc/tmux-janitor");
    run(Command::new("mkdir").arg("--parents").arg(installed).current_dir(&tree));
    run(Command::new("cp").args(["--recursive", "docs", "README.md"]).arg(installed).current_dir(&tree));
    let pages = || run(Command::new("find").arg(installed).args(["-type", "f"]).current_dir(&tree));
    let before = pages();
    run(Command::new("debian/rules").arg("override_dh_compress").current_dir(&tree));
    assert_eq!(pages(), before);
}
