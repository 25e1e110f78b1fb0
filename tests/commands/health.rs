//! That `status`, and whoever else says that all is well, has looked.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, bare, entry, fate, janitor, with};
use crate::common::skip::skip;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program behind `unshare OPTIONS sh -c SCRIPT`, whose `$0` is the program with `--dir FOLDER`. `None`, after a
/// loud skip, without root.
fn behind(options: &[&str], script: &str, folder: &Path, arguments: &[&str]) -> Option<Run> {
    if !rustix::process::getuid().is_root() {
        skip("needs root: it makes namespaces");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-euc", script, env!("CARGO_BIN_EXE_tmux-janitor"), "--dir"]);
    Some(Run::of(command.arg(folder).args(arguments).env("XDG_CONFIG_HOME", "/nonexistent")))
}

/// The first place that could not be looked at, and why.
fn unseen(json: &Value) -> (PathBuf, String) {
    let first = &json["unseen"][0];
    (first["path"].as_str().unwrap().into(), first["reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_directory_that_is_refused_is_no_health() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().canonicalize().unwrap().join(format!("tmux-{}", rustix::process::getuid()));
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o707)).unwrap();
    let run = Run::of(janitor(&folder).args(["status", "--json"]));
    let json = run.json();
    assert_eq!((run.code, &json["healthy"]), (Some(4), &false.into()), "{json:#}");
    let (path, why) = unseen(&json);
    assert_eq!(path, folder);
    assert!(why.contains("open to others"), "{why}");
    let line = Run::of(janitor(&folder).arg("status")).stdout;
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(&format!("; not looked at: {}: it is open to others", folder.display())), "{line}");
    for form in [&["status", "--metrics"][..], &["status", "--metrics-file", "/dev/null"]] {
        // The exit code says it in every form; /dev/null is no file, which is another failure.
        let code = Run::of(janitor(&folder).args(form)).code;
        assert!(code == Some(4) || form.len() == 3 && code != Some(0), "{form:?}: {code:?}");
    }
    let overview = Run::of(&mut janitor(&folder));
    assert!(!overview.stdout.contains("nothing to do"), "{}", overview.stdout);
    assert!(overview.stdout.contains("not looked at"), "{}", overview.stdout);
    let rescue = Run::of(janitor(&folder).arg("rescue"));
    assert_eq!(rescue.code, Some(1));
    assert!(!rescue.stdout.contains("no ghosts"), "{}", rescue.stdout);
    // One that is refused weighs more than a dead socket in another.
    let arena = Arena::new().dead("dead");
    let run = Run::of(janitor(&folder).arg("--dir").arg(arena.dir()).args(["status", "--json"]));
    assert_eq!((run.code, &run.json()["counts"]["dead"]), (Some(4), &1.into()));
}

#[test]
fn a_directory_that_was_named_and_is_not_there_is_said() {
    let arena = Arena::new();
    let nowhere = arena.path("nowhere");
    for (command, code) in [("sweep", 1), ("list", 1), ("rescue", 1), ("status", 4)] {
        let run = Run::of(janitor(&nowhere).arg(command));
        assert_eq!(run.code, Some(code), "{command}: {} {}", run.stdout, run.stderr);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(
            said.contains(&format!("{}: there is no such directory", nowhere.display())),
            "{command}: {said}"
        );
    }
    let json = Run::of(janitor(&nowhere).args(["sweep", "--json"])).json();
    assert_eq!(json["directories"][0]["path"], nowhere.to_str().unwrap(), "{json:#}");
    // Nobody has named the folders of the environment.
    let room = tempfile::tempdir().unwrap();
    let gone = room.path().join("gone");
    let run = Run::of(with(bare(), ["sweep", "--dry-run"]).env("TMUX_TMPDIR", &gone));
    assert!(!run.stderr.contains(gone.to_str().unwrap()), "{}", run.stderr);
}

