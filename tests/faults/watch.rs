//! Faults in the daemon: in its start, a death, a birth, another death, a reload and its end.
//!
//! Whatever fails: while it runs it obeys SIGTERM, does not turn without a pause, and what fails only once is
//! made good by the next rescan at the latest. If it cannot run it says so, and ends with a code of the contract.

use crate::common::arena::Server;
use crate::common::janitor::janitor;
use crate::common::wait::{self, DEADLINE};
use crate::plan::{self, Fault, Sample, What};
use crate::play;
use crate::scene::{Scene, start};
use crate::strace::{self, Traced, children_of};
use rustix::process::{Pid, Signal};
use std::cell::Cell;
use std::fs;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long an event is given to have its effect, before a rescan has to bring it.
const EVENT: Duration = Duration::from_millis(400);

/// How many rescans: one that fails itself is made good by the next.
const RESCANS: usize = 3;

/// The same, of a fault that lasts: then nothing can be asked for but that it stays obedient.
const WHILE_IT_LASTS: Duration = Duration::from_millis(60);

/// How many lives are lived at once: most of each is waiting.
const AT_ONCE: usize = 4;

/// How many times as many calls of one name, and some, as in an undisturbed run are no work: it turns without a
/// pause. Those that look through `/proc` are as many as the machine has processes.
const MOST: usize = 100;

fn watch(scene: &Scene) -> Command {
    let mut command = janitor(&scene.dir);
    command.args(["-v", "watch"]).env("NOTIFY_SOCKET", scene.scratch().join("notify"));
    command
}

/// What becomes of a daemon under a fault.
struct Run<'a> {
    scene: &'a Scene,
    what: Option<What>,
    manager: UnixDatagram,
    strace: &'a mut Child,
    /// How often it has told the service manager that it is ready, and how often anybody.
    told: usize,
    ready: usize,
    /// It can tell nobody anything.
    is_mute: bool,
}

