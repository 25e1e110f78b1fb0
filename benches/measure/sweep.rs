//! What a sweep costs, beside what people use instead. Needs tmux and systemd-tmpfiles.

use super::scene::{
    PROGRAM, Server, in_turn, janitor, make_dead, peak_memory, room, shell, time_success, tmux,
};
use super::section::{Scale, Section};
use rustix::process::Signal;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

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

    // Where nothing is bound at all, systemd-tmpfiles reads the table anew for every name and looks slower than it is.
    let _bound = UnixListener::bind(disk.path().join("bound")).unwrap();

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
    section.compare(&work, "systemd-tmpfiles (no lock, no connect)", times.wall, "≤ 6 ×, aim 3 ×");
    section.compare(&format!("{work}: processor time"), "the same", times.processor, "aim 3.7 ×");

    let (work, worst) = worst_starts(&dir, many, runs);
    section.compare(&work, "the worst of as many without a sweep", worst, "≤ 130 ms");

    let dir = memory.path().join("s");
    let ours = || janitor(&dir, &["-q", "sweep"]);
    let times = in_turn(runs, || make_dead(&dir, some), ours, || shell(LOOP, &dir)).wall;
    let peer = "`timeout 2 tmux -S s list-sessions \\|\\| rm s`";
    section.compare(&format!("{some} dead sockets, tmpfs"), peer, times, "50 ×, aim 150 ×");

    make_dead(&dir, 0);
    let servers = super::scene::servers(&dir, some);
    servers[some / 2].signal(Signal::STOP);
    let times = in_turn(scale.of(3, 1), || (), ours, || shell(LOOK, &dir)).wall;
    let work = format!("{some} live servers, one stopped");
    section.compare(&work, "the same loop, without its `rm`", times, "300 ×");
    drop(servers);

    make_dead(&dir, 0);
    let times = in_turn(scale.of(101, 5), || (), ours, || Command::new("true")).wall;
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

/// The worst start of tmux on a dead label while a folder is swept, of some sweeps, and the worst of as many starts on dead
/// labels that nobody sweeps.
fn worst_starts(dir: &Path, dead: usize, runs: usize) -> (String, [Duration; 2]) {
    let mut times = Vec::new();
    let mut quiet = Duration::ZERO;
    for _ in 0..runs {
        make_dead(dir, dead);
        // In the order in which they are swept.
        let mut labels: Vec<PathBuf> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        labels.sort_unstable();
        let mut labels = labels.into_iter();
        let mut sweep = janitor(dir, &["-q", "sweep"]).stdin(Stdio::null()).spawn().unwrap();
        let mut servers = Vec::new();
        let begun = times.len();
        while sweep.try_wait().unwrap().is_none() {
            // Those that are next: one of them is locked, or is about to be.
            let Some(label) = labels.find(|label| label.exists()) else { break };
            times.push(start(&label));
            servers.push(label);
        }
        assert!(sweep.wait().unwrap().success(), "the sweep failed");
        servers.into_iter().for_each(end);
        let dead: Vec<PathBuf> =
            (begun..times.len()).map(|number| dir.join(format!("dead-{number}"))).collect();
        for label in dead {
            drop(UnixListener::bind(&label).unwrap());
            quiet = quiet.max(start(&label));
            end(label);
        }
    }
    let work = format!(
        "start of tmux on a dead label while {} are swept, disk: the worst of {}",
        thousands(dead),
        times.len()
    );
    (work, [times.into_iter().max().unwrap_or_default(), quiet])
}

/// How long tmux takes to start a server.
fn start(socket: &Path) -> Duration {
    time_success(tmux(socket).args(["new-session", "-d", "sleep 1000"]))
}

/// Ends the server on a socket, and takes the socket away.
fn end(socket: PathBuf) {
    let server = Server::on(socket.clone());
    server.signal(Signal::KILL);
    server.wait_for_end();
    fs::remove_file(socket).unwrap();
}

/// `10,000`
pub(crate) fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
