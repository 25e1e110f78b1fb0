//! What is found in socket directories, without systemd.

use crate::common::arena::{self, Arena};
use crate::common::janitor::{Run, bare, janitor};
use crate::common::reader::reader;
use crate::common::skip::skip;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// The findings of one check.
#[track_caller]
fn findings(command: &mut Command, check: &str) -> Vec<Value> {
    reader();
    let run = Run::of(command.args(["doctor", "--json"]));
    let json = run.json();
    let all = json["findings"].as_array().unwrap();
    let is_healthy = all.iter().all(|finding| finding["severity"] == "note");
    assert_eq!(run.code, Some(i32::from(!is_healthy)), "{json:#}");
    assert_eq!(json["healthy"], is_healthy);
    for finding in all {
        for part in ["check", "severity", "what", "why", "cure"] {
            assert!(finding[part].as_str().is_some_and(|text| !text.is_empty()), "{finding:#}");
        }
        assert!(finding["command"].is_null() || finding["command"] == finding["cure"], "{finding:#}");
    }
    all.iter().filter(|finding| finding["check"] == check).cloned().collect()
}

#[track_caller]
fn finds(dir: &Path, check: &str, part: &str) {
    let found = findings(&mut janitor(dir), check);
    let has = |finding: &Value| finding["what"].as_str().unwrap().contains(part);
    assert!(found.iter().any(has), "{check} does not tell of {part:?}: {found:#?}");
}

#[track_caller]
fn finds_nothing(dir: &Path, check: &str) {
    let found = findings(&mut janitor(dir), check);
    assert!(found.is_empty(), "{found:#?}");
}

/// A shell in which our program is found.
fn shell(line: &str) -> Command {
    let build = Path::new(env!("CARGO_BIN_EXE_tmux-janitor")).parent().unwrap();
    let path = format!("{}:{}", build.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .env("PATH", path)
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent");
    shell
}

/// The shell line that cures the first of some findings.
#[track_caller]
fn command_of(found: &[Value]) -> &str {
    found[0]["command"].as_str().unwrap_or_else(|| panic!("no command: {found:#?}"))
}

/// Runs the cure of the one finding of a check, as it is printed, and sees the fault gone.
#[track_caller]
fn cured(dir: &Path, check: &str, part: &str) {
    finds(dir, check, part);
    let found = findings(&mut janitor(dir), check);
    assert_eq!(found.len(), 1, "{found:#?}");
    let cure = Run::of(&mut shell(command_of(&found)));
    assert_eq!(cure.code, Some(0), "{}: {} {}", command_of(&found), cure.stdout, cure.stderr);
    finds_nothing(dir, check);
}

/// Waits until the kernel shows a server as stopped.
fn until_stopped(arena: &Arena, label: &str) {
    let stat = format!("/proc/{}/stat", arena.server(label).pid);
    crate::common::wait::until("it stops", || {
        fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
    });
}

/// A `tmux-UID` in an arena.
fn folder(arena: &Arena) -> PathBuf {
    let dir = arena.path(format!("tmux-{}", rustix::process::getuid().as_raw()));
    fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    dir
}

#[test]
fn people_get_three_lines_for_each_finding() {
    let arena = Arena::new().live("a");
    fs::remove_file(arena.path("a")).unwrap();
    let run = Run::of(janitor(arena.dir()).arg("doctor"));
    assert_eq!(run.code, Some(1));
    let lines: Vec<_> = run.stdout.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("ghost: ")).unwrap();
    assert!(
        lines[at].starts_with("ghost: problem: ")
            && lines[at + 1].starts_with("  why:  ")
            && lines[at + 2] == format!("  cure: tmux-janitor --dir {} rescue", arena.dir().display()),
        "{lines:#?}"
    );
    let last = lines.last().unwrap();
    assert!(last.starts_with("1 problem"), "{lines:#?}");
}

