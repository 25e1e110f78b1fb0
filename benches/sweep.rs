//! What a sweep costs, beside what people use instead. `cargo bench --bench sweep` prints the table.
//!
//! Each row is measured in one run, the two sides in turn, because machines are noisy: only the ratio
//! counts. Needs tmux and systemd-tmpfiles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that fails says so"
)]

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");
const RUNS: usize = 5;

/// The loop that everybody writes.
const LOOP: &str =
    r#"for s in "$1"/*; do timeout 2 tmux -S "$s" list-sessions >/dev/null 2>&1 || rm -f "$s"; done"#;
/// The same without its harm: a stopped server would lose its socket.
const LOOK: &str = r#"for s in "$1"/*; do timeout 2 tmux -S "$s" list-sessions >/dev/null 2>&1 || :; done"#;

fn janitor(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--dir").arg(dir).args(arguments).env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

fn shell(script: &str, dir: &Path) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(dir).env_remove("TMUX");
    command
}

fn time(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let spent = begun.elapsed();
    assert!(status.is_ok_and(|status| status.code().is_some()), "{command:?} did not run");
    spent
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Times two commands in turn; `fresh` sets the scene before each.
fn pair(
    runs: usize,
    mut fresh: impl FnMut(),
    ours: impl Fn() -> Command,
    theirs: impl Fn() -> Command,
) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        fresh();
        times[0].push(time(&mut ours()));
        fresh();
        times[1].push(time(&mut theirs()));
    }
    [median(&mut times[0]), median(&mut times[1])]
}

fn make_dead(dir: &Path, count: usize) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir).unwrap();
    for number in 0..count {
        drop(UnixListener::bind(dir.join(format!("dead-{number}"))).unwrap());
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn row(work: &str, peer: &str, [ours, theirs]: [Duration; 2], aim: &str) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let ratio =
        if ratio < 1.0 { format!("{:.0} × faster", 1.0 / ratio) } else { format!("{ratio:.1} × its time") };
    println!("| {work} | {} | {peer} | {} | {ratio} | {aim} |", milliseconds(ours), milliseconds(theirs));
}

/// Real servers; they end with the value.
struct Servers(Vec<i32>);

impl Servers {
    fn start(dir: &Path, count: usize) -> Self {
        let mut pids = Vec::new();
        for number in 0..count {
            let output = Command::new("tmux")
                .args(["-f", "/dev/null", "-S"])
                .arg(dir.join(format!("live-{number}")))
                .args(["new-session", "-d", "-P", "-F", "#{pid}", "sleep 3600"])
                .env_remove("TMUX")
                .output()
                .expect("tmux is installed");
            pids.push(String::from_utf8_lossy(&output.stdout).trim().parse().expect("a pid"));
        }
        Self(pids)
    }

    fn signal(&self, at: usize, signal: rustix::process::Signal) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(self.0[at]).unwrap(), signal);
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for at in 0..self.0.len() {
            self.signal(at, rustix::process::Signal::CONT);
            self.signal(at, rustix::process::Signal::KILL);
        }
    }
}

/// Peak memory of the children of this process, in KiB (getrusage(2)).
fn peak_memory() -> i64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    usage.max_rss()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // Started by ourselves: its children are one janitor, so the peak is that one's.
    if let Some(at) = arguments.iter().position(|argument| argument == "--peak-of") {
        let path = Path::new(&arguments[at + 1]);
        time(&mut janitor(path, &["sweep", "--json"]));
        println!("{}", peak_memory());
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    println!("| work | tmux-janitor | against | | ratio | asked |\n| --- | --- | --- | --- | --- | --- |");

    let dir = disk.path().join("s");
    let rules = disk.path().join("rules.conf");
    fs::write(&rules, format!("e {} - - - 0\n", dir.display())).unwrap();
    let tmpfiles = || {
        let mut command = Command::new("systemd-tmpfiles");
        command.arg("--clean").arg(&rules);
        command
    };
    let times = pair(RUNS, || make_dead(&dir, 10_000), || janitor(&dir, &["-q", "sweep"]), tmpfiles);
    row("10,000 dead sockets, disk", "systemd-tmpfiles (no lock, no connect)", times, "≤ 6 ×, aim 3 ×");

    let dir = memory.path().join("s");
    let ours = || janitor(&dir, &["-q", "sweep"]);
    let times = pair(RUNS, || make_dead(&dir, 200), ours, || shell(LOOP, &dir));
    row(
        "200 dead sockets, tmpfs",
        "`timeout 2 tmux -S s list-sessions \\|\\| rm s`",
        times,
        "50 ×, aim 150 ×",
    );

    make_dead(&dir, 0);
    let servers = Servers::start(&dir, 200);
    servers.signal(100, rustix::process::Signal::STOP);
    let times = pair(3, || (), ours, || shell(LOOK, &dir));
    row("200 live servers, one stopped", "the same loop, without its `rm`", times, "300 ×");
    drop(servers);

    make_dead(&dir, 0);
    let times = pair(101, || (), ours, || Command::new("true"));
    let [more, base] = times;
    row("nothing to do", "`true`", times, "≤ 2 ms more");
    println!("\n- nothing to do: {} more than `true`", milliseconds(more.saturating_sub(base)));

    let dir = disk.path().join("s");
    make_dead(&dir, 10_000);
    let peak = Command::new(std::env::current_exe().unwrap()).arg("--peak-of").arg(&dir).output().unwrap();
    let peak: f64 = String::from_utf8_lossy(&peak.stdout).trim().parse().unwrap();
    println!(
        "- peak memory of `sweep --json` at 10,000 dead sockets: {:.1} MB (asked: ≤ 12 MB)",
        peak / 1024.0
    );
    let size = fs::metadata(PROGRAM).unwrap().len();
    println!("- the program: {:.2} MB (asked: ≤ 2 MB)", f64::from(u32::try_from(size).unwrap()) / 1e6);
}