impl Run<'_> {
    fn has_ended(&mut self) -> bool {
        self.strace.try_wait().unwrap().is_some()
    }

    /// Waits for something, for its end, or for the bound; whether it came.
    fn waits(&mut self, bound: Duration, mut holds: impl FnMut(&mut Self) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if holds(self) {
                return true;
            }
            if self.has_ended() || begun.elapsed() > bound {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The daemon itself, once strace has started it.
    fn daemon(&self) -> Option<Pid> {
        children_of(self.strace.id()).first().copied()
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by now.
        let _ = self.daemon().map(|pid| rustix::process::kill_process(pid, signal));
    }

    /// Whether it reads SIGTERM itself by now (signalfd(2); `SigBlk` in `/proc/PID/status`).
    fn reads_sigterm(&self) -> bool {
        let Some(daemon) = self.daemon() else { return false };
        let status =
            fs::read_to_string(format!("/proc/{}/status", daemon.as_raw_nonzero())).unwrap_or_default();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
        let blocked = blocked.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or_default();
        blocked >> (Signal::TERM.as_raw() - 1) & 1 == 1
    }

    /// Waits until it says once more that it is ready; of one that can tell nobody, until it could be.
    fn is_ready(&mut self) -> bool {
        if self.is_mute {
            let reads_it = self.waits(DEADLINE, |run| run.reads_sigterm());
            self.waits(EVENT, |_| false);
            return reads_it;
        }
        let log = self.scene.scratch().join("err");
        let before = self.ready;
        self.waits(DEADLINE, |run| {
            let mut buffer = [0; 4096];
            while let Ok(length) = run.manager.recv(&mut buffer) {
                run.told += usize::from(String::from_utf8_lossy(&buffer[..length]).contains("READY=1"));
            }
            let logged = fs::read_to_string(&log).unwrap_or_default().matches("watching ").count();
            // Whichever of the two is not disturbed.
            run.ready = logged.max(run.told);
            run.ready > before
        })
    }

    /// A condition that the daemon brings about by an event, or by a rescan that it is asked for.
    fn comes(&mut self, what: &str, holds: impl Fn(&mut Self) -> bool) -> Result<(), String> {
        if matches!(self.what, Some(What::FailsOn(_))) {
            self.waits(WHILE_IT_LASTS, holds);
            return Ok(());
        }
        for _ in 0..RESCANS {
            if self.waits(EVENT, &holds) || self.has_ended() {
                return Ok(());
            }
            self.signal(Signal::HUP);
        }
        if self.waits(DEADLINE, &holds) || self.has_ended() {
            Ok(())
        } else {
            Err(format!("in vain: {what}"))
        }
    }

    fn socket_goes(&mut self, what: &str) -> Result<(), String> {
        self.comes(what, |run| fs::symlink_metadata(run.scene.dir.join("mortal")).is_err())
    }

    /// Whether the daemon waits for the end of a server (`/proc/PID/fdinfo` of its pidfds).
    fn knows(&self, server: &Server) -> bool {
        let Some(daemon) = self.daemon() else { return false };
        let infos = fs::read_dir(format!("/proc/{}/fdinfo", daemon.as_raw_nonzero()));
        let wanted = format!("Pid:\t{}\n", server.pid);
        infos
            .into_iter()
            .flatten()
            .flatten()
            .any(|info| fs::read_to_string(info.path()).is_ok_and(|text| text.contains(&wanted)))
    }

    /// Its whole life.
    fn story(&mut self, mortal: &Server) -> Result<(), String> {
        if !self.is_ready() && !self.has_ended() {
            return Err("it is not ready".to_owned());
        }
        kill(mortal, self.scene);
        self.socket_goes("the socket of a server that died is removed")?;
        // The same name, to be seen as another server.
        let born = start(&self.scene.dir.join("mortal"))?;
        self.comes("a server that was born is known", |run| run.knows(&born))?;
        kill(&born, self.scene);
        self.socket_goes("the socket of the server that was born is removed")?;
        self.signal(Signal::HUP);
        if !matches!(self.what, Some(What::FailsOn(_))) && !self.is_ready() && !self.has_ended() {
            return Err("it is not ready again".to_owned());
        }
        self.signal(Signal::TERM);
        if !self.waits(DEADLINE, |_| false) && !self.has_ended() {
            return Err("it does not obey SIGTERM".to_owned());
        }
        Ok(())
    }
}

/// Ends a server, and waits until nobody holds its socket: a process that it forked may, until its exec.
fn kill(server: &Server, scene: &Scene) {
    server.signal(Signal::KILL);
    server.wait_for_end();
    let path = scene.dir.join("mortal");
    wait::until("nobody listens", || UnixStream::connect(&path).is_err());
}

/// One life of a daemon.
fn live(scene: &Scene, fault: Option<&Fault>) -> Result<Traced, String> {
    scene.set();
    let mortal = start(&scene.dir.join("mortal"))?;
    let notify = scene.scratch().join("notify");
    let _ = fs::remove_file(&notify);
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager.set_nonblocking(true).unwrap();
    let options = fault.map(|fault| [format!("trace={}", fault.call), fault.injection()]);
    let what = fault.map(|fault| fault.what);
    let is_mute = fault.is_some_and(|fault| fault.call == "write" && matches!(fault.what, What::FailsOn(_)));
    let told = Cell::new(Ok(()));
    let options = options.as_ref().map_or(&[][..], |options| &options[..]);
    let traced = strace::trace_while(&watch(scene), scene.scratch(), options, |strace| {
        let mut run = Run { scene, what, manager, strace, told: 0, ready: 0, is_mute };
        let story = run.story(&mortal);
        if story.is_err() {
            run.signal(Signal::KILL);
        }
        told.set(story);
    })?;
    let log = &traced.stderr;
    told.into_inner().map_err(|wrong| format!("{wrong}: {log}"))?;
    Ok(traced)
}

#[test]
fn no_fault_in_a_watch_harms_anybody() {
    if crate::is_hindered() {
        return;
    }
    let learnt = live(&Scene::new(), None).unwrap();
    assert_eq!(learnt.code, Some(0), "{}", learnt.stderr);
    let faults = plan::of(&learnt.lines, Sample { alike: 1, of_one_name: 2, lasting: 1 });
    let usual = |fault: &Fault| {
        let begin = format!("{}(", fault.call);
        learnt.lines.iter().filter(|line| line.starts_with(&begin)).count()
    };
    play::all("watch", AT_ONCE, &faults, |scene, fault| play(scene, fault, usual(fault)));
}

fn play(scene: &Scene, fault: &Fault, usual: usize) -> Result<bool, String> {
    let traced = live(scene, Some(fault))?;
    play::ended_well(&traced, fault)?;
    if traced.code != Some(0) && fault.what != What::Kills && !traced.stderr.contains("error:") {
        return Err(format!("it ended with {:?} and does not say why: {}", traced.code, traced.stderr));
    }
    if traced.lines.len() > MOST * (usual + 50) {
        return Err(format!("it turns without a pause: {} calls", traced.lines.len()));
    }
    scene.is_unharmed()?;
    scene.recovers()?;
    Ok(traced.is_struck())
}