#[test]
fn ghosts_and_split_brains_are_found() {
    let arena = Arena::new().live("a");
    finds_nothing(arena.dir(), "ghost");
    fs::remove_file(arena.path("a")).unwrap();
    finds(arena.dir(), "ghost", &format!("(pid {})", arena.server("a").pid));
    crate::common::wait::until("its pane has come up", || {
        let found = findings(&mut janitor(arena.dir()), "ghost");
        found.iter().any(|finding| finding["what"].as_str().unwrap().contains("in its panes: sleep"))
    });
    cured(arena.dir(), "ghost", &format!("(pid {})", arena.server("a").pid));
    arena.assert_reachable("a");
    fs::remove_file(arena.path("a")).unwrap();
    arena.server("a").signal(rustix::process::Signal::STOP);
    until_stopped(&arena, "a");
    cured(arena.dir(), "ghost", "it is stopped");
    arena.assert_reachable("a");
    fs::remove_file(arena.path("a")).unwrap();
    let second = arena::start(&arena.path("a"));
    cured(arena.dir(), "ghost", &format!("pid {} listens there", second.pid));
    arena.assert_reachable("a");
    assert_eq!(arena::pid_of(&arena.path("a-new")), second.pid, "and the newer one");
}

#[test]
fn directories_that_tmux_refuses_or_that_cannot_be_written_are_found() {
    let arena = Arena::new();
    let dir = folder(&arena);
    finds_nothing(&dir, "directory");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    cured(&dir, "directory", "chmod o-rwx");
    fs::remove_dir(&dir).unwrap();
    std::os::unix::fs::symlink("/", &dir).unwrap();
    cured(&dir, "directory", "it is no real directory");
    assert!(
        fs::symlink_metadata(arena.path(format!("{}.aside", dir.file_name().unwrap().to_string_lossy())))
            .is_ok()
    );
    let dir = arena.path("mine");
    fs::DirBuilder::new().mode(0o722).create(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o722)).unwrap();
    cured(&dir, "directory", "others can write it");
    // What is everybody's is right as it is.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).unwrap();
    let found = findings(&mut janitor(&dir), "directory");
    assert!(
        found[0]["command"].is_null() && !found[0]["cure"].as_str().unwrap().contains("chmod"),
        "{found:?}"
    );
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).unwrap();
    if !is_root() {
        cured(&dir, "directory", "cannot be written");
        return skip("needs root: it mounts a folder read-only");
    }
    let script = r#"mount --bind "$2" "$2"; mount -o remount,bind,ro "$2"; exec "$1" --dir "$2" doctor"#;
    let mut mount = Command::new("unshare");
    mount.args(["--mount", "--propagation", "private", "bash", "-euc", script, "test"]);
    let run = Run::of(mount.arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg(&dir));
    assert!(run.stdout.contains("cannot be written: Read-only file system"), "{} {}", run.stdout, run.stderr);
}

#[test]
fn a_file_system_that_is_not_known_to_be_local_is_found() {
    finds(Path::new("/sys/kernel"), "directory", "not known to be local");
    finds_nothing(Arena::new().dir(), "directory");
}

