//! Real tmux servers are started and ended on few labels, without a pause, while two sweeps run without a
//! pause: no server that started is ever unreachable, no start fails for it, nothing is left over.
//!
//! `TMUX_JANITOR_RACE_SECONDS` sets how long; in CI it is longer.

use crate::common::arena::{Arena, Server};
use crate::common::janitor::{Run, janitor};
use crate::common::starts::{assert_reachable, client, end, server_of, wait_for_silence};
use crate::common::wait::DEADLINE;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn seconds() -> u64 {
    let strict = std::env::var_os("TMUX_JANITOR_NO_SKIP").is_some();
    let set = std::env::var("TMUX_JANITOR_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(if strict { 20 } else { 8 })
}

/// What happened.
#[derive(Debug, Default)]
struct Tally {
    /// Whether the sweeps have nothing to do with the starts.
    elsewhere: bool,
    started: AtomicUsize,
    /// Starts that did not wait for the end of the one before, and those of them that failed.
    impatient: AtomicUsize,
    failed: AtomicUsize,
    sweeps: AtomicUsize,
    removed: AtomicUsize,
    /// Servers whose end was not waited for.
    dying: Mutex<Vec<Server>>,
}

fn add(counter: &AtomicUsize, more: usize) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn get(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

/// Starts one server, checks that it is reachable, ends it and waits for its end. Alone on its label. What every second
/// one leaves is left to the sweeps: so they remove something, however busy the machine is.
fn patient_round(socket: &Path, round: usize, tally: &Tally) {
    match server_of(client(socket, "s")) {
        Err(complaint) => panic!("a start that met nobody failed: {complaint}"),
        Ok(pid) => {
            add(&tally.started, 1);
            let server = Server::of(pid);
            assert_reachable(socket, &server);
            end(socket, &server, round);
            wait_for_silence(socket, &server);
            if round % 2 == 1 {
                await_sweeps(socket, tally);
            }
        }
    }
}

/// Waits until the sweeps have removed a dead socket; those elsewhere, until one that began now would have.
fn await_sweeps(socket: &Path, tally: &Tally) {
    let (begun, before) = (Instant::now(), get(&tally.sweeps));
    // Two may have been under way.
    while socket.exists() && !(tally.elsewhere && get(&tally.sweeps) > before + 2) {
        assert!(begun.elapsed() < DEADLINE, "{} stays", socket.display());
        thread::yield_now();
    }
}

/// Two clients at once on one label, where a dead socket stands: one server, both in it.
fn twin_round(socket: &Path, round: usize, tally: &Tally) {
    let (one, two) = (client(socket, "one"), client(socket, "two"));
    match (server_of(one), server_of(two)) {
        (Ok(one), Ok(two)) => {
            let (server, other) = (Server::of(one), (one != two).then(|| Server::of(two)));
            assert!(other.is_none(), "two servers on {}", socket.display());
            add(&tally.started, 1);
            assert_reachable(socket, &server);
            end(socket, &server, round);
            wait_for_silence(socket, &server);
        }
        (one, two) => panic!("two clients, one label: {one:?} {two:?}"),
    }
}

/// Starts without waiting for the end of the one before: tmux itself fails now and then.
fn impatient_round(socket: &Path, round: usize, tally: &Tally) {
    // The first of a storm meets nobody.
    let counts = usize::from(round > 0);
    add(&tally.impatient, counts);
    match server_of(client(socket, "s")) {
        Err(_) => add(&tally.failed, counts),
        Ok(pid) => {
            add(&tally.started, 1);
            let server = Server::of(pid);
            assert_reachable(socket, &server);
            end(socket, &server, round);
            // Not waited for; dropping the handle at last ends what the signal did not.
            let mut dying = tally.dying.lock().unwrap();
            dying.retain(Server::is_alive);
            dying.push(server);
        }
    }
}

/// Runs starters in the arena and two sweepers in `swept`, until the time is over.
fn storm(arena: &Arena, swept: &Path, time: Duration) -> Tally {
    let tally = Tally { elsewhere: swept != arena.dir(), ..Tally::default() };
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let running = || begun.elapsed() < time && !over.load(Ordering::Relaxed);
    let starters = AtomicUsize::new(3);
    let starter = |label: &str, round: fn(&Path, usize, &Tally)| {
        let socket: PathBuf = arena.path(label);
        let _one = One(&starters);
        let stop = StopAll(&over);
        let mut number = 0;
        while running() {
            round(&socket, number, &tally);
            number += 1;
        }
        std::mem::forget(stop);
    };
    thread::scope(|scope| {
        scope.spawn(|| starter("patient", patient_round));
        scope.spawn(|| starter("twin", twin_round));
        scope.spawn(|| starter("impatient", impatient_round));
        for _ in 0..2 {
            scope.spawn(|| {
                // Longer than the starters, which wait for them.
                while get(&starters) > 0 {
                    let run = Run::of(janitor(swept).args(["sweep", "--json"]));
                    assert_eq!(run.code, Some(0), "a sweep: {} {}", run.stdout, run.stderr);
                    add(&tally.sweeps, 1);
                    add(
                        &tally.removed,
                        usize::try_from(run.json()["counts"]["removed"].as_u64().unwrap()).unwrap(),
                    );
                }
            });
        }
    });
    tally
}

/// One of several; not counted any more when it ends, however it does.
struct One<'a>(&'a AtomicUsize);

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A starter that panics ends the storm.
struct StopAll<'a>(&'a AtomicBool);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often storms with the sweeps elsewhere and here take turns, so that what else the machine does meets both.
const TURNS: u32 = 8;

