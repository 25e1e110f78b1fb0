//! Workers that are stopped, killed and starved by the users they work for.

use crate::scene::{Hall, User, all_users, error_of, removed};
use std::time::{Duration, Instant};

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
    let began = Instant::now();
    let run = all_users("sweep", &["--json"]);
    let elapsed = began.elapsed();
    drop(attacker);
    let json = run.json();
    assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    assert_eq!(run.code, Some(1), "{json:#}");
    assert_eq!(
        removed(&json),
        [users[0], users[2]].map(|user| user.path("gone").to_str().unwrap().to_owned())
    );
    let error = error_of(&json, &mallory.dir()).unwrap_or_else(|| panic!("{json:#}"));
    assert!(error.contains(told), "{error}");

    // And once they leave it alone, it does its work.
    let json = all_users("sweep", &["--json"]).json();
    assert!(removed(&json).contains(&mallory.path("gone").to_str().unwrap().to_owned()), "{json:#}");
    assert!(mallory.names().is_empty(), "{:?}", mallory.names());
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
    let began = Instant::now();
    let json = all_users("sweep", &["--json"]).json();
    drop(attacker);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    for user in [users[0], users[2]] {
        assert!(user.names().is_empty(), "{json:#}");
        assert!(removed(&json).contains(&user.path("gone").to_str().unwrap().to_owned()));
    }
    all_users("sweep", &[]);
    assert!(users[1].names().is_empty(), "{:?}", users[1].names());
}