#[test]
fn a_tmux_tmpdir_that_is_none_is_found() {
    let arena = Arena::new();
    let with = |dir: &Path| findings(janitor(arena.dir()).env("TMUX_TMPDIR", dir), "directory");
    assert!(with(arena.dir()).is_empty());
    let found = with(&arena.path("gone"));
    assert!(found[0]["what"].as_str().unwrap().contains("which is no directory"), "{found:?}");
    let in_shell = |dir: &Path, line: &str| {
        let mut shell = shell(&format!("{line} && exec \"$0\" --dir \"$1\" doctor --json"));
        shell.arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg(arena.dir()).env("TMUX_TMPDIR", dir);
        let json = Run::of(&mut shell).json();
        json["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == "directory").count()
    };
    // Made, with what is above it; or, where a file stands there, not looked for any more.
    let below = arena.path("gone/below");
    assert_eq!(in_shell(&below, command_of(&with(&below))), 0);
    assert!(below.is_dir());
    // It would be too long for any socket, once it is there.
    let long = arena.path("x".repeat(110));
    assert_eq!(in_shell(&long, command_of(&with(&long))), 0);
    fs::write(arena.path("file"), "").unwrap();
    assert_eq!(in_shell(&arena.path("file"), command_of(&with(&arena.path("file")))), 0);
    // No room for any label, for a short one, and just enough: tmux itself says which.
    let base = arena.dir().as_os_str().len() + format!("/tmux-{}/", rustix::process::getuid().as_raw()).len();
    for (room, part) in [(0, "no label"), (1, "a label of 1 byte"), (6, "a label of 6 bytes"), (7, "")] {
        let dir = arena.path("x".repeat(107 - base - 1 - room));
        fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        let found = with(&dir);
        let mut start = Command::new(arena::tmux_program());
        start.args(["-f", "/dev/null", "new-session", "-d", "exec true"]).env_remove("TMUX");
        let start = Run::of(start.env("TMUX_TMPDIR", &dir).env("LC_ALL", "C.UTF-8"));
        assert_eq!(start.stderr.contains("File name too long"), !part.is_empty(), "{room}: {}", start.stderr);
        if part.is_empty() {
            assert!(found.is_empty(), "{found:?}");
        } else {
            assert!(found[0]["what"].as_str().unwrap().contains(part), "{found:?}");
            assert_eq!(in_shell(&dir, command_of(&found)), 0);
        }
    }
}

#[test]
fn locks_in_the_way_are_found() {
    let arena = Arena::new().dead("a").live("b");
    // Beside a socket an empty lock is no litter: a start takes it along.
    for lock in ["b.lock", "c"] {
        fs::write(arena.path(lock), "").unwrap();
        fs::set_permissions(arena.path(lock), fs::Permissions::from_mode(0o600)).unwrap();
    }
    finds_nothing(arena.dir(), "lock");
    fs::rename(arena.path("c"), arena.path("c.lock")).unwrap();
    cured(arena.dir(), "lock", "c.lock is an orphaned start lock");
    assert!(!arena.has("c.lock"));
    fs::create_dir(arena.path("d.lock")).unwrap();
    cured(arena.dir(), "lock", "d.lock is a directory");
    // What a link leads to may be held by somebody who is starting.
    std::os::unix::fs::symlink("e", arena.path("e.lock")).unwrap();
    finds(arena.dir(), "lock", "e.lock is a symbolic link");
    assert!(findings(&mut janitor(arena.dir()), "lock")[0]["command"].is_null());
    fs::remove_file(arena.path("e.lock")).unwrap();
    if !is_root() {
        return skip("needs root: it gives a lock to somebody else");
    }
    chown(arena.path("b.lock"), Some(65534), None).unwrap();
    finds(arena.dir(), "lock", "b.lock belongs to uid 65534");
    // It is not taken from whoever holds it.
    let found = findings(&mut janitor(arena.dir()), "lock");
    let held = fs::File::open(arena.path("b.lock")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_ne!(Run::of(&mut shell(command_of(&found))).code, Some(0));
    assert!(arena.has("b.lock"));
    drop(held);
    cured(arena.dir(), "lock", "b.lock belongs to uid 65534");
}

#[test]
fn servers_that_are_stopped_are_found() {
    let arena = Arena::new().live("a").stopped("b");
    cured(arena.dir(), "stopped", &format!("b (pid {}) is stopped", arena.server("b").pid));
    arena.assert_reachable("b");
    finds_nothing(arena.dir(), "stopped");
}

#[test]
fn what_is_to_be_ignored_is_not_looked_at_and_that_is_said() {
    let arena = Arena::new().live("default").live("isolated");
    let config = arena.path("config.toml");
    fs::write(&config, "[doctor]\nignore = [\"shared\"]\n").unwrap();
    let doctor = || {
        let mut command = janitor(arena.dir());
        command.arg("--config").arg(&config);
        command
    };
    assert_eq!(findings(&mut janitor(arena.dir()), "shared")[0]["severity"], "note");
    assert!(findings(&mut doctor(), "shared").is_empty());
    assert_eq!(Run::of(doctor().args(["doctor", "--json"])).json()["ignored"][0], "shared");
    let told = Run::of(doctor().arg("doctor"));
    assert!(told.stdout.ends_with("not looked at, as doctor.ignore asks: shared\n"), "{}", told.stdout);
    fs::write(&config, "[doctor]\nignore = [\"everything\"]\n").unwrap();
    let refused = Run::of(doctor().arg("doctor"));
    assert_eq!(refused.code, Some(78));
    assert!(
        refused
            .stderr
            .contains(":2:11: doctor.ignore: the doctor has no check \"everything\"; it has blind, "),
        "{}",
        refused.stderr
    );
}

#[test]
fn sessions_on_the_shared_default_socket_are_found() {
    let arena = Arena::new().live("default");
    finds_nothing(arena.dir(), "shared");
    let arena = arena.live("isolated");
    finds(arena.dir(), "shared", "1 beside it");
}

#[test]
fn a_table_that_shows_nothing_is_found() {
    if !is_root() {
        return skip("needs root: it makes a network namespace");
    }
    let arena = Arena::new().live("a");
    finds_nothing(arena.dir(), "blind");
    let program = env!("CARGO_BIN_EXE_tmux-janitor");
    let mut sandbox = Command::new("unshare");
    sandbox.args(["--net", program, "--dir"]).arg(arena.dir());
    assert_eq!(findings(&mut sandbox, "blind").len(), 1);
}

#[test]
fn a_tmux_with_a_known_trap_or_none_at_all_is_found() {
    let arena = Arena::new();
    let with = |program: &Path| {
        let config = arena.path("config.toml");
        fs::write(&config, format!("[spawn]\ntmux = \"{}\"\n", program.display())).unwrap();
        findings(janitor(arena.dir()).arg("--config").arg(config), "version")
    };
    let called = |version: &str| {
        let program = arena.path(version);
        fs::write(&program, format!("#!/bin/sh\necho 'tmux {version}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        program
    };
    assert!(with(&called("3.7c")).is_empty());
    assert!(with(&called("3.0a"))[0]["cure"].as_str().unwrap().contains("3.3 or newer"));
    assert!(with(&arena.path("none"))[0]["what"].as_str().unwrap().contains("cannot be run"));
    // One that hangs is not waited for.
    let hanging = arena.path("hanging");
    fs::write(&hanging, "#!/bin/sh\nexec sleep 3600\n").unwrap();
    fs::set_permissions(&hanging, fs::Permissions::from_mode(0o700)).unwrap();
    let clock = crate::common::wait::Clock::start();
    assert!(with(&hanging).is_empty());
    clock.assert_within(std::time::Duration::from_secs(15));
}

/// systemctl says "Running in chroot, ignoring command" there, nothing on stdout, and exit code 0: that is no answer.
#[test]
fn in_a_container_where_systemctl_asks_nobody_its_silence_is_no_answer() {
    if !is_root() {
        return skip("needs root: it makes a root directory");
    }
    let arena = Arena::new().live("a");
    let script = r#"
        mount -t tmpfs tmpfs "$1"
        for folder in /*; do
            if [ -L "$folder" ]; then cp -P "$folder" "$1$folder"; continue; fi
            [ -d "$folder" ] || continue
            mkdir "$1$folder"
            mount --rbind "$folder" "$1$folder"
        done
        # This shell, whose root directory is another one, is process 1.
        chroot "$1" "$2" --dir "$3" doctor --json || exit"#;
    let mut container = Command::new("unshare");
    container.args([
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    container.args(["sh", "-euc", script, "test"]);
    let root = tempfile::tempdir().unwrap();
    container.arg(root.path()).arg(env!("CARGO_BIN_EXE_tmux-janitor")).arg(arena.dir());
    let run = Run::of(container.env("XDG_CONFIG_HOME", "/nonexistent"));
    let json = run.json();
    let about_units: Vec<_> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| {
            ["units", "environment", "boot", "spawner", "cgroup"]
                .contains(&finding["check"].as_str().unwrap())
        })
        .collect();
    assert_eq!(about_units.len(), 1, "{json:#}");
    assert_eq!(about_units[0]["severity"], "note");
    let what = about_units[0]["what"].as_str().unwrap();
    // Without systemd's programs there is nobody to take it for a chroot.
    if Command::new("systemctl").arg("--version").output().is_err() {
        return skip("systemctl is not installed");
    }
    assert_eq!(what, "systemctl takes this for a chroot and asks no service manager");
}

#[test]
fn the_doctor_changes_nothing() {
    let arena = Arena::new().dead("dead").live("a").live("b");
    fs::remove_file(arena.path("b")).unwrap();
    fs::write(arena.path("c.lock"), "").unwrap();
    fs::set_permissions(arena.path("c.lock"), fs::Permissions::from_mode(0o600)).unwrap();
    let before = arena.names();
    Run::of(janitor(arena.dir()).arg("doctor"));
    assert_eq!(arena.names(), before);
    assert_eq!(Run::of(bare().args(["doctor", "--nonsense"])).code, Some(2));
}
