//! The daemon's metrics file.

use crate::common::arena::Arena;
use crate::common::daemon::Daemon;
use crate::common::metrics::{assert_open_metrics, samples};
use crate::common::wait;
use rustix::process::Signal;
use std::fs;
use std::path::Path;

/// A sample of this user in a file; `None` while there is none.
fn sample(file: &Path, name: &str, state: &str) -> Option<f64> {
    let uid = rustix::process::getuid().as_raw();
    let state = match state {
        "" => String::new(),
        label if label.contains('=') => format!("{label},"),
        state => format!("state=\"{state}\","),
    };
    samples(&fs::read_to_string(file).ok()?).get(&format!("{name}{{{state}uid=\"{uid}\"}}")).copied()
}

fn until(file: &Path, name: &str, state: &str, value: f64) {
    wait::until(&format!("{name} {state} is {value}"), || sample(file, name, state) == Some(value));
}

#[test]
fn the_file_follows_what_happens() {
    let arena = Arena::new().live("x").live("homebase").dead("y");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("tmux-janitor.prom");
    let config = format!("keep = [\"homebase\"]\n[watch]\nmetrics-file = \"{}\"\n", file.display());
    let mut daemon = Daemon::configured(arena.dir(), &config);
    // Told ready, then written.
    until(&file, "tmux_janitor_removals_total", "", 1.0);
    let first = fs::read_to_string(&file).unwrap();
    assert_open_metrics(&first);
    for (name, state, value) in [
        ("tmux_janitor_sockets", "live", 2.0),
        ("tmux_janitor_sockets", "dead", 0.0),
        ("tmux_janitor_ghosts", "", 0.0),
        ("tmux_janitor_failures_total", "", 0.0),
        ("tmux_janitor_directory_errors", "", 0.0),
        ("tmux_janitor_live_servers", "place=\"standard\"", 2.0),
        ("tmux_janitor_server_deaths_total", "cause=\"signal\"", 0.0),
    ] {
        assert_eq!(sample(&file, name, state), Some(value), "{name} {state}: {first}");
    }
    let created = sample(&file, "tmux_janitor_removals_created", "").unwrap();
    let swept = sample(&file, "tmux_janitor_last_sweep_timestamp_seconds", "").unwrap();
    assert!(created > 1.7e9 && swept >= created, "{first}");
    assert!(sample(&file, "tmux_janitor_last_sweep_duration_seconds", "").is_some_and(|took| took > 0.0));

    let arena = arena.live("z");
    until(&file, "tmux_janitor_sockets", "live", 3.0);
    arena.server("x").signal(Signal::KILL);
    until(&file, "tmux_janitor_removals_total", "", 2.0);
    arena.server("homebase").signal(Signal::KILL);
    until(&file, "tmux_janitor_sockets", "spared", 1.0);
    assert_eq!(sample(&file, "tmux_janitor_sockets", "dead"), Some(0.0), "what is kept is no alarm");
    wait::until("both deaths are counted", || {
        let of =
            |cause: &str| sample(&file, "tmux_janitor_server_deaths_total", &format!("cause=\"{cause}\""));
        // Where process 1 does not wait for it in time, nobody knows how it ended.
        of("signal").zip(of("unknown")).is_some_and(|(signal, unknown)| signal + unknown == 2.0)
    });
    fs::remove_file(arena.path("z")).unwrap();
    until(&file, "tmux_janitor_ghosts", "", 1.0);
    assert_eq!(sample(&file, "tmux_janitor_removals_created", ""), Some(created), "the sum began once");
    daemon.rescan();
    wait::until("the rescan is told", || {
        sample(&file, "tmux_janitor_last_sweep_timestamp_seconds", "").is_some_and(|at| at > swept)
    });
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left beside it");
    daemon.stop();
}

#[test]
fn a_failed_removal_is_counted_and_so_is_a_directory_that_was_left_alone() {
    let arena = Arena::new().dead("blocked");
    fs::create_dir(arena.path("blocked.lock")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("x.prom");
    let config = format!("[watch]\nmetrics-file = \"{}\"\n", file.display());
    let mut daemon = Daemon::configured(arena.dir(), &config);
    until(&file, "tmux_janitor_failures_total", "", 1.0);
    until(&file, "tmux_janitor_sockets", "dead", 1.0);
    let open = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(arena.dir(), mode).unwrap();
    };
    open(0o777);
    daemon.rescan();
    until(&file, "tmux_janitor_directory_errors", "", 1.0);
    open(0o700);
    daemon.rescan();
    until(&file, "tmux_janitor_directory_errors", "", 0.0);
    // The chmod is an event of its own.
    let failures = || sample(&file, "tmux_janitor_failures_total", "");
    wait::until("it has failed again", || failures().is_some_and(|count| count >= 2.0));
    daemon.stop();
}

#[test]
fn a_file_that_cannot_be_written_is_one_warning_and_the_watch_goes_on() {
    let arena = Arena::new().live("x").live("y").live("z");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("later/x.prom");
    let config = format!("[watch]\nmetrics-file = \"{}\"\n", file.display());
    let mut daemon = Daemon::configured(arena.dir(), &config);
    for (label, gone) in [("x", 1), ("y", 2)] {
        arena.server(label).signal(Signal::KILL);
        daemon.until_told(&format!("; {gone} removed"));
    }
    assert_eq!(daemon.logged("the metrics cannot be written"), 1, "{}", daemon.log());
    assert_eq!(daemon.logged("its folder must be there"), 1, "{}", daemon.log());
    fs::create_dir(out.path().join("later")).unwrap();
    arena.server("z").signal(Signal::KILL);
    until(&file, "tmux_janitor_removals_total", "", 3.0);
    daemon.stop();
}

#[test]
fn the_last_that_happened_is_written_before_the_end() {
    let arena = Arena::new().live("x");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("x.prom");
    let config = format!("[watch]\nmetrics-file = \"{}\"\n", file.display());
    let daemon = Daemon::configured(arena.dir(), &config);
    arena.server("x").signal(Signal::KILL);
    wait::until("its socket goes", || !arena.has("x"));
    daemon.stop();
    assert_eq!(sample(&file, "tmux_janitor_removals_total", ""), Some(1.0));
}

#[test]
fn a_watch_that_removes_nothing_counts_nothing_as_swept() {
    let arena = Arena::new().live("x").dead("y");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("x.prom");
    let config = out.path().join("config.toml");
    fs::write(&config, format!("[watch]\nmetrics-file = \"{}\"\n", file.display())).unwrap();
    let mut command = crate::common::janitor::janitor(arena.dir());
    command.arg("--config").arg(&config).args(["watch", "--no-reap"]);
    let daemon = Daemon::of(command);
    until(&file, "tmux_janitor_sockets", "dead", 1.0);
    assert_eq!(sample(&file, "tmux_janitor_removals_total", ""), Some(0.0));
    assert_eq!(sample(&file, "tmux_janitor_last_sweep_timestamp_seconds", ""), None);
    daemon.stop();
}
