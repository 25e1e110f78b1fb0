//! The command line: exit codes, streams, configuration, help.

mod configuration;
mod help;

use crate::common::arena::{self, Arena};
use crate::common::janitor::{Run, bare, janitor};
use crate::common::reader::reader;
use crate::common::wait;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");

/// Runs the program through a shell, for what only a shell can set up: `$0` is the program, `$1` a folder.
fn shell(script: &str, dir: &Path) -> Run {
    Run::of(
        Command::new("bash").args(["-c", script, PROGRAM]).arg(dir).env("XDG_CONFIG_HOME", "/nonexistent"),
    )
}

#[test]
fn mistakes_on_the_command_line_are_usage_errors() {
    for arguments in [
        &["--nonsense"][..],
        &["sweep", "extra"],
        &["probe"],
        &["probe", "-L", "a", "-S", "b"],
        &["probe", "--session", "a", "-L", "b"],
        &["probe", "--session", "a", "-S", "b"],
        &["probe", "--session", ""],
        &["probe", "-L", ""],
        &["list", "--color", "sometimes"],
        &["list", "--label", "[a"],
        &["list", "--state", "alive"],
        &["no-such-command"],
    ] {
        let run = Run::of(bare().args(arguments));
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{arguments:?}");
    }
}

/// A relative path leads nowhere then, which is neither a mistake in the path nor an answer about a socket.
#[test]
fn where_its_folder_is_gone_a_relative_path_is_refused_with_the_reason() {
    let arena = Arena::new().dead("x");
    let refused = [
        ("rescue x", "PATH \"x\""),
        ("sweep -S x", "-S \"x\""),
        ("spawn s --no-sweep --cwd x -- sleep 9", "--cwd \"x\""),
    ];
    let gone =
        |line: &str| shell(&format!("mkdir $1/gone; cd $1/gone; rmdir $1/gone; exec $0 {line}"), arena.dir());
    for (line, named) in refused {
        let run = gone(line);
        assert_eq!(run.code, Some(2), "{line}: {}{}", run.stdout, run.stderr);
        let why =
            format!("{named}: the folder that this runs in is gone, so that a relative path leads nowhere");
        assert!(run.stderr.contains(&why), "{line}: {}", run.stderr);
    }
    let run = gone("probe -S x");
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("a relative path leads nowhere"), "{}", run.stdout);
    let run = gone("sweep -S $1/x");
    assert!(run.code == Some(0) && !arena.has("x"), "{}{}", run.stdout, run.stderr);
}

