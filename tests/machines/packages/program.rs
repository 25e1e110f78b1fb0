//! The programs of the packages: `packaging/program`.

use std::path::Path;
use std::process::Command;

use super::REPOSITORY;
use super::built::{deb, run};

#[test]
fn nothing_in_a_package_tells_where_it_was_built() {
    let Some(deb) = deb() else { return };
    let unpacked = tempfile::tempdir().expect("a temporary folder can be made");
    run(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(unpacked.path()));
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .expect("cargo has a home");
    for program in ["usr/bin/tmux-janitor", "usr/libexec/tmux-janitor-audit"] {
        let bytes = std::fs::read(unpacked.path().join(program)).expect("it is installed");
        let tells = |place: &str| bytes.windows(place.len()).any(|part| part == place.as_bytes());
        // What a panic says of a place is still there.
        assert!(tells("crates/"), "{program} has no place at all");
        for place in [home.as_str(), REPOSITORY] {
            assert!(!tells(place), "{program} tells {place}");
        }
    }
}

#[test]
fn a_program_without_its_other_half_is_not_packaged() {
    let room = tempfile::tempdir().expect("a temporary folder can be made");
    let program = room.path().join("tmux-janitor");
    std::fs::copy(super::PROGRAM, &program).expect("there is room");
    let ended = Command::new(Path::new(REPOSITORY).join("packaging/build"))
        .args(["deb", "--binary"])
        .arg(&program)
        .arg("--output")
        .arg(room.path().join("out"))
        .output()
        .expect("bash is there");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("no tmux-janitor-audit beside"), "{said}");
    assert!(!room.path().join("out").exists(), "something was made");
}
