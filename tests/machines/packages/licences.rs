//! The notices of what is linked into the programs: packaging/licences.txt.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::REPOSITORY;
use super::built::{here, run};

#[test]
fn the_notices_are_those_of_the_crates_that_are_linked_in() {
    if !here(&["python3"]) {
        return;
    }
    let written =
        std::fs::read_to_string(Path::new(REPOSITORY).join("packaging/licences.txt")).expect("a text");
    let now = run(&mut Command::new(Path::new(REPOSITORY).join("packaging/licences")));
    assert!(written == now, "the crates have changed: packaging/licences --write");

    // By cargo's other way of telling them.
    let tree = run(Command::new("cargo")
        .args(["tree", "--locked", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}"])
        .args(["--package=tmux-janitor", "--package=tmux-janitor-audit"])
        .current_dir(REPOSITORY));
    let crates = tree.lines().filter_map(|line| {
        let (name, version) = line.split_once(" v")?;
        let version = version.split(' ').next()?;
        // Our own stand there with their folders.
        (!line.contains(" (/")).then(|| format!("{name} {version}"))
    });
    let crates: BTreeSet<_> = crates.collect();
    assert!(crates.len() > 40, "{crates:?}");
    for linked in crates {
        assert!(written.contains(&format!("\n{linked}: ")), "{linked} is not among them");
        let headed = written.lines().any(|line| line.split(", ").any(|named| named == linked));
        assert!(headed, "{linked} has no text");
    }
}