/// clap itself keeps only what stands behind the command.
#[test]
fn what_is_named_before_the_command_counts_as_well_as_what_is_named_behind_it() {
    let arenas = [Arena::new().dead("a"), Arena::new().dead("b"), Arena::new().dead("c")];
    let [a, b, c] = arenas.each_ref().map(|arena| arena.dir().to_str().unwrap());
    let run = |arguments: &[&str]| Run::of(bare().args(arguments));
    let found = |run: Run| -> Vec<String> {
        let json = run.json();
        let directories = json["directories"].as_array().unwrap().iter();
        directories.map(|directory| directory["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(run(&["--dir", a, "list", "--dir", b, "--json"])), [a, b]);
    let equals = format!("--dir={a}");
    assert_eq!(
        found(run(&[&equals, "--dir", b, "list", "--json", "--dir", c, "--color", "never"])),
        [a, b, c]
    );
    assert_eq!(found(run(&["list", "--dir", a, "--dir", b, "--json"])), [a, b]);
    for wrong in [
        &["--config", "/dev/null", "list", "--config", "/dev/null"][..],
        &["--dir", a, "sweep", "-S", &format!("{a}/a")],
        &["sweep", "-S", &format!("{a}/a"), "--dir", a],
        &["--dir", a, "probe", "-L", "a", "--dir", b],
        &["--dir", a, "list", "--dir"],
    ] {
        let run = run(wrong);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(run.stderr.contains("--dir") || run.stderr.contains("--config"), "{wrong:?}: {}", run.stderr);
    }
    // A word of COMMAND is no option of ours, and help is help.
    assert_eq!(run(&["--dir", a, "list", "--dir", b, "--help"]).code, Some(0));
    let swept = run(&["--dir", a, "sweep", "--dir", b]);
    assert_eq!((swept.code, swept.stdout.matches("removed ").count()), (Some(0), 2), "{}", swept.stdout);
    assert!(!arenas[0].has("a") && !arenas[1].has("b") && arenas[2].has("c"));
}

/// `-v` adds where was looked, by what configuration, and why what was kept was kept.
#[test]
fn verbose_adds_something_to_every_command_and_says_nothing_twice() {
    let arena = Arena::new().live("live").dead("dead").bound_only("bound");
    reader();
    let script = arena.path("script.sh");
    fs::write(&script, "tmux -L x ls\n").unwrap();
    let script = script.to_str().unwrap();
    for arguments in [
        &[][..],
        &["list"],
        &["status"],
        &["probe", "-L", "live"],
        &["rescue"],
        &["doctor"],
        &["audit", script],
        &["check-config"],
        &["sweep", "--dry-run"],
        &["sweep"],
    ] {
        let run = |verbose: &[&str]| Run::of(janitor(arena.dir()).args(arguments).args(verbose));
        let (plain, verbose) = if arguments == ["sweep"] {
            (Run { code: Some(0), stdout: String::new(), stderr: String::new() }, run(&["-v"]))
        } else {
            (run(&[]), run(&["-v"]))
        };
        assert_eq!(verbose.code, plain.code, "{arguments:?}: {}", verbose.stderr);
        assert!(verbose.stderr.len() > plain.stderr.len(), "{arguments:?}: {}", verbose.stderr);
        let told: Vec<&str> = verbose.stdout.lines().filter(|line| line.len() > 12).collect();
        for line in told {
            assert!(!verbose.stderr.contains(line), "{arguments:?} says twice: {line}");
        }
    }
    let run = Run::of(janitor(arena.dir()).args(["-v", "sweep"]));
    assert!(run.stderr.contains("bound: unknown: a process has bound it"), "{}", run.stderr);
}

#[test]
fn an_error_of_the_system_is_told_without_its_number() {
    let room = tempfile::tempdir().unwrap();
    reader();
    let (arena, file) = (Arena::new(), room.path().join("file"));
    fs::write(&file, "").unwrap();
    for arguments in [
        &["--config", "/proc/1/nothing/here", "list"][..],
        &["--config", "/", "list"],
        &["status", "--metrics-file", "/nonexistent/folder/file"],
        &["spawn", "x", "--cwd", "/nonexistent"],
        &["audit", "/nonexistent"],
        &["probe", "-S", "/proc/1/x"],
        &["rescue", "/nonexistent/x"],
    ] {
        let run = Run::of(janitor(arena.dir()).args(arguments));
        assert!(
            !run.stderr.contains("os error") && !run.stdout.contains("os error"),
            "{arguments:?}: {}",
            run.stderr
        );
    }
    let run = shell("\"$0\" --dir \"$1\" sweep --json >/dev/full", arena.dir());
    assert!(run.stderr.contains("cannot be written: No space left on device\n"), "{}", run.stderr);
}

#[test]
fn the_overview_says_what_comes_next() {
    // A folder that was named is swept by nobody's timer.
    let arena = Arena::new();
    let run = Run::of(&mut janitor(arena.dir()));
    assert!(run.stdout.ends_with("next: nothing to do\n"), "{}", run.stdout);
    // A ghost comes before a dead socket.
    let arena = Arena::new().dead("dead").live("ghost");
    fs::remove_file(arena.path("ghost")).unwrap();
    let run = Run::of(&mut janitor(arena.dir()));
    assert!(run.stdout.contains("next: `tmux-janitor rescue`"), "{}", run.stdout);
}

#[test]
fn a_reader_that_goes_is_no_error_and_a_full_disk_is_one() {
    let mut arena = Arena::new();
    for number in 0..2000 {
        fs::write(arena.path(format!("filler-{number}")), "").unwrap();
    }
    arena = arena.dead("dead");
    let run = shell("\"$0\" --dir \"$1\" list | head -n 1; exit ${PIPESTATUS[0]}", arena.dir());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "a broken pipe is success");
    let run = shell("\"$0\" --dir \"$1\" sweep --json >/dev/full", arena.dir());
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("cannot be written") && !arena.has("dead"), "{}", run.stderr);
    arena = arena.dead("dead");
    let run = shell("\"$0\" --dir \"$1\" sweep >&-", arena.dir());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "a closed stdout");
    assert!(!arena.has("dead"), "the work is done all the same");
    let run = shell("\"$0\" --dir \"$1\" sweep 2>&-", arena.dir());
    assert_eq!(run.code, Some(0), "a closed stderr");
    assert_eq!(shell("\"$0\" --help >&-", arena.dir()).code, Some(0));
    for help in ["--help", "--version", "help sweep"] {
        let run = shell(&format!("\"$0\" {help} >/dev/full"), arena.dir());
        assert_eq!(run.code, Some(1), "{help}: {}", run.stderr);
        assert!(
            run.stderr.contains("cannot be written: No space left on device\n"),
            "{help}: {}",
            run.stderr
        );
    }
}

