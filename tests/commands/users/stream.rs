//! `events --all-users`: one stream of what happens to everybody, each followed by a worker of their own.

use super::scene::{Hall, User, all_users};
use crate::common::daemon::ended;
use crate::common::janitor::{Run, bare, copy_program, with};
use crate::common::wait;
use crate::watch::events::Events;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whatever becomes of the test, it is ended, and with it its workers.
struct Running(Child);

impl Running {
    fn of(mut command: Command) -> (Self, impl Iterator<Item = String>) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        (Self(child), lines)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Each event of a user, with its label.
fn of(events: &Events, user: User) -> Vec<String> {
    let all = events.all();
    let his = all.iter().filter(|event| event["uid"] == user.0);
    his.map(|event| [&event["event"], &event["label"]].map(|text| text.as_str().unwrap_or("-")).join(" "))
        .collect()
}

/// The worker of a user.
fn worker(events: &Events, user: User) -> Option<i32> {
    let children = format!("/proc/{0}/task/{0}/children", events.pid());
    let children = fs::read_to_string(children).unwrap();
    let is_his = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status
            .lines()
            .any(|line| line.starts_with("Uid:") && line.contains(&format!("\t{0}\t{0}\t{0}\t{0}", user.0)))
    };
    children.split_whitespace().map(|pid| pid.parse().unwrap()).find(is_his)
}

#[test]
fn everybody_is_followed_and_told_with_the_uid() {
    let Some(mut hall) = Hall::open() else { return };
    let [one, other, late] = [User::new(), User::new(), User::new()];
    for user in [one, other] {
        user.with_dir().with_account();
    }
    let pids = [hall.live(one, "x"), hall.live(other, "x"), hall.live(other, "bot-1")];
    other.dead("old");
    let events = Events::run(with(bare(), ["events", "--all-users", "--json"]));
    let all = events.all();
    let ready = all.last().unwrap();
    assert_eq!((&ready["event"], &ready["followed_by"]), (&"ready".into(), &"inotify".into()), "{all:?}");
    assert_eq!((&ready["rescan_seconds"], ready.get("uid")), (&600.into(), None));
    assert_eq!([one, other].map(|user| of(&events, user).len()), [1, 2], "{all:?}");
    let told: Vec<(u64, i64)> = all
        .iter()
        .filter_map(|event| Some((event["uid"].as_u64()?, event["server_pid"].as_i64()?)))
        .collect();
    for (user, pid) in [one, other, other].into_iter().zip(pids) {
        assert!(told.contains(&(user.0.into(), pid.into())), "{told:?}");
    }
    let up = all.iter().find(|event| event["server_pid"] == pids[0]).unwrap();
    assert!(up["started"].is_string() && up.get("people").is_none(), "{up}");
    assert_eq!(up["path"].as_str(), one.path("x").to_str());

    kill(pids[0], Signal::KILL);
    wait::until("an end is told", || of(&events, one).contains(&"server-gone x".to_owned()));
    // Somebody comes later.
    late.with_dir();
    let pid = hall.live(late, "new");
    wait::until("the newcomer is followed", || of(&events, late).contains(&"server-up new".to_owned()));
    kill(pid, Signal::KILL);
    wait::until("to the end", || of(&events, late).contains(&"server-gone new".to_owned()));
    assert_eq!(events.in_turn().iter().filter(|(what, _)| what == "ready").count(), 1);
    assert_eq!(of(&events, one), ["server-up x", "server-gone x"]);
    let workers = [one, other, late].map(|user| worker(&events, user).unwrap());
    events.stop();
    wait::until("no worker is left", || {
        workers.iter().all(|pid| !fs::exists(format!("/proc/{pid}/fd/0")).unwrap_or_default())
    });
}

