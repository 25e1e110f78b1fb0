//! Workers that are stopped, killed and starved by the users they work for.

use super::scene::{Hall, User, all_users, error_of, removed};
use crate::common::arena::Server;
use crate::common::janitor::bare;
use crate::common::journal::Journal;
use crate::common::terminal::Terminal;
use crate::common::wait::{self, Clock};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// A user who fights their worker, beside two who do not.
#[track_caller]
fn fight(attack: &str, told: &str) {
    let Some(_hall) = Hall::open() else { return };
    let users = [User::new().with_dir(), User::new().with_dir(), User::new().with_dir()];
    let mallory = users[1];
    for number in 0..500 {
        mallory.dead(format!("x{number}"));
    }
    for user in users {
        user.dead("gone");
    }
    let attacker = mallory.attack(attack, "");
    let clock = Clock::start();
    let run = all_users("sweep", &["--json"]);
    let elapsed = clock.elapsed();
    drop(attacker);
    let json = run.json();
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    assert_eq!(run.code, Some(1), "{json:#}");
    // What the worker had removed by then it has told, too.
    let (theirs, others): (Vec<_>, Vec<_>) =
        removed(&json).into_iter().partition(|path| path.starts_with(mallory.dir().to_str().unwrap()));
    assert_eq!(others, [users[0], users[2]].map(|user| user.path("gone").to_str().unwrap().to_owned()));
    assert!(!theirs.iter().any(|path| fs::exists(path).unwrap()), "{theirs:?}");
    let error = error_of(&json, &mallory.dir()).unwrap_or_else(|| panic!("{json:#}"));
    assert!(error.contains(told), "{error}");

    // And once they leave it alone, it does its work.
    let json = all_users("sweep", &["--json"]).json();
    assert_eq!(error_of(&json, &mallory.dir()), None, "{json:#}");
    assert!(mallory.names().is_empty(), "{json:#}");
}

#[test]
fn a_worker_that_is_stopped_is_ended_and_told_of() {
    fight("stop", "took too long and was ended");
}

#[test]
fn a_worker_that_is_killed_is_told_of() {
    fight("kill", "was ended by SIGKILL");
}

/// Whether it is out of descriptors or out of memory, and when, varies; that its user alone is hurt does not.
#[test]
fn a_worker_that_is_starved_hurts_its_user_alone() {
    let Some(_hall) = Hall::open() else { return };
    let users = [User::new().with_dir(), User::new().with_dir(), User::new().with_dir()];
    for number in 0..500 {
        users[1].dead(format!("x{number}"));
    }
    for user in users {
        user.dead("gone");
    }
    let attacker = users[1].attack("starve", "");
    let clock = Clock::start();
    let json = all_users("sweep", &["--json"]).json();
    drop(attacker);
    clock.assert_within(Duration::from_secs(15));
    for user in [users[0], users[2]] {
        assert!(user.names().is_empty(), "{json:#}");
        assert!(removed(&json).contains(&user.path("gone").to_str().unwrap().to_owned()));
    }
    all_users("sweep", &[]);
    assert!(users[1].names().is_empty(), "{:?}", users[1].names());
}

/// Root is killed while workers work: they come to their end, and what they had removed was told.
#[test]
fn root_that_is_killed_has_told_what_its_workers_removed() {
    for count in [1_000, 4_000, 16_000] {
        let Some(_hall) = Hall::open() else { return };
        let Some(mut journal) = Journal::open() else { return };
        let users = [User::new().with_dir(), User::new().with_dir()];
        let all: Vec<PathBuf> =
            users.iter().flat_map(|user| (0..count).map(|number| user.path(number.to_string()))).collect();
        for user in users {
            (0..count).for_each(|number| user.dead(number.to_string()));
        }
        let mut command = bare();
        command.args(["--log-target", "journal", "sweep", "--all-users"]);
        let mut root = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait::until("it tells of a removal", || !journal.told().is_empty());
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", root.id())).unwrap();
        let workers: Vec<Server> =
            children.split_whitespace().filter_map(|pid| Server::try_of(pid.parse().unwrap())).collect();
        root.kill().unwrap();
        root.wait().unwrap();
        workers.iter().for_each(Server::wait_for_end);
        let told = journal.close();
        let left: BTreeSet<PathBuf> =
            all.iter().filter(|path| path.symlink_metadata().is_ok()).cloned().collect();
        if left.is_empty() {
            continue;
        }
        assert_eq!(told.intersection(&left).next(), None, "told, and there");
        let untold = all.len() - left.len() - told.len();
        // Of each a batch that is being removed, one that is being told, one on its way and one that root has in hand.
        assert!(untold <= users.len() * 4 * 32, "{untold} went without a word, {} were told", told.len());
        return;
    }
    panic!("32,000 were removed before it could be killed");
}

/// Nothing is heard of a worker that was stopped; a terminal is told how far the others are.
#[test]
fn a_terminal_is_shown_how_far_it_is_while_nothing_is_heard() {
    let Some(_hall) = Hall::open() else { return };
    let users = [User::new().with_dir(), User::new().with_dir()];
    for number in 0..500 {
        users[0].dead(format!("x{number}"));
    }
    let attacker = users[0].attack("stop", "");
    let (terminal, end) = Terminal::open();
    let mut command = bare();
    command.args(["sweep", "--all-users"]).stdout(Stdio::null()).stderr(end);
    let mut root = command.spawn().unwrap();
    drop(command);
    wait::until("it says how far it is", || terminal.text().contains(" of 2 users looked at, "));
    // It ends the worker when its time has come.
    root.wait().unwrap();
    drop(attacker);
    let text = terminal.all();
    // The worker may have told of its first removals before it was stopped.
    let shown = |part: &str| part.starts_with("1 of 2 users looked at, ") && part.ends_with(" removed");
    assert!(text.split("\r\x1b[K").any(shown), "{text:?}");
}
