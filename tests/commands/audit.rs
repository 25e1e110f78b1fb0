//! `audit`: what it is given, what it says, and its exit codes. What is found in scripts: crates/audit/tests.

use crate::common::janitor::{Run, bare, copy_program};
use crate::common::reader::reader;
use crate::common::skip::skip;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// `tmux-janitor audit`, with its other half built.
fn audit() -> Command {
    reader();
    let mut command = bare();
    command.arg("audit");
    command
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
    fs::write(&file, text).unwrap();
    Run::of(audit().arg(file))
}

#[test]
fn a_finding_is_a_line_that_editors_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a b\n"), "tmux kill-server\n").unwrap();
    let run = Run::of(audit().current_dir(folder.path()).arg("a b\n"));
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.starts_with("a b\\n:1:1: kill-server: "), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    // What looks like an option is a file all the same.
    fs::write(folder.path().join("--json"), "tmux -L a ls\n").unwrap();
    let run = Run::of(audit().current_dir(folder.path()).args(["--", "--json"]));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "nothing found in 1 file\n"), "{}", run.stderr);
}

#[test]
fn json_tells_files_findings_and_notes() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let bad = file("bad", "echo; tmux kill-server\n# tmux-janitor: allow nothing\n");
    let good = file("good", "tmux -L x ls\n");
    let run = Run::of(audit().arg("--json").args([&bad, &good]));
    let json = run.json();
    assert_eq!((run.code, &json["version"], &json["command"]), (Some(1), &1.into(), &"audit".into()));
    assert_eq!(json["healthy"], false);
    assert_eq!(json["files"].as_array().unwrap().len(), 2);
    let finding = &json["findings"][0];
    assert_eq!(finding["path"], bad.to_str().unwrap());
    assert_eq!((&finding["line"], &finding["column"]), (&1.into(), &7.into()));
    assert_eq!(finding["rule"], "kill-server");
    assert!(finding["message"].as_str().unwrap().contains("-L"));
    assert_eq!(json["notes"][0]["line"], 2);
    let json = Run::of(audit().arg("--json").arg(&good)).json();
    assert_eq!((&json["healthy"], json["findings"].as_array().unwrap().len()), (&true.into(), 0));
}

/// One clear sentence for each, the others are looked at, and the exit code does not say that all is well.
#[test]
fn what_cannot_be_looked_at_is_told_and_the_rest_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("good"), "tmux kill-server\n").unwrap();
    fs::write(path("binary"), b"\x7fELF\0\0").unwrap();
    fs::write(path("python"), "#!/usr/bin/env python3\nprint('tmux')\n").unwrap();
    fs::write(path("long"), "#\n".repeat(600_000)).unwrap();
    fs::create_dir(path("folder")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    symlink("loop", path("loop")).unwrap();
    for (name, what, code) in [
        ("missing", "No such file", 77),
        ("binary", "is not text", 2),
        ("python", "is a script for /usr/bin/env python3", 2),
        ("long", "longer than 1 MiB", 1),
        ("folder", "is a directory", 2),
        ("fifo", "is a FIFO", 2),
        ("loop", "cannot be read", 77),
    ] {
        let run = Run::of(audit().arg(path(name)).arg(path("good")));
        assert_eq!(run.code, Some(code), "{name}: {}", run.stderr);
        assert!(run.stderr.contains(what) && run.stderr.lines().count() == 1, "{name}: {}", run.stderr);
        assert_eq!(places(&run), ["1:1: kill-server"], "{name}");
        let json = Run::of(audit().arg("--json").arg(path(name))).json();
        assert!(json["files"][0]["error"].as_str().unwrap().contains(what), "{json:#}");
        assert_eq!(json["healthy"], false);
        assert_eq!(Run::of(audit().arg(path(name))).code, Some(code), "{name}, alone");
    }
    let run = Run::of(&mut audit());
    assert_eq!(run.code, Some(2), "a file must be named");
}

