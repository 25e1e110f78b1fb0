//! The mass: servers that are no tmux, but start and end as tmux does, thousands in a second.
//!
//! They are threads of one process of its own, this very program started once more: nothing is forked
//! there, so a closed listener is closed at once. On each label several of them start, look, and end.
//!
//! tmux has a hole of its own (docs/protocol.md, What remains): a server that dies at once, while another
//! client is between opening its lock file and looking whether it lives, leaves that client with a lock that has
//! lost its name. So a fake that is to end waits for those clients first: whatever is lost then, a janitor has lost.

use crate::common::dice::Dice;
use crate::common::wait;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Few, so that they meet. On the last ones everybody pauses longer: there dead sockets stand long enough for a
/// sweep to come by.
pub(crate) const LABELS: [&str; 6] = ["crowd-a", "crowd-b", "crowd-c", "calm-a", "calm-b", "calm-c"];

/// How many start servers on each.
const STARTERS: usize = 3;

const FOLDER: &str = "TMUX_JANITOR_SOAK_FAKES";

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) started: usize,
    pub(crate) ended: usize,
    /// A server was there already.
    pub(crate) joined: usize,
    /// Another start, or a janitor, held the lock.
    pub(crate) waited: usize,
}

#[derive(Debug, Default)]
struct Tally {
    started: AtomicUsize,
    ended: AtomicUsize,
    joined: AtomicUsize,
    waited: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    fn note(&self, wrong: String) {
        self.wrong.lock().unwrap().push(wrong);
    }
}