#[test]
fn a_table_that_is_not_to_be_believed_is_no_health() {
    let (arena, empty) = (Arena::new().live("live"), Arena::new());
    for folder in [arena.dir(), empty.dir()] {
        let run = |arguments: &[&str]| behind(&["--net"], r#"exec "$0" "$@""#, folder, arguments);
        let Some(status) = run(&["status", "--json"]) else { return };
        let json = status.json();
        assert_eq!((status.code, &json["healthy"]), (Some(4), &false.into()), "{json:#}");
        let (path, why) = unseen(&json);
        assert_eq!(path, folder.canonicalize().unwrap());
        assert!(why.contains("cannot be trusted here"), "{why}");
        let rescue = run(&["rescue"]).unwrap();
        assert_eq!(rescue.code, Some(1), "{}", rescue.stdout);
        assert!(
            rescue.stdout.starts_with("no ghost is seen, but not all could be looked at: "),
            "{}",
            rescue.stdout
        );
        let overview = run(&[]).unwrap().stdout;
        assert!(!overview.contains("nothing to do"), "{overview}");
    }
}

/// A ghost that is rescued there is not all that may be there.
#[test]
fn a_rescue_that_could_not_look_at_all_says_why_it_ends_with_1() {
    let arena = Arena::new();
    let script = r#"tmux=${TMUX_BIN:-tmux}
        $tmux -f /dev/null -S "$2/ghost" new-session -d 'sleep 1000'; rm "$2/ghost"
        code=0; "$0" "$@" || code=$?
        $tmux -S "$2/ghost" kill-server; exit $code"#;
    let Some(rescue) = behind(&["--net"], script, arena.dir(), &["rescue"]) else { return };
    assert_eq!(rescue.code, Some(1), "{} {}", rescue.stdout, rescue.stderr);
    let said = "rescued 1 ghost\nnot all could be looked at: ";
    assert!(rescue.stdout.contains(said), "{} {}", rescue.stdout, rescue.stderr);
}

#[test]
fn without_proc_nothing_is_said_to_be_well() {
    let arena = Arena::new();
    let script = r#"mount -t tmpfs none /proc; exec "$0" "$@""#;
    let Some(run) = behind(&["--mount"], script, arena.dir(), &["status", "--json"]) else { return };
    let json = run.json();
    assert_eq!((run.code, &json["healthy"]), (Some(4), &false.into()), "{json:#}");
    assert_eq!(unseen(&json).0, Path::new("/proc"));
    let rescue = behind(&["--mount"], script, arena.dir(), &["rescue"]).unwrap();
    assert!(!rescue.stdout.contains("no ghosts\n"), "{}", rescue.stdout);
    let doctor = behind(&["--mount"], script, arena.dir(), &["doctor"]).unwrap();
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("blind: problem: /proc cannot be read here"), "{}", doctor.stdout);
    // A sweep says why it keeps what it cannot ask: once for the directory.
    let arena = arena.dead("dead").dead("dead too");
    let sweep = behind(&["--mount"], script, arena.dir(), &["sweep"]).unwrap();
    let why =
        "/dead and 1 more there: whether a server listens is not known: a connection attempt failed in a way";
    assert!(sweep.stderr.contains(why), "{}", sweep.stderr);
    assert_eq!(sweep.stderr.lines().count(), 1, "{}", sweep.stderr);
}

/// A folder that was mounted into a network namespace of its own: the table of sockets says nothing of it there.
#[test]
fn a_folder_from_outside_of_a_container_is_no_health() {
    let arena = Arena::new();
    // A volume: a folder of another file system than that of the root. Where root has logged in, its manager is not shown.
    let volume = r#"mount -t tmpfs none /sys/fs/cgroup; mount -t tmpfs none /mnt; mkdir -m 700 /mnt/volume; mount --bind /mnt/volume "$2"; "#;
    let dead =
        r#"python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$2/dead"; "#;
    let run_it = r#""$0" "$@""#;
    let namespaces = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let path = arena.dir().canonicalize().unwrap();
    for script in [volume.to_owned() + dead + run_it, volume.to_owned() + run_it] {
        let run = |arguments: &[&str]| behind(&namespaces, &script, &path, arguments);
        let Some(status) = run(&["status", "--json"]) else { return };
        let json = status.json();
        assert_eq!((status.code, &json["healthy"]), (Some(4), &false.into()), "{json:#}");
        let (place, why) = unseen(&json);
        assert_eq!(place, path);
        assert!(why.contains("came from outside of this container"), "{why}");
        let rescue = run(&["rescue"]).unwrap();
        assert_eq!(rescue.code, Some(1), "{}", rescue.stdout);
        let doctor = run(&["doctor"]).unwrap().stdout;
        assert!(doctor.contains("blind: problem: ") && doctor.contains("came from outside"), "{doctor}");
        assert!(!run(&[]).unwrap().stdout.contains("nothing to do"));
    }
    let events = volume.to_owned() + run_it + " | grep -q ready";
    let told = behind(&namespaces, &events, &path, &["events"]).unwrap().stderr;
    let said = format!("{}: the kernel's socket table cannot be trusted here", path.display());
    assert_eq!(told.matches(&said).count(), 1, "{told}");
}

