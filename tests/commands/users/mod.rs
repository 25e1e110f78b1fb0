//! `--all-users`: one worker per user, in shared places where every user is another's enemy.

mod attacks;
mod file_systems;
mod hostile;
mod lost;
mod metrics;
mod price;
pub(crate) mod scene;
mod stream;

use crate::common::janitor::{Run, bare, copy_program, entry};
use crate::common::terminal::Terminal;
use crate::common::wait;
use scene::{Hall, User, all_users, error_of, removed};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

#[test]
fn the_dead_of_all_users_go_and_the_living_stay() {
    let Some(mut hall) = Hall::open() else { return };
    let users = [User::new(), User::new(), User::new()].map(|user| user.with_dir().with_account());
    let living: Vec<i32> = users.iter().map(|user| hall.live(*user, "live")).collect();
    for user in users {
        hall.died(user, "gone");
        user.dead("-rf");
        user.dead("a b\n\x1b[31m");
    }

    let looked = all_users("list", &["--json"]);
    assert_eq!(looked.code, Some(0), "{}", looked.stderr);
    for (user, pid) in users.iter().zip(&living) {
        let path = user.path("live");
        let json = looked.json();
        let sockets = json["sockets"].as_array().unwrap();
        let live = sockets.iter().find(|socket| socket["path"] == path.to_str().unwrap()).unwrap();
        assert_eq!(
            (live["state"].as_str(), live["server_pid"].as_i64()),
            (Some("live"), Some((*pid).into()))
        );
    }
    let health = all_users("status", &[]);
    assert_eq!(health.code, Some(1), "{}", health.stdout);
    assert!(health.stdout.starts_with("tmux sockets: 3 live, 9 dead, 0 ghosts (dead: "), "{}", health.stdout);
    let dry = all_users("sweep", &["--dry-run"]);
    assert_eq!(
        (dry.code, dry.stdout.matches("\nwould sweep 9 dead sockets; 3 live\n").count()),
        (Some(0), 1)
    );

    let swept = all_users("sweep", &["--json"]);
    assert_eq!((swept.code, swept.stderr.as_str()), (Some(0), ""));
    let json = swept.json();
    assert_eq!((&json["counts"]["live"], &json["counts"]["removed"]), (&3.into(), &9.into()), "{json:#}");
    let expected = users.iter().flat_map(|user| {
        ["gone", "-rf", "a b\n\x1b[31m"].map(|label| user.path(label).to_str().unwrap().to_owned())
    });
    assert_eq!(removed(&json).into_iter().collect::<BTreeSet<_>>(), expected.collect());
    for socket in json["sockets"].as_array().unwrap() {
        let path = Path::new(socket["path"].as_str().unwrap());
        assert_eq!(
            path.parent(),
            Some(User(u32::try_from(socket["uid"].as_u64().unwrap()).unwrap()).dir().as_path())
        );
    }
    for (user, pid) in users.iter().zip(living) {
        assert_eq!(user.names(), ["live"]);
        assert_eq!(user.pid_on("live"), pid);
        assert_eq!(fs::metadata(user.dir()).unwrap().uid(), user.0);
    }
    assert_eq!(all_users("status", &[]).code, Some(0));
}

/// What a worker says so that its user cannot trace it.
const DUMPABLE: &str = "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE";

