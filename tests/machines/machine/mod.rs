//! A machine for tests: this host's own systemd (PID 1, journald, logind, the message bus, user managers)
//! booted in namespaces on an overlay of this host's root file system, in about half a second.
//!
//! Nothing that happens inside reaches the host. Its disk, and with it /tmp, is kept over a [`Machine::reboot`]
//! and lives in memory. The program `supervisor` beside this file holds it; it ends the machine and removes all of
//! it when the pipe to its standard input closes, and a pipe closes however a test ends.
//!
//! In the machine, `/run/host/repository` is the repository and `/run/host/tmux-janitor` the program under test.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::common::reader::reader;
use crate::common::skip::skip;

/// What takes longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(180);

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running machine. It ends when this is dropped.
pub(crate) struct Machine {
    supervisor: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    /// PID 1 of the machine, as the host counts.
    pid: String,
    readiness: Readiness,
    console: File,
    room: tempfile::TempDir,
}

/// Where systemd tells by `sd_notify(3)` that the machine is up.
struct Readiness {
    socket: UnixDatagram,
    announced: Receiver<()>,
}

impl Readiness {
    /// At `notify` in `room`, in place of an earlier one. All that is said is read: systemd 257 goes on telling of
    /// itself, and waits for good for a reader of a full socket.
    fn listen(room: &Path) -> Self {
        // Through a descriptor: a path may have 107 bytes only.
        let handle = File::open(room).expect("the folder was just made");
        let path = format!("/proc/self/fd/{}/notify", handle.as_raw_fd());
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(path).expect("a socket can be bound");
        let heard = socket.try_clone().expect("a descriptor can be copied");
        let (tell, announced) = channel();
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(length @ 1..) = heard.recv(&mut message) {
                if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                    let _ = tell.send(());
                }
            }
        });
        Self { socket, announced }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // Ends the thread.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// A user of the machine, who lingers: their manager starts at boot.
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) uid: u32,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// A freshly installed, booted machine; `None`, after a loud skip, where this host cannot have one.
    #[track_caller]
    pub(crate) fn boot() -> Option<Self> {
        if let Err(reason) = possible() {
            skip(&reason);
            return None;
        }
        reader();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mount_point = target.join("machine");
        std::fs::create_dir_all(&mount_point).expect("the build directory can be written");

        let room = tempfile::tempdir_in(target).expect("the build directory can be written");
        let readiness = Readiness::listen(room.path());
        let console = tempfile::tempfile().expect("a temporary file can be made");
        let mut supervisor = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines/machine/supervisor"))
            .args([&mount_point, Path::new(env!("CARGO_MANIFEST_DIR"))])
            .arg(env!("CARGO_BIN_EXE_tmux-janitor"))
            .arg(room.path().join("notify"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console.try_clone().expect("a descriptor can be copied"))
            .spawn()
            .expect("unshare(1) was there a moment ago");

        let orders = supervisor.stdin.take();
        let lines = BufReader::new(supervisor.stdout.take().expect("its stdout is a pipe")).lines();
        let (tell, answers) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let pid = String::new();
        let mut machine = Self { supervisor, orders, answers, pid, readiness, console, room };
        machine.start();
        Some(machine)
    }

    /// Shuts down as `systemctl reboot` does and boots again.
    #[track_caller]
    pub(crate) fn reboot(&mut self) {
        // The answer tells that it happened; the command may be shut down before it can say so.
        self.try_sh("systemctl reboot");
        self.await_down();
        self.start();
    }

    /// Cuts the power and boots again.
    #[track_caller]
    pub(crate) fn crash(&mut self) {
        self.order("kill");
        self.await_down();
        self.start();
    }

    /// Ends all of user space but PID 1 and starts it again: `systemctl soft-reboot`, of systemd 254 and newer.
    #[track_caller]
    pub(crate) fn soft_reboot(&mut self) {
        // /tmp stays, as where it is a folder of the root: what has no default dependencies is not unmounted.
        self.sh("
            printf '[Unit]\\nDefaultDependencies=no\\n[Mount]\\nWhat=tmpfs\\nWhere=/tmp\\nType=tmpfs\\n' >/run/tmp.mount
            mv -f /run/tmp.mount /etc/systemd/system/
            systemctl daemon-reload
        ");
        let of_this_boot = "of-this-boot.service";
        self.sh(&format!("systemd-run --quiet --unit={of_this_boot} sleep infinity"));
        while self.readiness.announced.try_recv().is_ok() {}
        self.try_sh("systemctl soft-reboot");
        // A daemon-reload says READY=1, too.
        loop {
            self.await_readiness();
            if self.try_sh(&format!("systemctl is-active {of_this_boot}")).code != Some(0) {
                break;
            }
        }
        self.is_running();
    }

    /// A user with lingering, made if need be, whose manager has started all that it starts by itself.
    #[track_caller]
    pub(crate) fn user(&self, name: &'static str) -> User {
        self.sh(&format!(
            "id {name} >/dev/null 2>&1 || useradd --create-home --shell /bin/sh {name}; loginctl enable-linger {name}"
        ));
        let uid = self.sh(&format!("id -u {name}")).trim().parse().expect("id -u prints a number");
        let user = User { name, uid };
        self.sh(&format!("systemctl start user@{uid}.service"));
        let state = self.try_sh_as(&user, "systemctl --user is-system-running --wait");
        assert_eq!(state.out.trim(), "running", "the user manager of {name}: {state:?}");
        user
    }

    /// Runs a shell script as root, in no unit of the machine, and returns what it printed. It must succeed.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        succeeded(script, self.try_sh(script))
    }

    /// The same as a user, with the environment of a login.
    #[track_caller]
    pub(crate) fn sh_as(&self, user: &User, script: &str) -> String {
        succeeded(script, self.try_sh_as(user, script))
    }

    /// [`Machine::sh`], however it ends.
    #[track_caller]
    pub(crate) fn try_sh(&self, script: &str) -> Ended {
        self.run(&["env", "HOME=/root"], script)
    }

    /// [`Machine::sh_as`], however it ends.
    #[track_caller]
    pub(crate) fn try_sh_as(&self, user: &User, script: &str) -> Ended {
        let User { name, uid } = user;
        let login = [
            format!("--reuid={name}"),
            format!("--regid={name}"),
            "--init-groups".into(),
            "env".into(),
            format!("USER={name}"),
            format!("HOME=/home/{name}"),
            format!("PATH=/home/{name}/.local/bin:{PATH}"),
            format!("XDG_RUNTIME_DIR=/run/user/{uid}"),
            format!("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus"),
        ];
        let login: Vec<&str> = std::iter::once("setpriv").chain(login.iter().map(String::as_str)).collect();
        self.run(&login, script)
    }

    /// What the host can see of it: its first process and its cgroup.
    pub(crate) fn seen_from_the_host(&self) -> (PathBuf, PathBuf) {
        let process = Path::new("/proc").join(&self.pid);
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("proc(5) is mounted");
        let mut cgroup2 = mounts.lines().map(|line| line.split(' ')).filter_map(|mut fields| {
            let (place, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "cgroup2").then_some(place)
        });
        let cgroup = cgroup2.next().expect("the machine has found it");
        let cgroup = Path::new(cgroup).join(format!("tmux-janitor-test-{}", self.supervisor.id()));
        (process, cgroup)
    }

    /// The cgroup of what [`Machine::sh`] runs: in the machine, in none of its units.
    fn visitors(&self) -> PathBuf {
        self.seen_from_the_host().1.join("visitors")
    }

    #[track_caller]
    fn run(&self, wrapper: &[&str], script: &str) -> Ended {
        // Files, not pipes: a process that outlives the script would keep a pipe open, and us waiting.
        let mut out = tempfile::tempfile().expect("a temporary file can be made");
        let mut err = tempfile::tempfile().expect("a temporary file can be made");
        let deadline = DEADLINE.as_secs().to_string();
        // First into a cgroup of the machine: from 257 on, logind refuses callers whose own lies outside of it.
        let status = Command::new("sh")
            .args(["-euc", "echo $$ >\"$1\"; shift; exec \"$@\"", "enter"])
            .arg(self.visitors().join("cgroup.procs"))
            .args([
                "nsenter", "--target", &self.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
            ])
            .args(["--root", "--wd", "env", "--ignore-environment", "LANG=C.UTF-8"])
            .args([format!("PATH={PATH}"), format!("TMUX_BIN={}", tmux())])
            .args(["timeout", "--kill-after=5", &deadline])
            .args(wrapper)
            .args(["sh", "-euc", script])
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a descriptor can be copied"))
            .stderr(err.try_clone().expect("a descriptor can be copied"))
            .status()
            .expect("nsenter(1) can be run");
        Ended { code: status.code(), out: text(&mut out), err: text(&mut err) }
    }

    #[track_caller]
    fn start(&mut self) {
        // A socket of its own for each boot: since 257 every daemon-reload says READY=1, too, and what the last boot
        // said is not this one's.
        self.readiness = Readiness::listen(self.room.path());
        self.order("boot");
        let answer = self.answer();
        match answer.strip_prefix("pid ") {
            Some(pid) => pid.clone_into(&mut self.pid),
            None => panic!("the machine did not start:\n{}", text(&mut self.console)),
        }
        std::fs::create_dir_all(self.visitors()).expect("the machine's cgroup is there");
        self.await_readiness();
        self.is_running();
    }

    #[track_caller]
    fn is_running(&self) {
        let state = self.try_sh("systemctl is-system-running --wait");
        assert_eq!(state.out.trim(), "running", "{}", self.try_sh("systemctl --failed").out);
    }

    #[track_caller]
    fn await_readiness(&mut self) {
        let announced = self.readiness.announced.recv_timeout(DEADLINE);
        assert!(announced.is_ok(), "the machine did not come up:\n{}", text(&mut self.console));
    }

    #[track_caller]
    fn order(&mut self, word: &str) {
        let orders = self.orders.as_mut().expect("it is there until the end");
        writeln!(orders, "{word}").expect("the supervisor listens");
    }

    #[track_caller]
    fn answer(&self) -> String {
        self.answers.recv_timeout(DEADLINE).expect("the supervisor answers in time")
    }

    #[track_caller]
    fn await_down(&self) {
        assert_eq!(self.answer(), "down");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let state = self.try_sh("systemctl --failed; journalctl --boot --no-pager --lines=80");
            let _ = writeln!(std::io::stderr(), "the machine at the end:\n{}{}", state.out, state.err);
        }
        self.orders.take();
        let _ = self.supervisor.wait();
    }
}

