//! Where people look first: the help, the man pages, and what a mistyped command leads to.

use crate::common::janitor::{Run, bare};
use crate::common::skip::skip;
use std::collections::BTreeSet;
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

/// Who says `probe build`, as with tmux's own commands, is told where the label belongs.
#[test]
fn a_word_where_none_belongs_leads_to_its_option() {
    for (arguments, meant) in [
        (&["probe", "build"][..], "probe -L build"),
        (&["list", "build"], "list --label GLOB"),
        (&["list", "-L", "build"], "list --label GLOB"),
        (&["sweep", "build"], "`-S PATH`"),
        (&["sweep", "-L", "build"], "`-S PATH`"),
    ] {
        let run = Run::of(bare().args(arguments));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(run.stderr.contains(meant), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stderr.matches("tip:").count(), 1, "{arguments:?}: {}", run.stderr);
    }
    let run = Run::of(bare().args(["sweep", "--dryrun"]));
    assert!(run.stderr.contains("'--dry-run'") && !run.stderr.contains("-S PATH"), "{}", run.stderr);
}

/// Which code a file that is missing, or no script, has: the help and both man pages say what `audit` does.
#[test]
fn the_exit_codes_of_audit_are_as_the_help_says() {
    let help = Run::of(bare().arg("--help")).stdout;
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/man/tmux-janitor-audit.1"));
    let page = page.unwrap();
    let binary = tempfile::NamedTempFile::new().unwrap();
    fs::write(binary.path(), b"\x7fELF\0").unwrap();
    for (file, told, on_the_page) in [
        ("/nonexistent", "a file that is missing", "A file is missing"),
        (binary.path().to_str().unwrap(), "a file that is neither", "a file is neither"),
    ] {
        let code = Run::of(bare().args(["audit", file])).code.unwrap();
        let line = help.lines().find(|line| line.contains(told)).unwrap_or_else(|| panic!("{told}: {help}"));
        assert!(line.trim_start().starts_with(&code.to_string()), "{code}: {line}");
        let item = page.split(".TP\n").find(|item| item.contains(on_the_page)).expect("it is told");
        assert!(item.starts_with(&format!(".B {code}\n")), "{code}: {item}");
    }
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
    let pages = [
        "tmux-janitor.1",
        "tmux-janitor-audit.1",
        "tmux-janitor.json.5",
        "tmux-janitor.toml.5",
        "tmux-janitor.service.8",
    ];
    for page in pages {
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

/// As they are installed: whoever reads a unit's name in `systemctl` asks man for it.
#[test]
fn each_unit_has_a_page() {
    let installed = tempfile::tempdir().unwrap();
    let (made, section) = (installed.path().join("made"), installed.path().join("man8"));
    assert_eq!(Run::of(bare().arg("man").arg(&made)).code, Some(0));
    fs::create_dir(&section).unwrap();
    for page in fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().path()) {
        if page.extension().is_some_and(|extension| extension == "8") {
            fs::copy(&page, section.join(page.file_name().unwrap())).unwrap();
        }
    }
    let units = ["user", "system"].map(|manager| format!("{}/systemd/{manager}", env!("CARGO_MANIFEST_DIR")));
    let units = units.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    for unit in units.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let mut man = Command::new("man");
        man.arg("-M")
            .arg(installed.path())
            .args(["8", &unit])
            .env("MANPAGER", "cat")
            .env("LC_ALL", "C.UTF-8");
        let Ok(output) = man.output() else {
            return skip("man is not installed");
        };
        let page = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && page.contains("remove dead tmux sockets"), "{unit}: {output:?}");
    }
}

/// The reference of the rules and the schema leave nothing out (`machines::docs`): no more do the pages.
#[test]
fn the_pages_on_audit_and_json_leave_nothing_out() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Run::of(bare().arg("man").arg(dir.path())).code, Some(0));
    let page = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap().replace('\\', "");
    let document =
        |name: &str| fs::read_to_string(format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();

    let reference = document("audit.md");
    let rules = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told = page("tmux-janitor-audit.1");
    let told = told.lines().skip_while(|line| *line != ".SH RULES").skip(1);
    let told = told.take_while(|line| !line.starts_with(".SH")).collect::<Vec<_>>();
    let heads =
        told.windows(2).filter(|pair| pair[0] == ".TP").filter_map(|pair| pair[1].strip_prefix(".B "));
    assert_eq!(heads.collect::<Vec<_>>(), rules.collect::<Vec<_>>());

    let json = page("tmux-janitor.json.5");
    let words: BTreeSet<_> = json.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let mut fields = BTreeSet::new();
    properties(&serde_json::from_str(&document("tmux-janitor.schema.json")).unwrap(), &mut fields);
    assert!(fields.len() > 50, "{fields:?}");
    let missing: Vec<_> = fields.iter().filter(|field| !words.contains(field.as_str())).collect();
    assert!(missing.is_empty(), "missing from tmux-janitor.json(5): {missing:?}");
}

/// The names of the fields that a schema knows, wherever they stand.
fn properties(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    if let Some(named) = schema["properties"].as_object() {
        found.extend(named.keys().cloned());
    }
    let inner = schema.as_object().into_iter().flat_map(|object| object.values());
    inner.chain(schema.as_array().into_iter().flatten()).for_each(|value| properties(value, found));
}