/// The impatient starts of some storms that failed.
struct Rate {
    /// Their share.
    share: f64,
    /// The square of its standard error, as what one storm differs from the next gives it.
    seen: f64,
    /// Of how many starts.
    starts: f64,
}

impl Rate {
    fn of(storms: &[Tally]) -> Self {
        let number = |number: usize| f64::from(u32::try_from(number).unwrap());
        let (starts, failed) =
            (|one: &Tally| number(get(&one.impatient)), |one: &Tally| number(get(&one.failed)));
        let all = storms.iter().map(starts).sum::<f64>().max(1.0);
        let share = storms.iter().map(failed).sum::<f64>() / all;
        let squares: f64 = storms.iter().map(|one| (failed(one) - share * starts(one)).powi(2)).sum();
        let count = number(storms.len());
        Self { share, seen: squares * count / (count - 1.0) / all.powi(2), starts: all }
    }

    /// The same square if each start failed by a chance of `share`: few storms, most of them without a failure, differ
    /// from each other by less than chance goes.
    fn expected(&self, share: f64) -> f64 {
        share * (1.0 - share) / self.starts
    }
}

#[test]
fn no_start_is_lost_under_two_sweeps_without_a_pause() {
    let arena = Arena::new();
    // The same load in both: without it, more of tmux's own races are won.
    let elsewhere = tempfile::tempdir().unwrap();
    let time = Duration::from_secs(seconds()) / TURNS;
    let (mut calm, mut swept) = (Vec::new(), Vec::<Tally>::new());
    let sum = |storms: &[Tally], what: fn(&Tally) -> &AtomicUsize| {
        storms.iter().map(|tally| get(what(tally))).sum::<usize>()
    };
    let is_enough = |storms: &[Tally]| {
        sum(storms, |tally| &tally.impatient) > 20
            && (storms[0].elsewhere || sum(storms, |tally| &tally.removed) > 20)
    };
    let begun = Instant::now();
    let mut turns = 0;
    // On a busy machine more of them: of what happens, not of time, there has to be enough.
    while turns < TURNS || (!(is_enough(&calm) && is_enough(&swept)) && begun.elapsed() < DEADLINE) {
        calm.push(storm(&arena, elsewhere.path(), time / 2));
        swept.push(storm(&arena, arena.dir(), time));
        turns += 1;
    }
    // Whatever is dying now is waited for: then everything goes.
    crate::common::wait::until("the folder is empty", || {
        Run::of(janitor(arena.dir()).arg("sweep"));
        arena.names().is_empty()
    });
    let (calmly, sweepingly) = (Rate::of(&calm), Rate::of(&swept));
    println!("two sweeps elsewhere: {calm:?}, {:.2} % failed", calmly.share * 100.0);
    println!("two sweeps here: {swept:?}, {:.2} % failed", sweepingly.share * 100.0);
    assert!(is_enough(&calm) && is_enough(&swept), "too little happened: {calm:?} {swept:?}");
    // tmux alone loses starts that meet a dying server; the sweeps may not add to it. Three standard errors of the
    // difference are as far as chance goes.
    let share = f64::midpoint(calmly.share, sweepingly.share);
    let error = |rate: &Rate| rate.seen.max(rate.expected(share));
    let chance = 3.0 * (error(&sweepingly) + 1.5 * 1.5 * error(&calmly)).sqrt();
    println!("chance goes as far as {:.2} %", chance * 100.0);
    assert!(sweepingly.share <= calmly.share * 1.5 + 0.01 + chance, "{calm:?} {swept:?}");
}
