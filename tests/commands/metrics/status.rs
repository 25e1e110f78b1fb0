//! `status --metrics` and `status --metrics-file`.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, janitor};
use crate::common::metrics::{assert_open_metrics, samples};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

#[test]
fn the_row_has_every_state_and_the_exit_code_of_status() {
    let uid = rustix::process::getuid().as_raw();
    let arena = Arena::new().live("a").live("b").dead("c").bound_only("d").dead("e").dead("f");
    fs::write(arena.path("g"), "").unwrap();
    let run = Run::of(janitor(arena.dir()).args(["status", "--metrics"]));
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    assert_open_metrics(&run.stdout);
    let samples = samples(&run.stdout);
    for (state, count) in
        [("live", 2.0), ("starting", 0.0), ("dead", 3.0), ("spared", 0.0), ("foreign", 0.0), ("unknown", 1.0)]
    {
        let series = format!("tmux_janitor_sockets{{state=\"{state}\",uid=\"{uid}\"}}");
        assert_eq!(samples.get(&series), Some(&count), "{series} {samples:#?}");
    }
    for metric in ["ghosts", "directory_errors", "unseen", "held_locks"] {
        assert_eq!(samples.get(&format!("tmux_janitor_{metric}{{uid=\"{uid}\"}}")), Some(&0.0), "{metric}");
    }
    for (place, count) in [("standard", 2.0), ("elsewhere", 0.0)] {
        let series = format!("tmux_janitor_live_servers{{place=\"{place}\",uid=\"{uid}\"}}");
        assert_eq!(samples.get(&series), Some(&count), "{series} {samples:#?}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("tmux_janitor_build_info{{uid=\"{uid}\",version=\"{version}\"}}");
    assert_eq!(samples.get(&build), Some(&1.0), "{samples:#?}");
    // Of given folders no record is kept.
    assert_eq!(samples.len(), 13, "{samples:#?}");

    Run::of(janitor(arena.dir()).arg("sweep"));
    let run = Run::of(janitor(arena.dir()).args(["status", "--metrics"]));
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.contains("{state=\"dead\",uid="), "zero is said: {}", run.stdout);
    assert!(!run.stdout.contains(&*arena.dir().to_string_lossy()), "no paths: {}", run.stdout);
}

#[test]
fn a_ghost_is_counted_apart() {
    let uid = rustix::process::getuid().as_raw();
    let arena = Arena::new().live("a").live("b");
    fs::remove_file(arena.path("b")).unwrap();
    let run = Run::of(janitor(arena.dir()).args(["status", "--metrics"]));
    assert_eq!(run.code, Some(1));
    let samples = samples(&run.stdout);
    assert_eq!(samples[&format!("tmux_janitor_ghosts{{uid=\"{uid}\"}}")], 1.0);
    assert_eq!(samples[&format!("tmux_janitor_sockets{{state=\"live\",uid=\"{uid}\"}}")], 1.0);
}

#[test]
fn the_file_says_the_same_and_everybody_may_read_it() {
    let arena = Arena::new().live("a").dead("b");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("tmux-janitor.prom");
    let write = || {
        let mut command = janitor(arena.dir());
        command.args(["status", "--metrics-file"]).arg(&file);
        // Whatever the umask.
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 0777; exec \"$0\" \"$@\""]).arg(command.get_program());
        shell.args(command.get_args()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Run::of(&mut shell)
    };
    let run = write();
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(1), "", ""));
    let printed = Run::of(janitor(arena.dir()).args(["status", "--metrics"])).stdout;
    assert_eq!(fs::read_to_string(&file).unwrap(), printed);
    let before = fs::metadata(&file).unwrap();
    assert_eq!(before.mode() & 0o7777, 0o644);
    Run::of(janitor(arena.dir()).arg("sweep"));
    assert_eq!(write().code, Some(0));
    assert_ne!(fs::metadata(&file).unwrap().ino(), before.ino(), "another file, in its place");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_cannot_be_written_is_one_sentence_and_no_damage() {
    let arena = Arena::new();
    let out = tempfile::tempdir().unwrap();
    let write =
        |file: &std::path::Path| Run::of(janitor(arena.dir()).args(["status", "--metrics-file"]).arg(file));
    let link = out.path().join("link.prom");
    symlink("/dev/null", &link).unwrap();
    for (file, what) in [
        (link.as_path(), "a symbolic link stands there"),
        (out.path(), "a directory stands there"),
        (&out.path().join("no/such.prom"), "its folder must be there"),
        ("/dev/full".as_ref(), "a device stands there"),
    ] {
        let run = write(file);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{what}: {}", run.stderr);
        assert!(run.stderr.contains(what) && run.stderr.contains(&*file.to_string_lossy()), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    assert_eq!(fs::read_link(&link).unwrap(), std::path::Path::new("/dev/null"));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left");
    if rustix::process::getuid().is_root() {
        let denied = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(denied.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // The program may stand where only root may go.
        let mut shell = Command::new("/proc/self/fd/0");
        shell.stdin(fs::File::open(env!("CARGO_BIN_EXE_tmux-janitor")).unwrap()).uid(61_999).gid(61_999);
        let nowhere = denied.path().join("nowhere");
        shell.arg("--dir").arg(nowhere).args(["status", "--metrics-file"]).arg(denied.path().join("x.prom"));
        let run = Run::of(shell.env_clear().env("XDG_CONFIG_HOME", "/nonexistent").current_dir("/"));
        assert_eq!(run.code, Some(77), "{}", run.stderr);
        assert!(run.stderr.contains("must be able to write in its folder"), "{}", run.stderr);
    }
}

#[test]
fn one_form_at_a_time() {
    for arguments in [
        &["status", "--metrics", "--json"][..],
        &["status", "--metrics-file", "x", "--metrics"],
        &["status", "--metrics-file", "x", "--json"],
        &["status", "--metrics-file"],
    ] {
        assert_eq!(Run::of(janitor("/nonexistent".as_ref()).args(arguments)).code, Some(2), "{arguments:?}");
    }
}