#[test]
fn a_worker_that_is_killed_is_started_again_and_tells_nothing_twice() {
    let Some(mut hall) = Hall::open() else { return };
    let user = User::new().with_dir().with_account();
    let [stays, goes] = ["stays", "goes"].map(|label| hall.live(user, label));
    let events = Events::run(with(bare(), ["events", "--all-users", "--json"]));
    assert_eq!(of(&events, user).len(), 2, "{:?}", events.all());
    kill(worker(&events, user).unwrap(), Signal::KILL);
    kill(goes, Signal::KILL);
    let notices = || -> Vec<Value> {
        let all = events.all().into_iter().filter(|event| event["event"] == "following");
        all.map(|event| event["followed_by"].clone()).collect()
    };
    wait::until("it is told, and that it is over", || notices() == ["nothing", "inotify"]);
    wait::until("the end is told", || of(&events, user).contains(&"server-gone goes".to_owned()));
    kill(stays, Signal::KILL);
    wait::until("this one, too", || of(&events, user).contains(&"server-gone stays".to_owned()));
    let mut told = of(&events, user);
    told.retain(|event| !event.starts_with("following"));
    told.sort();
    assert_eq!(told, ["server-gone goes", "server-gone stays", "server-up goes", "server-up stays"]);
    events.stop();
}

/// Whoever stops their own worker, or has a configuration that is refused, keeps nobody else waiting.
#[test]
fn who_cannot_be_followed_is_told_of_and_keeps_nobody_waiting() {
    let Some(mut hall) = Hall::open() else { return };
    let [good, bad] = [User::new(), User::new()].map(|user| user.with_dir().with_account());
    fs::write(bad.config(), "nonsense = 1\n").unwrap();
    hall.live(good, "x");
    hall.live(bad, "x");
    let events = Events::run(with(bare(), ["events", "--all-users", "--json"]));
    assert_eq!(of(&events, good), ["server-up x"]);
    assert_eq!(of(&events, bad), ["following -"]);
    let notice = events.all().into_iter().find(|event| event["uid"] == bad.0).unwrap();
    assert_eq!((&notice["followed_by"], &notice["rescan_seconds"]), (&"nothing".into(), &Value::Null));
    // When it is mended, it is followed.
    fs::write(bad.config(), "").unwrap();
    wait::until("it is followed", || of(&events, bad).contains(&"server-up x".to_owned()));
    events.stop();
}

#[test]
fn it_is_a_line_for_people_too_and_takes_a_glob() {
    let Some(mut hall) = Hall::open() else { return };
    let user = User::new().with_dir().with_account();
    let pid = hall.live(user, "bot\n1");
    hall.live(user, "home");
    user.dead("bot-old");
    let command = with(bare(), ["events", "--all-users", "--label", "bot*", "--dead"]);
    let (mut running, mut lines) = Running::of(command);
    // Root's own servers are followed, too, wherever they are bound.
    let his = format!(" of uid {}", user.0);
    let is_over = " ready          new servers are seen at once";
    let mut told: Vec<String> = lines.by_ref().take_while(|line| !line.contains(is_over)).collect();
    told.retain(|line| line.ends_with(&his));
    assert_eq!(told.len(), 2, "{told:?}");
    told.sort_by_key(|line| line.contains("server-up"));
    let dir = user.dir().display().to_string();
    assert!(told[0].ends_with(&format!(" dead           {dir}/bot-old of uid {}", user.0)), "{told:?}");
    let up = format!(" server-up      {dir}/bot\\n1 (pid {pid}) of uid {}", user.0);
    assert!(told[1].ends_with(&up), "{told:?}");
    kill(i32::try_from(running.0.id()).unwrap(), Signal::TERM);
    assert_eq!(ended(&mut running.0).code(), Some(0));
}

#[test]
fn it_ends_when_its_reader_goes_and_needs_root_alone() {
    let Some(_hall) = Hall::open() else { return };
    let user = User::new().with_dir();
    let (mut running, mut lines) = Running::of(with(bare(), ["events", "--all-users"]));
    assert!(lines.any(|line| line.contains(" ready ")));
    drop(lines);
    assert_eq!(ended(&mut running.0).code(), Some(0));
    let run = all_users("events", &["--dir", "/tmp"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    // Where it can be reached by whoever may not enter the build directory.
    let copy =
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir_in("/tmp").unwrap();
    let program = copy.path().join("tmux-janitor");
    copy_program(Path::new(env!("CARGO_BIN_EXE_tmux-janitor")), &program);
    let mut command = user.command(program.as_ref());
    let run = Run::of(command.args(["events", "--all-users"]));
    assert_eq!(run.code, Some(77), "{}", run.stderr);
}