fn one_more(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A label, and what its starters know of each other.
struct Label {
    path: PathBuf,
    lock: PathBuf,
    address: SocketAddrUnix,
    /// How long its starters pause, as a power of two.
    pause: u32,
    /// Odd while that starter is between opening the lock file and looking whether the server lives.
    windows: [AtomicUsize; STARTERS],
    /// How many of them stand still, the first one with a server.
    at_rest: AtomicUsize,
}

/// A server.
struct Fake {
    listener: OwnedFd,
    file: (u64, u64),
}

enum Start {
    Server(Fake),
    /// One is there already, or another start is under way: again.
    Other,
}

impl Label {
    fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        Self {
            lock: folder.join(format!("{name}.lock")),
            address: SocketAddrUnix::new(&path).unwrap(),
            path,
            pause: if name.starts_with("calm") { 4 } else { 0 },
            windows: Default::default(),
            at_rest: AtomicUsize::new(0),
        }
    }

    /// Whether somebody listens; any error that tmux would give up at is one of ours.
    fn is_live(&self) -> Result<bool, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let client = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&client, &self.address) {
            // A full backlog is a server's.
            Ok(()) | Err(Errno::AGAIN) => Ok(true),
            Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// client.c: `client_connect`, `client_get_lock`; server.c: `server_create_socket`.
    fn start(&self, starter: usize, tally: &Tally) -> Result<Start, Errno> {
        if self.is_live()? {
            one_more(&tally.joined);
            return Ok(Start::Other);
        }
        let window = &self.windows[starter];
        window.fetch_add(1, Ordering::SeqCst);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&self.lock, flags, Mode::RUSR | Mode::WUSR);
        let taken = lock.and_then(|lock| match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok((lock, true)),
            Err(Errno::AGAIN) => Ok((lock, false)),
            Err(errno) => Err(errno),
        });
        let is_live = matches!(taken, Ok((_, true))).then(|| self.is_live());
        window.fetch_add(1, Ordering::SeqCst);
        let (lock, is_ours) = taken?;
        if !is_ours {
            one_more(&tally.waited);
            flock(&lock, FlockOperation::LockExclusive)?;
            return Ok(Start::Other);
        }
        if is_live.transpose()?.unwrap_or_default() {
            one_more(&tally.joined);
            return Ok(Start::Other);
        }
        for _ in ["the client's", "the server's"] {
            match rustix::fs::unlink(&self.path) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&listener, &self.address)?;
        rustix::net::listen(&listener, 128)?;
        rustix::fs::chmod(&self.path, Mode::RUSR | Mode::WUSR)?;
        let file = self.file().ok_or(Errno::NOENT)?;
        match rustix::fs::unlink(&self.lock) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        drop(lock);
        Ok(Start::Server(Fake { listener, file }))
    }

    /// What stands at the path now.
    fn file(&self) -> Option<(u64, u64)> {
        std::fs::symlink_metadata(&self.path).ok().map(|facts| (facts.dev(), facts.ino()))
    }

    /// The path must lead to the server: its inode, which nobody else can have while the server lives.
    fn check(&self, fake: &Fake, when: &str) -> Result<(), String> {
        while rustix::net::accept(&fake.listener).is_ok() {}
        let now = self.file();
        if now == Some(fake.file) {
            Ok(())
        } else {
            Err(format!("{} is lost {when}: {now:?} stands there, not {:?}", self.path.display(), fake.file))
        }
    }

    /// Waits until no client has a lock file open that it might take without its name.
    fn wait_for_clients(&self) {
        for window in &self.windows {
            let seen = window.load(Ordering::SeqCst);
            while seen % 2 == 1 && window.load(Ordering::SeqCst) == seen {
                std::thread::yield_now();
            }
        }
    }

    fn pause(&self, dice: &mut Dice) {
        std::thread::sleep(Duration::from_micros(100 << dice.below(5) << self.pause));
    }

    /// Starts and ends servers until it is told to rest, then stands still.
    fn storm(&self, starter: usize, tally: &Tally, orders: &Orders) {
        let mut dice = Dice::of(0x9e37_79b9 + 2 * u64::try_from(starter).unwrap());
        while !orders.over.load(Ordering::SeqCst) {
            if orders.rest.load(Ordering::SeqCst) {
                self.rest(starter, tally, orders);
                continue;
            }
            match self.start(starter, tally) {
                Ok(Start::Server(fake)) => {
                    one_more(&tally.started);
                    let life = dice.below(4);
                    let mut lived = self.check(&fake, "after its start");
                    for _ in 0..life {
                        std::thread::sleep(Duration::from_micros(50 << dice.below(6)));
                        lived = lived.and_then(|()| self.check(&fake, "while it lives"));
                    }
                    self.wait_for_clients();
                    lived = lived.and_then(|()| self.check(&fake, "at its end"));
                    drop(fake);
                    one_more(&tally.ended);
                    self.pause(&mut dice);
                    if let Err(wrong) = lived {
                        tally.note(wrong);
                    }
                }
                Ok(Start::Other) => self.pause(&mut dice),
                Err(errno) => {
                    tally.note(format!("a start failed: {errno}"));
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    /// The others stand still; then the first has the label's server, until the rest is over.
    fn rest(&self, starter: usize, tally: &Tally, orders: &Orders) {
        let is_over = || !orders.rest.load(Ordering::SeqCst) || orders.over.load(Ordering::SeqCst);
        let mut server = None;
        let mut counted = false;
        while !is_over() {
            let others = self.at_rest.load(Ordering::SeqCst) == STARTERS - 1;
            if !counted && starter > 0 {
                self.at_rest.fetch_add(1, Ordering::SeqCst);
                counted = true;
            } else if !counted && others {
                match self.start(starter, tally) {
                    Ok(Start::Server(fake)) => {
                        one_more(&tally.started);
                        server = Some(fake);
                        self.at_rest.fetch_add(1, Ordering::SeqCst);
                        counted = true;
                    }
                    Ok(Start::Other) => {}
                    Err(errno) => tally.note(format!("a start at rest failed: {errno}")),
                }
            } else if let Some(Err(wrong)) = server.as_ref().map(|fake| self.check(fake, "at rest")) {
                tally.note(wrong);
                server = None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.at_rest.fetch_sub(usize::from(counted), Ordering::SeqCst);
        if server.is_some() {
            one_more(&tally.ended);
        }
    }
}

#[derive(Default)]
struct Orders {
    rest: AtomicBool,
    over: AtomicBool,
}

/// The process of the fakes. A line on its standard input makes them rest, or go on; its end ends them.
#[test]
#[ignore = "not a test: the soak runs it"]
fn fakes_of_the_soak() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let labels = LABELS.map(|name| Label::new(Path::new(&folder), name));
    let (tally, orders) = (Tally::default(), Orders::default());
    orders.rest.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for (starter, label) in
            (0..STARTERS).flat_map(|starter| labels.iter().map(move |label| (starter, label)))
        {
            let (tally, orders) = (&tally, &orders);
            scope.spawn(move || label.storm(starter, tally, orders));
        }
        for order in std::io::stdin().lines().map_while(Result::ok) {
            orders.rest.store(order == "rest", Ordering::SeqCst);
            if order == "rest" {
                wait::until("the fakes rest", || {
                    labels.iter().all(|label| label.at_rest.load(Ordering::SeqCst) == STARTERS)
                });
                let get = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
                let wrong = tally.wrong.lock().unwrap().join("; ");
                // Not println!, which the test runner keeps for itself.
                let _ = writeln!(
                    std::io::stdout(),
                    "FAKES {} {} {} {} {wrong}",
                    get(&tally.started),
                    get(&tally.ended),
                    get(&tally.joined),
                    get(&tally.waited)
                );
            }
        }
        orders.over.store(true, Ordering::SeqCst);
    });
}

/// The fakes of one folder.
#[derive(Debug)]
pub(crate) struct Fakes {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Fakes {
    /// Their process; they stand still until they are told to [`Self::go`].
    pub(crate) fn begin(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "soak::fakes::fakes_of_the_soak", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, orders, answers }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
    }

    pub(crate) fn go(&mut self) {
        self.order("go");
    }

    /// Has one live server on each label, and no more; what happened so far.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Figures {
        self.order("rest");
        let mut line = String::new();
        while !line.contains("FAKES ") {
            line.clear();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the fakes have ended");
        }
        // The test runner's words may stand before it.
        let told = line.trim_end().split_once("FAKES ").unwrap().1;
        let parts: Vec<&str> = told.splitn(5, ' ').collect();
        let number = |at: usize| parts[at].parse().unwrap();
        assert_eq!(parts.get(4).copied().unwrap_or_default(), "", "after {told}");
        Figures { started: number(0), ended: number(1), joined: number(2), waited: number(3) }
    }

    /// Ends them all at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
