//! Scripts of many styles, each with what is to be found in it; and hostile ones.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod hostile;

use std::path::Path;
use std::process::Command;
use tmux_janitor_audit_wire::FileAudit;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit/scripts");

/// The answer for one file: one line, from a program that ends as it should.
#[track_caller]
fn audit(file: &Path) -> FileAudit {
    let ended = Command::new(env!("CARGO_BIN_EXE_tmux-janitor-audit")).arg("--").arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{}: {} {said}", file.display(), ended.status);
    assert!(ended.stdout.ends_with(b"\n") && said.is_empty(), "{}: {said}", file.display());
    serde_json::from_slice(&ended.stdout).expect("one line of JSON")
}

/// The findings without their sentences: `LINE:COLUMN: RULE`.
fn places(audit: &FileAudit) -> Vec<String> {
    audit.findings.iter().map(|found| format!("{}:{}: {}", found.line, found.column, found.rule)).collect()
}

/// Writes a script into a folder of its own and audits it.
#[track_caller]
fn audit_text(text: impl AsRef<[u8]>) -> FileAudit {
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
        let audit = audit(&path);
        assert_eq!(places(&audit), expected.lines().collect::<Vec<_>>(), "{}: {audit:?}", path.display());
        assert_eq!(audit.refusal, None, "{}: {audit:?}", path.display());
        seen += 1;
    }
    assert!(seen >= 15, "{seen} scripts");
}

#[test]
fn each_file_has_its_answer_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("bad"), "tmux kill-server\n").unwrap();
    std::fs::write(path("good"), "tmux -L a ls\n").unwrap();
    let mut reader = Command::new(env!("CARGO_BIN_EXE_tmux-janitor-audit"));
    let ended = reader.args([path("good"), path("missing"), path("bad")]).output().unwrap();
    let answers: Vec<FileAudit> =
        serde_json::Deserializer::from_slice(&ended.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    let found: Vec<_> = answers.iter().map(|audit| (audit.refusal.is_some(), places(audit))).collect();
    let expected = [(false, vec![]), (true, vec![]), (false, vec!["1:1: kill-server".to_owned()])];
    assert_eq!(found, expected);
}
