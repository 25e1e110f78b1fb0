//! What it costs.

use super::scene::{Hall, User};
use crate::common::janitor::Run;
use std::process::Command;

/// 100 users with 10 sockets each, half of them dead: 400 ms on two processors. Their time is what counts
/// here, and the best of a few runs: other tests run at the same time.
#[test]
fn a_hundred_users_are_swept_in_400_ms_of_two_processors() {
    let Some(mut hall) = Hall::open() else { return };
    let users: Vec<User> = (0..100).map(|_| User::new().with_dir()).collect();
    for user in &users {
        for number in 0..5 {
            hall.listening(*user, format!("live{number}"));
        }
    }
    let mut best = f64::MAX;
    for _ in 0..8 {
        for user in &users {
            for number in 0..5 {
                user.dead(format!("dead{number}"));
            }
        }
        // The last line of times(1p) is what the children have used.
        let script = format!("{} sweep --all-users; times | tail -n 1", env!("CARGO_BIN_EXE_tmux-janitor"));
        let run = Run::of(Command::new("sh").args(["-c", &script]).env("HOME", "/nonexistent"));
        assert!(run.stdout.contains("\nswept 500 dead sockets; 500 live\n"), "{} {}", run.stdout, run.stderr);
        let used: f64 = run.stdout.lines().last().unwrap().split(' ').map(seconds).sum();
        best = best.min(used);
        if best <= 0.8 {
            return;
        }
    }
    panic!("{best} s of processor time");
}

/// `0m0.312000s`
fn seconds(text: &str) -> f64 {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
    minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
}