#[test]
fn a_file_that_may_not_be_read_is_77() {
    if rustix::process::getuid().is_root() && Command::new("setpriv").arg("--version").output().is_err() {
        return skip("setpriv is not installed, and root may read everything");
    }
    let folder = tempfile::Builder::new().prefix("audit").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "tmux ls\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // As nobody, who need not reach our build: the programs are copied.
    let build = Path::new(env!("CARGO_BIN_EXE_tmux-janitor"));
    let program = folder.path().join("tmux-janitor");
    copy_program(build, &program);
    copy_program(&reader(), &folder.path().join("tmux-janitor-audit"));
    let run = if rustix::process::getuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        Run::of(command.arg("audit").arg(&file).current_dir("/"))
    } else {
        Run::of(audit().arg(&file))
    };
    assert_eq!(run.code, Some(77), "{}", run.stderr);
    assert!(run.stderr.contains("Permission denied") && run.stderr.lines().count() == 1, "{}", run.stderr);
}

#[test]
fn the_reader_is_found_beside_us_or_in_libexec_and_missed_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let build = Path::new(env!("CARGO_BIN_EXE_tmux-janitor"));
    fs::create_dir_all(folder.path().join("bin")).unwrap();
    fs::create_dir_all(folder.path().join("libexec")).unwrap();
    let program = folder.path().join("bin/tmux-janitor");
    copy_program(build, &program);
    let script = folder.path().join("script");
    fs::write(&script, "tmux kill-server").unwrap();
    let run = || Run::of(Command::new(&program).arg("audit").arg(&script).env("HOME", "/nonexistent"));
    let missed = run();
    assert_eq!(missed.code, Some(78), "{}", missed.stderr);
    assert!(missed.stderr.contains("tmux-janitor-audit is missing"), "{}", missed.stderr);
    assert_eq!(missed.stderr.lines().count(), 1, "{}", missed.stderr);
    let installed = folder.path().join("libexec/tmux-janitor-audit");
    copy_program(&reader(), &installed);
    assert_eq!(run().code, Some(1));
    let alone = Run::of(&mut Command::new(&installed));
    assert_eq!(alone.code, Some(2));
    assert!(alone.stderr.contains("tmux-janitor audit FILE"), "{}", alone.stderr);
}

#[test]
fn a_script_that_is_no_shell_in_places_is_looked_at_all_the_same() {
    let run = audit_text("if then ((\ntmux kill-server\n");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("does not parse as shell"), "{}", run.stderr);
}

#[test]
fn nothing_found_in_what_was_looked_at_in_part_is_not_0() {
    let deep = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
    for (text, told) in [("if then ((\n", "does not parse as shell"), (deep.as_str(), "nested too deep")] {
        let run = audit_text(text);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }
}

#[test]
fn several_hundred_files_are_several_batches() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..150).map(|number| folder.path().join(format!("{number}.sh"))).collect();
    for (number, file) in files.iter().enumerate() {
        fs::write(file, format!("{}tmux ls\n", "\n".repeat(number))).unwrap();
    }
    let run = Run::of(audit().args(&files));
    let expected: Vec<_> = (0..150).map(|number| format!("{}:1: default-socket", number + 1)).collect();
    assert_eq!(places(&run), expected);
}

/// The parser is C that reads files of strangers: it is neither in the program that runs as a service nor built with it.
#[test]
fn the_janitor_is_built_without_the_grammar() {
    let Some(cargo) = std::env::var_os("CARGO") else { return skip("cargo is not here") };
    let crates = |package: &str| {
        let mut tree = Command::new(&cargo);
        tree.args(["tree", "--locked", "--prefix=none", "--edges=normal,build", "--package", package]);
        let run = Run::of(tree.current_dir(env!("CARGO_MANIFEST_DIR")));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let is_c = |line: &&str| ["tree-sitter", "cc "].iter().any(|name| line.starts_with(name));
        run.stdout.lines().filter(is_c).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(crates("tmux-janitor"), Vec::<String>::new());
    assert!(!crates("tmux-janitor-audit").is_empty());
}
