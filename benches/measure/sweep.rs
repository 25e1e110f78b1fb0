//! What a sweep costs, beside what people use instead. Needs tmux and systemd-tmpfiles.

use super::scene::{PROGRAM, in_turn, janitor, make_dead, peak_memory, room, shell};
use super::section::{Scale, Section};
use rustix::process::Signal;
use std::fs;
use std::process::Command;

/// The loop that everybody writes.
pub(crate) const LOOP: &str =
    r#"for s in "$1"/*; do timeout 2 tmux -S "$s" list-sessions >/dev/null 2>&1 || rm -f "$s"; done"#;
/// The same without its harm: a stopped server would lose its socket.
const LOOK: &str = r#"for s in "$1"/*; do timeout 2 tmux -S "$s" list-sessions >/dev/null 2>&1 || :; done"#;

pub(crate) fn measure(scale: Scale) -> Section {
    let mut section = Section::versus("sweep", "What a sweep takes");
    let (many, some, runs) = (scale.of(10_000, 300), scale.of(200, 5), scale.of(5, 1));
    let disk = room(false);
    let memory = room(true);

    let dir = disk.path().join("s");
    let rules = disk.path().join("rules.conf");
    fs::write(&rules, format!("e {} - - - 0\n", dir.display())).unwrap();
    let tmpfiles = || {
        let mut command = Command::new("systemd-tmpfiles");
        command.arg("--clean").arg(&rules);
        command
    };
    let times = in_turn(runs, || make_dead(&dir, many), || janitor(&dir, &["-q", "sweep"]), tmpfiles);
    let work = format!("{} dead sockets, disk", thousands(many));
    section.compare(&work, "systemd-tmpfiles (no lock, no connect)", times, "≤ 6 ×, aim 3 ×");

    let dir = memory.path().join("s");
    let ours = || janitor(&dir, &["-q", "sweep"]);
    let times = in_turn(runs, || make_dead(&dir, some), ours, || shell(LOOP, &dir));
    let peer = "`timeout 2 tmux -S s list-sessions \\|\\| rm s`";
    section.compare(&format!("{some} dead sockets, tmpfs"), peer, times, "50 ×, aim 150 ×");

    make_dead(&dir, 0);
    let servers = super::scene::servers(&dir, some);
    servers[some / 2].signal(Signal::STOP);
    let times = in_turn(scale.of(3, 1), || (), ours, || shell(LOOK, &dir));
    let work = format!("{some} live servers, one stopped");
    section.compare(&work, "the same loop, without its `rm`", times, "300 ×");
    drop(servers);

    make_dead(&dir, 0);
    let times = in_turn(scale.of(101, 5), || (), ours, || Command::new("true"));
    section.compare("nothing to do", "`true`", times, "≤ 2 ms more");

    let dir = disk.path().join("s");
    make_dead(&dir, many);
    let ours = peak_memory(&janitor(&dir, &["sweep", "--json"]));
    make_dead(&dir, many);
    let theirs = peak_memory(&tmpfiles());
    section.note(format!(
        "peak memory of `sweep --json` at {} dead sockets: {ours:.1} MB, of systemd-tmpfiles {theirs:.1} MB (asked: ≤ 12 MB)",
        thousands(many)
    ));
    let megabytes = |path: &str| {
        fs::metadata(path).map_or(0.0, |about| f64::from(u32::try_from(about.len()).unwrap()) / 1e6)
    };
    section.note(format!("the program: {:.2} MB (asked: ≤ 2 MB)", megabytes(PROGRAM)));
    section
}

/// `10,000`
pub(crate) fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