/// The tmux of the tests.
fn tmux() -> String {
    std::env::var("TMUX_BIN").unwrap_or_else(|_| "tmux".into())
}

/// Whether a machine can be had here, else what is missing.
fn possible() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("a test machine needs root".into());
    }
    let systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
    if !systemd.iter().any(|path| Path::new(path).exists()) {
        return Err("a test machine needs systemd".into());
    }
    for program in
        ["unshare", "nsenter", "setpriv", "useradd", "dbus-daemon|dbus-broker", "loginctl", &tmux()]
    {
        let any = program.split('|').any(|name| succeeds("sh", &["-c", &format!("command -v {name}")]));
        if !any {
            return Err(format!("a test machine needs {program}"));
        }
    }
    let namespaces = ["--mount", "--pid", "--cgroup", "--net", "--uts", "--ipc", "--fork", "true"];
    if !succeeds("unshare", &namespaces) {
        return Err("this root may not make namespaces, which a test machine needs".into());
    }
    Ok(())
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let silent = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    silent.is_ok_and(|status| status.success())
}

#[track_caller]
fn succeeded(script: &str, ended: Ended) -> String {
    let Ended { code, out, err } = ended;
    assert_eq!(code, Some(0), "{script}\n-- printed:\n{out}\n-- and on stderr:\n{err}");
    out
}

/// A file's text from its beginning; names in it need not be UTF-8.
fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.expect("our own file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
