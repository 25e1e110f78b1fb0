//! Each removal is logged when it is done: whoever is killed in the middle has told all but the last batch.

use crate::common::arena::Arena;
use crate::common::janitor::{bare, janitor, with};
use crate::common::journal::Journal;
use crate::common::terminal::Terminal;
use crate::common::wait;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How many are removed together, between two words.
const BATCH: usize = 32;

/// Whatever happens, it is ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills a command as soon as it has told of a removal, and compares what it told with what it removed. One that was
/// done by then is given more to do.
#[track_caller]
fn is_told(command: impl Fn(&Arena, &[String]) -> Command) {
    for count in [1_000, 4_000, 16_000] {
        let Some(mut journal) = Journal::open() else { return };
        let arena = Arena::new();
        let labels: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        for label in &labels {
            wait::leave_dead(arena.path(label));
        }
        let mut command = command(&arena, &labels);
        command.args(["--log-target", "journal"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running(command.spawn().unwrap());
        wait::until("it tells of a removal", || !journal.told().is_empty());
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        let told = journal.close();
        let all = labels.iter().map(|label| arena.path(label));
        let left: BTreeSet<PathBuf> = all.filter(|path| path.symlink_metadata().is_ok()).collect();
        if left.is_empty() {
            continue;
        }
        assert_eq!(told.intersection(&left).next(), None, "told, and there");
        let untold = count - left.len() - told.len();
        assert!(untold <= BATCH, "{untold} went without a word, {} were told", told.len());
        return;
    }
    panic!("16,000 were removed before it could be killed");
}

#[test]
fn a_sweep_that_is_killed_has_told_all_but_its_last_batch() {
    is_told(|arena, _| with(janitor(arena.dir()), ["sweep"]));
}

#[test]
fn a_sweep_of_what_is_named_has_told_it_too() {
    is_told(|arena, labels| {
        let mut command = with(bare(), ["sweep"]);
        for label in labels {
            command.arg("-S").arg(arena.path(label));
        }
        command
    });
}

#[test]
fn a_watch_has_told_it_too() {
    is_told(|arena, _| with(janitor(arena.dir()), ["watch"]));
}

#[test]
fn a_spawn_that_sweeps_first_has_told_it_too() {
    is_told(|arena, _| {
        // Nobody is there to join: the sweep is all that it does.
        with(janitor(arena.dir()), ["spawn", "nobody", "--join-only"])
    });
}

/// What a sweep shows on a terminal: one that takes longer than half a second says how far it is, and takes it back.
#[track_caller]
fn shows_progress(command: impl Fn(&Arena, &[String]) -> Command) {
    for count in [1_000, 4_000, 16_000] {
        let arena = Arena::new();
        let labels: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        for label in &labels {
            wait::leave_dead(arena.path(label));
        }
        let (terminal, end) = Terminal::open();
        let mut command = command(&arena, &labels);
        command.stdout(Stdio::null()).stderr(end);
        let began = Instant::now();
        assert!(command.status().unwrap().success());
        let took = began.elapsed();
        drop(command);
        let text = terminal.all();
        if took < Duration::from_secs(1) {
            continue;
        }
        let shown: Vec<&str> = text.split("\r\x1b[K").filter(|part| !part.is_empty()).collect();
        assert!(shown.len() > 1, "{took:?}: {text:?}");
        let of = format!(" of {count} sockets looked at, ");
        assert!(shown.iter().all(|part| part.contains(&of) && part.ends_with(" removed")), "{text:?}");
        assert!(text.ends_with("\r\x1b[K"), "{text:?}");
        return;
    }
    println!("16,000 were removed in less than a second");
}

#[test]
fn a_terminal_is_shown_how_far_a_sweep_is() {
    shows_progress(|arena, _| with(janitor(arena.dir()), ["sweep"]));
    shows_progress(|arena, labels| {
        let mut command = with(bare(), ["sweep"]);
        for label in labels {
            command.arg("-S").arg(arena.path(label));
        }
        command
    });
}
