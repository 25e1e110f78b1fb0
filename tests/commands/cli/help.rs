//! Where people look first: the help, the man pages, and what a mistyped command leads to.

use crate::common::janitor::{Run, bare};
use crate::common::skip::skip;
use std::fs;
use std::process::Command;

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["--help"][..], &["-h"], &["--version"], &["sweep", "--help"]] {
        let run = Run::of(bare().args(arguments));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(run.stdout.contains("tmux-janitor") || run.stdout.contains("sweep"), "{}", run.stdout);
    }
    let help = Run::of(bare().arg("--help")).stdout;
    for code in ["70", "77", "78"] {
        assert!(help.contains(code), "the help tells every exit code: {help}");
    }
    assert!(!help.contains("\n  completions"), "what is for packagers is hidden");
}

#[test]
fn help_is_a_command() {
    for (arguments, part) in [
        (&["help"][..], "Usage: tmux-janitor"),
        (&["help", "sweep"], "Usage: tmux-janitor sweep"),
        (&["help", "spawn"], "Usage: tmux-janitor spawn"),
    ] {
        let run = Run::of(bare().args(arguments));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(run.stdout.contains(part), "{arguments:?}: {}", run.stdout);
    }
    assert_eq!(Run::of(bare().args(["help", "nonsense"])).code, Some(2));
    assert_eq!(Run::of(bare().args(["spawn", "--help", "x"])).code, Some(2), "somebody's NAME");
}

#[test]
fn a_wrong_command_leads_to_what_was_meant() {
    for (word, meant) in [
        ("attach", "tmux -L LABEL attach"),
        ("remove", "`tmux-janitor sweep`"),
        ("clean", "`tmux-janitor sweep`"),
        ("kill", "tmux -L LABEL kill-server"),
        ("ls", "`tmux-janitor list`"),
        ("new", "`tmux-janitor spawn NAME`"),
        ("fix", "`tmux-janitor rescue`"),
        ("install", "`tmux-janitor setup --now`"),
        ("sweeep", "'sweep'"),
    ] {
        let run = Run::of(bare().arg(word));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{word}");
        assert!(run.stderr.contains(meant), "{word}: {}", run.stderr);
        assert_eq!(run.stderr.matches("tip:").count(), 1, "{word}: {}", run.stderr);
    }
}

/// An option of COMMAND before `--` is not ours, and a word of it is no second NAME.
#[test]
fn a_command_without_its_dashes_leads_to_them() {
    for (arguments, tips) in [
        (&["spawn", "build", "tail", "-f", "log"][..], 1),
        (&["spawn", "build", "-f"], 1),
        (&["spawn", "tail", "-f", "log"], 1),
        (&["spawn", "build", "--cwd", "/", "make", "-j4", "--", "x"], 1),
        // A mistyped option of ours is as likely.
        (&["spawn", "build", "--jsno"], 2),
    ] {
        let run = Run::of(bare().args(arguments));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(run.stderr.contains("put -- before COMMAND"), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stderr.matches("tip:").count(), tips, "{arguments:?}: {}", run.stderr);
    }
    let run = Run::of(bare().args(["--dir", "/ spawn ", "list", "--nonsense"]));
    assert!(run.code == Some(2) && !run.stderr.contains("COMMAND"), "{}", run.stderr);
}

/// What nobody may believe to be otherwise stands where people look first.
#[test]
fn the_help_of_spawn_says_what_is_data_and_that_command_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Run::of(bare().arg("man").arg(dir.path())).code, Some(0));
    let page = fs::read_to_string(dir.path().join("tmux-janitor.1")).unwrap().replace('\\', "");
    let help = Run::of(bare().args(["spawn", "--help"])).stdout;
    for text in [page, help] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "NAME, --cwd, --env and COMMAND are data, whoever sent them: nothing in them is expanded or run by tmux",
            "COMMAND is never started twice",
        ] {
            assert!(text.contains(part), "{part} is missing from {text}");
        }
    }
}

#[test]
fn man_pages_and_completions_are_made_from_the_same_definition() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Run::of(bare().arg("man").arg(dir.path())).code, Some(0));
    let page = fs::read_to_string(dir.path().join("tmux-janitor.1")).unwrap().replace('\\', "");
    let commands = [
        "",
        "sweep",
        "watch",
        "events",
        "list",
        "status",
        "probe",
        "audit",
        "rescue",
        "spawn",
        "doctor",
        "setup",
        "check-config",
    ];
    for command in commands {
        let help = Run::of(bare().args(command.split_whitespace()).arg("--help")).stdout;
        for word in
            help.split(|c: char| !(c.is_alphanumeric() || c == '-')).filter(|word| word.starts_with("--"))
        {
            assert!(page.contains(word) || word == "--", "{command} {word} is missing from the man page");
        }
        assert!(page.contains(&format!("COMMAND {}", command.to_uppercase())), "{command} has no section");
    }
    for code in ["70", "77", "78"] {
        assert!(page.contains(code));
    }
    let config = fs::read_to_string(dir.path().join("tmux-janitor.toml.5")).unwrap().replace('\\', "");
    let sample = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml")).unwrap();
    for key in
        sample.lines().filter_map(|line| line.split_once(" = ")).filter(|(key, _)| !key.starts_with('#'))
    {
        assert!(
            config.contains(&format!(".B {} =", key.0)),
            "{} is missing from tmux-janitor.toml(5)",
            key.0
        );
    }
    // groff finds no fault with them, where it is installed.
    for page in ["tmux-janitor.1", "tmux-janitor.toml.5", "tmux-janitor.service.8"] {
        let mut groff = Command::new("man");
        groff.args(["--warnings=all", "-l"]).arg(dir.path().join(page)).env("MANPAGER", "cat");
        let Ok(output) = groff.env("LC_ALL", "C.UTF-8").output() else {
            return skip("man is not installed");
        };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page}");
        assert!(output.status.success());
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = Run::of(bare().args(["completions", shell]));
        assert_eq!(script.code, Some(0));
        assert!(script.stdout.contains("check-config"), "{shell}");
    }
}