/// The exit code is about what was found, not about who read it.
#[test]
fn a_reader_that_goes_takes_no_finding_along() {
    let arena = Arena::new().dead("dead").dead("blocked");
    fs::create_dir(arena.path("blocked.lock")).unwrap();
    // The pipe is closed before anything is written.
    let unread = |arguments: &str| {
        shell(&format!("exec > >(:); wait $!; \"$0\" --dir \"$1\" {arguments}"), arena.dir())
    };
    for (arguments, code) in [
        ("status", 1),
        ("status --json", 1),
        ("status --metrics", 1),
        ("probe -L dead", 1),
        ("probe -L none", 3),
        ("list", 0),
        ("sweep --dry-run", 1),
        ("sweep", 1),
        ("doctor", 1),
    ] {
        let run = unread(arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}", run.stderr);
        assert!(!run.stderr.contains("cannot be written"), "{arguments}: {}", run.stderr);
    }
    // What failed is told, whatever becomes of the rest.
    let arena = arena.dead("dead");
    for to in [">(:)", "/dev/full"] {
        let run = shell(&format!("exec > {to}; wait $!; \"$0\" --dir \"$1\" sweep"), arena.dir());
        assert_eq!(run.code, Some(1), "{to}");
        assert!(run.stderr.contains("cannot remove dead socket"), "{to}: {}", run.stderr);
    }
}

#[test]
fn who_is_not_told_of_a_session_is_told_on_stderr() {
    let arena = Arena::new();
    let run = shell("\"$0\" --dir \"$1\" spawn one >/dev/full -- sleep 1000", arena.dir());
    let _server = arena::Server::of(arena::pid_of(&arena.path("spawn-one")));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains("cannot be written: No space left on device; spawned \"one\" on "),
        "{}",
        run.stderr
    );
    let run = Run::of(janitor(arena.dir()).args(["spawn", "one", "--", "sleep", "1000"]));
    assert_eq!(run.code, Some(3), "{}", run.stderr);
}

#[test]
fn a_man_page_that_cannot_be_written_is_named() {
    let run = Run::of(bare().args(["man", "/proc/1/nothing/here"]));
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("/proc/1/nothing/here: "), "{}", run.stderr);
}

#[test]
fn quiet_says_only_what_failed() {
    let arena = Arena::new().dead("dead").dead("blocked");
    fs::create_dir(arena.path("blocked.lock")).unwrap();
    let run = Run::of(janitor(arena.dir()).args(["-q", "sweep"]));
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("cannot remove dead socket"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    let run = Run::of(janitor(arena.dir()).args(["-v", "sweep"]));
    assert!(run.stdout.contains("swept 0 dead sockets"), "{}", run.stdout);
    assert!(!run.stderr.contains("swept 0 dead sockets"), "nothing is said twice: {}", run.stderr);
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    let arena = Arena::new().dead("dead");
    let list = |set: &[(&str, &str)], color: &str| {
        let mut command = janitor(arena.dir());
        command.envs(set.iter().copied()).args(["list", "--color", color]);
        Run::of(&mut command).stdout.contains('\x1b')
    };
    assert!(!list(&[], "auto"), "a pipe gets no colours");
    assert!(list(&[], "always"));
    assert!(list(&[("CLICOLOR_FORCE", "1")], "auto"));
    assert!(!list(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], "auto"));
    assert!(!list(&[("CLICOLOR_FORCE", "1")], "never"));
}

#[test]
fn the_users_directories_are_found_as_tmux_finds_them() {
    let parent = tempfile::tempdir().unwrap();
    let uid = rustix::process::getuid().as_raw();
    let dir = parent.path().join(format!("tmux-{uid}"));
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    wait::leave_dead(dir.join("dead"));
    // Looking only: the machine's own directories are discovered too.
    for variable in ["TMUX_TMPDIR", "XDG_RUNTIME_DIR"] {
        let json = Run::of(bare().env(variable, parent.path()).args(["list", "--json"])).json();
        let found = json["directories"]
            .as_array()
            .unwrap()
            .iter()
            .any(|found| found["path"] == dir.to_str().unwrap());
        assert!(found, "{variable}: {json:#}");
    }
    let probe =
        |label: &str| Run::of(bare().env("TMUX_TMPDIR", parent.path()).args(["probe", "-L", label])).code;
    assert_eq!((probe("dead"), probe("missing")), (Some(1), Some(3)));
    // tmux skips a TMUX_TMPDIR that cannot be used.
    let run =
        Run::of(bare().env("TMUX_TMPDIR", "/nonexistent").args(["probe", "--json", "-L", "no-such-label"]));
    assert!(run.json()["path"].as_str().unwrap().starts_with("/tmp/tmux-"), "{}", run.stdout);
}

#[test]
fn without_arguments_it_says_what_is_there_and_what_comes_next() {
    let arena = Arena::new().live("a").dead("b");
    let run = Run::of(&mut janitor(arena.dir()));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stdout.contains("1 live, 1 dead") && run.stdout.contains("tmux-janitor sweep"),
        "{}",
        run.stdout
    );
    assert!(arena.has("b"), "looking removes nothing");
}

#[test]
fn a_terminal_is_never_needed() {
    let arena = Arena::new();
    let status =
        janitor(arena.dir()).arg("status").stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