#[test]
fn what_cannot_be_connected_to_is_not_well() {
    if !rustix::process::getuid().is_root() {
        return skip("needs root: it becomes another user");
    }
    let arena = Arena::new().dead("closed");
    let (dir, user) = (arena.dir(), 4718);
    for path in [dir.to_owned(), arena.path("closed")] {
        std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    }
    fs::set_permissions(arena.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "4718", "--regid", "4718", "--clear-groups"])
        .env("XDG_CONFIG_HOME", "/nonexistent");
    let run = Run::of(
        command.arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg("--dir").arg(dir).args(["status", "--json"]),
    );
    if run.code == Some(126) || run.stdout.is_empty() {
        return skip("another user cannot run what was built here");
    }
    assert_eq!(run.code, Some(4), "{}", run.stdout);
    assert_eq!(unseen(&run.json()).0, arena.path("closed").canonicalize().unwrap());
}

#[test]
fn what_the_configuration_keeps_is_spared_and_well() {
    let arena = Arena::new().live("live").dead("homebase").dead("young");
    let room = tempfile::tempdir().unwrap();
    let config = room.path().join("config.toml");
    for (text, kept, key) in
        [("keep = [\"homebase\"]", "homebase", "keep"), ("min-age = \"1h\"", "young", "min-age")]
    {
        fs::write(&config, text).unwrap();
        let run =
            |arguments: &[&str]| Run::of(janitor(arena.dir()).arg("--config").arg(&config).args(arguments));
        let json = run(&["list", "--json"]).json();
        assert_eq!(fate(&json, kept), ("dead", "kept"));
        let reason = entry(&json, kept)["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("configuration's {key}")), "{reason}");
        assert!(run(&["list"]).stdout.contains(key));
        let would = run(&["sweep", "--dry-run", "--json"]).json();
        assert_eq!(fate(&would, kept), ("dead", "kept"), "{would:#}");
        assert_eq!(would["counts"], json["counts"], "{would:#}");
    }
    // Both are young; nothing is dead that will go, so nobody is told to sweep.
    let run = |arguments: &[&str]| Run::of(janitor(arena.dir()).arg("--config").arg(&config).args(arguments));
    let status = run(&["status", "--json"]);
    let json = status.json();
    assert_eq!((status.code, &json["healthy"]), (Some(0), &true.into()), "{json:#}");
    assert_eq!((&json["counts"]["dead"], &json["counts"]["spared"]), (&0.into(), &2.into()), "{json:#}");
    assert_eq!(run(&["status"]).stdout, "tmux sockets: 1 live, 0 dead, 0 ghosts, 2 spared\n");
    let metrics = run(&["status", "--metrics"]).stdout;
    let uid = rustix::process::getuid();
    for line in [
        format!("tmux_janitor_sockets{{state=\"dead\",uid=\"{uid}\"}} 0"),
        format!("tmux_janitor_sockets{{state=\"spared\",uid=\"{uid}\"}} 2"),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    let overview = run(&[]).stdout;
    assert!(!overview.contains("tmux-janitor sweep"), "{overview}");
    let swept = run(&["sweep"]);
    assert_eq!((swept.code, swept.stdout.as_str()), (Some(0), "swept 0 dead sockets; 1 live, 2 spared\n"));
}

/// A name that was mistyped would be looked into by nobody.
#[test]
fn a_folder_of_the_configuration_that_is_not_there_is_a_note() {
    let arena = Arena::new();
    let (config, gone) = (arena.path("config.toml"), arena.path("gone"));
    fs::write(&config, format!("extra-socket-dirs = [{gone:?}]")).unwrap();
    let notes = || {
        let json = Run::of(with(bare(), ["doctor", "--json", "--config"]).arg(&config)).json();
        let mut findings = json["findings"].as_array().unwrap().clone();
        findings.retain(|finding| {
            finding["check"] == "directory"
                && finding["what"].as_str().unwrap().contains(gone.to_str().unwrap())
        });
        findings
    };
    let found = notes();
    assert_eq!((found.len(), &found[0]["severity"]), (1, &"note".into()), "{found:?}");
    fs::create_dir(&gone).unwrap();
    fs::set_permissions(&gone, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(notes(), [] as [serde_json::Value; 0]);
}
