//! `audit`: scripts of many styles, each with what is to be found in it; and hostile ones.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

#[path = "../common/mod.rs"]
mod common;

mod files;
mod hostile;

use common::janitor::{Run, bare};
use std::path::Path;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit/scripts");

/// Audits one file.
#[track_caller]
fn audit(file: &Path) -> Run {
    Run::of(bare().arg("audit").arg(file))
}

/// The findings without their sentences: `LINE:COLUMN: RULE`.
fn places(run: &Run) -> Vec<String> {
    let short = |line: &str| line.splitn(5, ':').skip(1).take(3).collect::<Vec<_>>().join(":");
    run.stdout.lines().filter(|line| !line.starts_with("nothing found")).map(short).collect()
}

/// Writes a script into a folder of its own and audits it.
#[track_caller]
fn audit_text(text: impl AsRef<[u8]>) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, text).unwrap();
    audit(&file)
}

#[test]
fn in_every_script_what_is_expected_is_found() {
    let mut seen = 0;
    for entry in std::fs::read_dir(SCRIPTS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "expected") {
            continue;
        }
        let mut beside = path.clone().into_os_string();
        beside.push(".expected");
        let expected = std::fs::read_to_string(beside).unwrap();
        let run = audit(&path);
        let found = places(&run);
        assert_eq!(found, expected.lines().collect::<Vec<_>>(), "{}: {}", path.display(), run.stdout);
        assert_eq!(run.code, Some(i32::from(!found.is_empty())), "{}: {}", path.display(), run.stderr);
        seen += 1;
    }
    assert!(seen >= 15, "{seen} scripts");
}
