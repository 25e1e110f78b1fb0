//! A server that hangs up on everybody who connects, and why, as far as it can be seen without asking it.
//!
//! One that was told to end does so (server.c: `server_accept`) until the last of its clients has gone: its sessions
//! are over, so that it holds no pane's terminal. One of another version does so because it takes what it reads for
//! noise (3.7 and whatever is older); it may have any number of sessions, which its own program reaches.

use super::job::Job;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tmux_sockets::judge::TableSays;
use tmux_sockets::kernel::FileFacts;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::SocketNumber;
use tmux_sockets::kernel::TableSource;
use tmux_sockets::kernel::escape::{escaped, shell_word};
use tmux_sockets::kernel::{Process, Processes};
use tmux_sockets::witness::Witness;

/// How many clients are named.
const NAMED: usize = 3;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Refusal {
    path: PathBuf,
    server: Option<Pid>,
    /// tmux's own words.
    said: String,
    after: Duration,
    /// Its program and ours, where they are two.
    programs: Option<(PathBuf, PathBuf)>,
    /// Whether it has no pane any more: it has ended its sessions, and waits.
    is_ending: bool,
    /// Who is connected to it.
    clients: Vec<Client>,
}

/// A client of the server.
#[derive(Debug)]
struct Client {
    pid: Pid,
    /// Its command line, or its name.
    line: OsString,
}

impl Job<'_> {
    /// Looks at a server that has hung up on us for a time.
    pub(super) fn refusal(
        &self,
        server: Option<Pid>,
        said: String,
        after: Duration,
        witness: &mut Witness,
    ) -> Refusal {
        let all = Processes::open().ok();
        let process = server.and_then(|pid| all.as_ref()?.by_pid(pid));
        let is_ending =
            process.as_ref().is_some_and(|process| process.holds_terminals().is_ok_and(|holds| !holds));
        let programs = process.and_then(|process| two_programs(&process, &self.settings.spawn.tmux));
        let clients = all.map(|all| self.clients(&all, witness)).unwrap_or_default();
        Refusal { path: self.place.path.clone(), server, said, after, programs, is_ending, clients }
    }

    /// Who is connected to the server that listens at the path.
    fn clients(&self, all: &Processes, witness: &mut Witness) -> Vec<Client> {
        witness.refresh();
        let listed = self.place.dir.look(&self.place.label).ok().and_then(|facts| witness.lists(facts.id));
        let Some(TableSays::Listed { socket, .. }) = listed else { return Vec::new() };
        let Some(listener) = witness.table().iter().find(|bound| bound.socket == socket) else {
            return Vec::new();
        };
        let peers = TableSource::open().and_then(|mut source| source.connected_to(&listener));
        let peers: HashSet<SocketNumber> = peers.unwrap_or_default().into_iter().collect();
        let mut pids: Vec<Pid> = all.holders(self.user, &peers).into_values().collect();
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().filter_map(|pid| Client::of(&all.by_pid(pid)?)).collect()
    }
}

impl Client {
    fn of(process: &Process) -> Option<Self> {
        let words = process.command_line().unwrap_or_default();
        let words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let line = words.collect::<Vec<_>>().join(&b' ');
        let line = if line.is_empty() { process.comm()? } else { line };
        Some(Self { pid: process.pid, line: OsString::from_vec(line) })
    }
}

/// A server's program and the one that `name` stands for, if they are two. A script stands for any other.
fn two_programs(server: &Process, name: &Path) -> Option<(PathBuf, PathBuf)> {
    let ours = in_path(name)?;
    let mut file = File::open(&ours).ok()?;
    let mut magic = [0; 4];
    let is_binary = file.read_exact(&mut magic).is_ok() && magic == *b"\x7fELF";
    let is_other = server.program_id()? != FileFacts::of(file.as_fd()).ok()?.id;
    (is_binary && is_other).then_some((server.program()?, ours))
}

/// The program as execvp(3) finds it.
fn in_path(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return Some(name.to_owned());
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|file| file.is_file())
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pid = self.server.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        write!(
            f,
            "{}: its server{pid} is alive and has refused every client for {:.1} s: \"{}\"; nothing was changed",
            escaped(&self.path),
            self.after.as_secs_f64(),
            escaped(&self.said)
        )?;
        if let Some((its, ours)) = &self.programs {
            write!(f, "; it runs {}, and spawn ran {}", escaped(its), escaped(ours))?;
            if let Some(pid) = self.server {
                let path = shell_word(&self.path);
                write!(
                    f,
                    "; if those are two versions of tmux, `/proc/{pid}/exe -S {path} attach` reaches it"
                )?;
            }
        }
        if self.is_ending { self.what_it_waits_for(f) } else { Ok(()) }
    }
}

impl Refusal {
    fn what_it_waits_for(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("; it has no session and seems to be ending (kill-server)")?;
        if self.clients.is_empty() {
            return match self.server {
                Some(pid) => {
                    write!(f, ", and to wait for what it has started: `ps -f --ppid {pid}` shows that")
                }
                None => Ok(()),
            };
        }
        f.write_str(", and to wait for ")?;
        for (client, at) in self.clients.iter().take(NAMED).zip(0..) {
            let and = if at == 0 { "its client" } else { " and" };
            write!(f, "{and} pid {} (`{}`)", client.pid, escaped(&client.line))?;
        }
        if self.clients.len() > NAMED {
            write!(f, " and {} more", self.clients.len() - NAMED)?;
        }
        let pids: Vec<String> = self.clients.iter().map(|client| client.pid.to_string()).collect();
        write!(f, "; `kill -9 {}` lets it end", pids.join(" "))
    }
}