#[test]
fn root_itself_touches_nothing_and_a_worker_nothing_before_it_is_its_user() {
    // In the order in which a worker must have done it before it does anything else.
    let confined =
        ["chdir(\"/\")", "execve(", "RLIMIT_AS", "setgroups(", "setresgid(", "setresuid(", DUMPABLE];
    let Some(mut hall) = Hall::open() else { return };
    let users = [User::new().with_dir(), User::new().with_dir().with_account()];
    for user in users {
        user.dead("gone");
        hall.listening(user, "live");
    }
    // A file per thread: in one file for all, a call that another thread's interrupts is split over two lines.
    let traces = tempfile::tempdir_in("/tmp").unwrap();
    let calls = "trace=connect,flock,openat,renameat2,unlinkat,execve,setgroups,setresgid,setresuid,capget,chdir,prlimit64,prctl";
    let run = Run::of(
        Command::new("strace")
            .args(["-ff", "-v", "-s", "4096", "-e", calls, "-o"])
            .arg(traces.path().join("trace"))
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .args(["sweep", "--all-users", "--json"])
            .env("SECRET", "of root")
            .env("HOME", "/nonexistent"),
    );
    assert_eq!(run.json()["counts"]["removed"], 2, "{}", run.stdout);
    let mut trace = String::new();
    let (mut workers, mut acts) = (0, 0);
    for entry in fs::read_dir(traces.path()).unwrap() {
        let thread = fs::read_to_string(entry.unwrap().path()).unwrap();
        trace += &thread;
        let mut steps = confined.iter().peekable();
        let mut is_user = false;
        for call in thread.lines() {
            is_user |= steps.next_if(|step| call.contains(**step)).is_some() && steps.peek().is_none();
            let is_act = ["flock(", "renameat2(", "unlinkat("].iter().any(|name| call.starts_with(name))
                || call.contains("/tmp/tmux-") && !call.starts_with("execve(")
                || call.starts_with("connect(") && call.contains("/proc/self/fd/");
            assert!(!is_act || is_user, "before it was a user: {call}\n{thread}");
            acts += u32::from(is_act);
        }
        workers += u32::from(is_user);
    }
    assert_eq!(workers, 2, "{trace}");
    assert!(acts > 10, "{trace}");

    let id = users[0].0;
    for needed in [
        "setgroups(0, [])".to_owned(),
        "setresgid(65534, 65534, 65534)".to_owned(),
        format!("setresuid({id}, {id}, {id})"),
        "{effective=0, permitted=0, inheritable=0}".to_owned(),
        "RLIMIT_AS, {rlim_cur=524288*1024, rlim_max=524288*1024}".to_owned(),
    ] {
        assert!(trace.contains(&needed), "{needed} is missing in\n{trace}");
    }
    let (id, home) = (users[1].0, users[1].home());
    let environment = format!(
        "[\"PATH=/usr/local/bin:/usr/bin:/bin\", \"HOME={}\", \"USER=u{id}\", \"LOGNAME=u{id}\", \"XDG_RUNTIME_DIR=/run/user/{id}\"]",
        home.display()
    );
    let start =
        trace.lines().find(|line| line.contains("execve(") && line.contains(&format!("\"{id}\", \"{id}\"]")));
    let start = start.unwrap_or_else(|| panic!("no worker for {id}:\n{trace}"));
    let words = |text: &str| {
        let mut words: Vec<_> = text.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect();
        words.sort();
        words
    };
    let given = start.split("], [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    assert_eq!(words(given), words(&environment), "{start}");
}

#[test]
fn each_users_configuration_holds_for_their_sockets_alone() {
    let Some(_hall) = Hall::open() else { return };
    let (keeps, keeps_not) = (User::new().with_dir().with_account(), User::new().with_dir().with_account());
    fs::write(keeps.config(), "keep = [\"base\"]").unwrap();
    for user in [keeps, keeps_not] {
        user.dead("base");
    }
    let json = all_users("sweep", &["--json"]).json();
    assert_eq!(removed(&json), [keeps_not.path("base").to_str().unwrap()]);
    assert_eq!(keeps.names(), ["base"]);
    assert_eq!(entry(&json, "base")["outcome"], "kept");
}

#[test]
fn a_users_ghost_is_shown_and_rescued_by_its_worker() {
    let Some(mut hall) = Hall::open() else { return };
    let (haunted, other) = (User::new().with_dir().with_account(), User::new().with_dir());
    let ghost = hall.live(haunted, "ghost");
    fs::remove_file(haunted.path("ghost")).unwrap();
    other.dead("gone");

    wait::until("its pane is shown, which may be coming up still", || {
        let shown = all_users("list", &["--json"]).json();
        let about = entry(&shown, "ghost");
        assert_eq!(
            (&about["state"], &about["server_pid"], &about["uid"]),
            (&"ghost".into(), &ghost.into(), &haunted.0.into())
        );
        about["panes"].as_array().is_some_and(|panes| !panes.is_empty())
    });
    let health = all_users("status", &[]);
    assert!(health.stdout.starts_with("tmux sockets: 0 live, 1 dead, 1 ghost ("), "{}", health.stdout);

    let swept = all_users("sweep", &["--rescue", "--json"]);
    let json = swept.json();
    assert_eq!((&json["counts"]["rescued"], &json["counts"]["removed"]), (&1.into(), &1.into()), "{json:#}");
    assert_eq!(haunted.pid_on("ghost"), ghost);
}

#[test]
fn runtime_directories_are_swept_too() {
    let Some(_hall) = Hall::open() else { return };
    if !Path::new("/run/user").is_dir() {
        return crate::common::skip::skip("there is no /run/user here");
    }
    let user = User::new();
    let runtime = Path::new("/run/user").join(user.0.to_string());
    scene::make_dir(&runtime, user);
    scene::make_dir(&runtime.join(format!("tmux-{}", user.0)), user);
    scene::dead_at(&runtime.join(format!("tmux-{}/gone", user.0)), user);
    let json = all_users("sweep", &["--json"]).json();
    assert_eq!(json["counts"]["removed"], 1, "{json:#}");
    assert_eq!(error_of(&json, &user.dir()), None);
}

#[test]
fn a_list_of_all_names_them_and_tells_of_their_servers() {
    let Some(mut hall) = Hall::open() else { return };
    let [named, another] = [User::new(), User::new()].map(|user| user.with_dir().with_account());
    let nameless = User::new().with_dir();
    let pid = hall.live(named, "work");
    hall.live(another, "other");
    nameless.dead("gone");
    let run = all_users("list", &["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let json = run.json();
    let (work, other) = (entry(&json, "work"), entry(&json, "other"));
    let name = format!("u{}", named.0);
    assert_eq!(work["user"].as_str(), Some(&*name));
    assert_eq!(entry(&json, "gone")["user"], serde_json::Value::Null);
    for live in [work, other] {
        assert_eq!(live["attached"], false, "{live:#}");
        assert!(live["started"].is_string() && live["memory_bytes"].as_u64() > Some(100_000), "{live:#}");
    }
    let piped = all_users("list", &[]).stdout;
    let fields = |label: &str| {
        let mut lines = piped.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        lines.find(|fields| fields[1] == label).unwrap_or_else(|| panic!("no {label}: {piped}"))
    };
    assert_eq!((fields("work")[2], fields("work")[7]), (&*pid.to_string(), &*name));
    assert_eq!((fields("gone")[7], piped.lines().count()), (&*nameless.0.to_string(), 4));
    let (terminal, end) = Terminal::of_width(120);
    let mut command = bare();
    command.args(["list", "--all-users"]).env("NO_COLOR", "1").stdout(end);
    assert!(command.status().unwrap().success());
    drop(command);
    let table = terminal.all();
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["STATE", "PATH", "PID", "AGE", "ATTACHED", "UNIT", "MEMORY", "USER"]);
    assert!(table.lines().any(|line| line.contains("/work ") && line.trim_end().ends_with(&name)), "{table}");
}

/// No folder tells of these users, their servers do.
#[test]
fn who_has_servers_outside_of_the_usual_folders_alone_is_found() {
    let Some(mut hall) = Hall::open() else { return };
    let [elsewhere, lost] = [(); 2].map(|()| User::new().with_account());
    // As `tmux -S`.
    scene::make_dir(&elsewhere.home().join("sockets"), elsewhere);
    let path = elsewhere.home().join("sockets/mine");
    let pid = hall.live_at(elsewhere, &path);
    // And one whose folder was deleted.
    let lost = lost.with_dir();
    let ghost = hall.live(lost, "build");
    fs::remove_dir_all(lost.dir()).unwrap();
    let run = all_users("list", &["--json"]);
    let json = run.json();
    let mine = entry(&json, "mine");
    assert_eq!((mine["path"].as_str(), mine["server_pid"].as_i64()), (path.to_str(), Some(pid.into())));
    assert_eq!(
        (&mine["state"], &mine["uid"], &mine["reachable"]),
        (&"live".into(), &elsewhere.0.into(), &true.into())
    );
    let build = entry(&json, "build");
    assert_eq!((&build["state"], build["server_pid"].as_i64()), (&"ghost".into(), Some(ghost.into())));
    let status = all_users("status", &[]);
    assert_eq!(status.code, Some(1), "{}", status.stdout);
    assert!(
        status.stdout.starts_with("tmux sockets: 1 live, 0 dead, 1 ghost, 1 elsewhere"),
        "{}",
        status.stdout
    );
    // A server of another mount namespace is whose who are there.
    let other = User::new().with_account();
    let mut there = Command::new("unshare");
    there.arg("--mount").args(["setpriv", "--clear-groups"]);
    there.args([format!("--reuid={}", other.0), format!("--regid={}", other.0)]);
    there
        .arg(crate::common::arena::tmux_program())
        .args(["-f", "/dev/null", "-S"])
        .arg(other.home().join("there"));
    there.args(["new-session", "-d", "sleep 3600"]).env_remove("TMUX");
    assert!(there.status().unwrap().success());
    let _there = crate::common::arena::Server::of(crate::common::arena::pid_of(&other.home().join("there")));
    assert!(
        all_users("list", &["--json"]).json()["sockets"]
            .as_array()
            .unwrap()
            .iter()
            .all(|socket| socket["uid"] != other.0)
    );
}

#[test]
fn without_root_it_ends_with_77_and_one_sentence() {
    // Where it can be reached by whoever may not enter the build directory.
    let copy = tempfile::Builder::new().prefix("janitor-").tempdir_in("/tmp").unwrap();
    let program = copy.path().join("tmux-janitor");
    copy_program(Path::new(env!("CARGO_BIN_EXE_tmux-janitor")), &program);
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for command in ["sweep", "list", "status"] {
        let mut janitor = Command::new(&program);
        janitor.args([command, "--all-users"]).current_dir("/");
        if rustix::process::getuid().is_root() {
            janitor.uid(65_533).gid(65_533);
        }
        let run = Run::of(&mut janitor);
        assert_eq!((run.code, run.stdout.as_str()), (Some(77), ""));
        assert!(
            run.stderr.contains("--all-users needs root") && run.stderr.lines().count() == 1,
            "{}",
            run.stderr
        );
    }
}

#[test]
fn all_users_and_one_directory_or_configuration_exclude_each_other() {
    if !rustix::process::getuid().is_root() {
        return crate::common::skip::skip("needs root to get so far");
    }
    for option in [["--dir", "/tmp"], ["--config", "/dev/null"]] {
        let run = Run::of(bare().args(option).args(["sweep", "--all-users"]));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
    }
}
