//! The model as stateright runs it, and the report of a run.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use stateright::{Checker, HasDiscoveries, Model, Property, UniformChooser};

use crate::{
    janitor,
    pc::{Client, Pc, Server},
    properties,
    setup::{Begin, Kill, Setup},
    tmux,
    world::{DEPTHS, DIR, INODES, JANITORS, Janitor, LABELS, Lease, NONE, SLOTS, STARTS, Start, World},
};

/// One step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Client(usize),
    ClientDies(usize),
    ClientReopens(usize),
    Server(usize),
    ServerDies(usize),
    Sigusr1(usize),
    Janitor(usize),
    JanitorMisses(usize),
    JanitorDies(usize),
    LeaseTimesOut(usize, usize),
}

/// A scenario under check, with a record of which janitor steps were taken.
#[derive(Clone)]
pub(crate) struct Checked {
    setup: Setup,
    taken: Arc<Taken>,
}

/// The janitor's steps that were taken: the bits make the common case cheap.
#[derive(Default)]
struct Taken {
    bits: [AtomicU64; 2],
    seen: Mutex<Vec<Pc>>,
}

impl Model for Checked {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.setup.begins.iter().map(|&begin| first_world(&self.setup, begin)).collect()
    }

    fn actions(&self, w: &World, actions: &mut Vec<Action>) {
        let setup = &self.setup;
        for (i, s) in w.starts.iter().enumerate() {
            if tmux::client_ready(w, i) {
                actions.push(Action::Client(i));
            }
            if w.client_kills > 0 && !matches!(s.client, Client::Connect | Client::Done) {
                actions.push(Action::ClientDies(i));
            }
            if setup.interrupts && s.client == Client::Blocked {
                actions.push(Action::ClientReopens(i));
            }
            if tmux::server_ready(s.server) {
                actions.push(Action::Server(i));
            }
            let spared = setup.no_tmux_hole && properties::tmux_hole(w);
            if !spared && !matches!(s.server, Server::Never | Server::Dead) {
                actions.push(Action::ServerDies(i));
            }
            if w.signals > 0 && s.server == Server::Serve {
                actions.push(Action::Sigusr1(i));
            }
        }
        for (j, jan) in w.janitors.iter().enumerate() {
            if janitor::ready(w, setup, j) {
                actions.push(Action::Janitor(j));
                let looked_for = match jan.pc {
                    Pc::Table | Pc::TableLocked => jan.pin,
                    _ => NONE,
                };
                if w.misses > 0 && w.bound(looked_for) {
                    actions.push(Action::JanitorMisses(j));
                }
            }
            let spared = setup.kill == Kill::NotWhileAwaited && properties::awaited(w, j);
            if w.kills > 0 && !spared && !matches!(jan.pc, Pc::Off | Pc::Done | Pc::Dead) {
                actions.push(Action::JanitorDies(j));
            }
            if setup.interrupts {
                for (slot, fd) in jan.fds.iter().enumerate() {
                    if fd.lease == Lease::Breaking {
                        actions.push(Action::LeaseTimesOut(j, slot));
                    }
                }
            }
        }
    }

    fn next_state(&self, w: &World, action: Action) -> Option<World> {
        let setup = &self.setup;
        let mut next = w.clone();
        match action {
            Action::Client(i) => tmux::client_step(&mut next, setup, i),
            Action::ClientReopens(i) => tmux::reopen(&mut next, i),
            Action::ClientDies(i) => {
                next.client_kills -= 1;
                tmux::client_dies(&mut next, i);
            }
            Action::Server(i) => tmux::server_step(&mut next, setup, i),
            Action::ServerDies(i) => tmux::server_dies(&mut next, i),
            Action::Sigusr1(i) => {
                next.signals -= 1;
                tmux::sigusr1(&mut next, i);
            }
            Action::Janitor(j) => {
                self.taken.record(w.janitors[j].pc);
                janitor::step(&mut next, setup, j, false);
            }
            Action::JanitorMisses(j) => {
                next.misses -= 1;
                janitor::step(&mut next, setup, j, true);
            }
            Action::JanitorDies(j) => {
                next.kills -= 1;
                janitor::dies(&mut next, j);
            }
            Action::LeaseTimesOut(j, slot) => {
                next.janitors[j].fds[slot].lease = Lease::Gone;
            }
        }
        next.normalise();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no orphan", |m, w| properties::no_orphan(&m.setup, w)),
            Property::always("no lock hole", |m, w| properties::no_lock_hole(&m.setup, w)),
            Property::always("no failed start", |m, w| properties::no_failed_start(&m.setup, w)),
            Property::always("no deadlock", |m, w| properties::no_deadlock(&m.setup, w)),
            Property::always("a sweep clears", |m, w| properties::converges(&m.setup, w)),
        ]
    }
}

impl Taken {
    fn record(&self, pc: Pc) {
        let (bits, bit) = (&self.bits[pc as usize / 64], 1 << (pc as u64 % 64));
        if bits.load(Ordering::Relaxed) & bit == 0 && bits.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.seen.lock().unwrap().push(pc);
        }
    }
}

/// The names and processes that a scenario begins with.
pub(crate) fn first_world(setup: &Setup, begin: Begin) -> World {
    let mut w = World {
        sock: [NONE; LABELS],
        quarantine: [[NONE; DEPTHS]; LABELS],
        lock: [NONE; LABELS],
        rest: [[NONE; SLOTS]; JANITORS],
        single: [NONE; JANITORS],
        single_label: [0; JANITORS],
        starts: [Start::UNUSED; STARTS],
        janitors: [Janitor::OFF; JANITORS],
        torn: [0; INODES],
        unlink_missed: 0,
        put_back: 0,
        bind_failed: false,
        kills: setup.kills,
        client_kills: setup.client_kills,
        signals: setup.signals,
        misses: setup.misses,
        socks: 0,
        locks: 0,
    };
    for (start, &label) in w.starts.iter_mut().zip(setup.clients) {
        start.client = Client::Connect;
        start.label = label;
    }
    for (j, janitor) in w.janitors[..setup.janitors].iter_mut().enumerate() {
        (janitor.pc, janitor.older) = (Pc::Begin, setup.older && j > 0);
    }
    if !matches!(
        begin,
        Begin::Empty | Begin::LockOnly | Begin::Quarantine | Begin::PlaceLeft | Begin::LeftAside
    ) {
        w.sock[0] = w.new_sock();
    }
    match begin {
        Begin::DeadAndLock | Begin::LockOnly => w.lock[0] = w.new_lock(),
        Begin::Quarantine => w.quarantine[0][0] = w.new_sock(),
        Begin::PlaceLeft => w.quarantine[0][0] = DIR,
        Begin::LeftAside => (w.sock[0], w.quarantine[0][0]) = (DIR, w.new_sock()),
        Begin::TwoDead => w.sock[1] = w.new_sock(),
        Begin::Live | Begin::DeadAndLost | Begin::TwoDeadAndLost => {
            let sock = if begin == Begin::Live { w.sock[0] } else { w.new_sock() };
            if begin == Begin::TwoDeadAndLost {
                w.sock[1] = w.new_sock();
            }
            let old = w.starts.last_mut().unwrap();
            assert_eq!(old.client, Client::Done, "the last row is for the old server");
            old.server = Server::Serve;
            old.sock = sock;
            old.label = u8::from(begin == Begin::TwoDeadAndLost);
        }
        Begin::Empty | Begin::Dead => {}
    }
    w.normalise();
    w
}

/// What came out of a run.
pub(crate) struct Outcome {
    /// The properties that failed, sorted.
    pub(crate) failed: Vec<&'static str>,
    /// The janitor steps that were taken.
    pub(crate) taken: Vec<Pc>,
    /// The way to the first failure.
    pub(crate) trace: String,
}

/// Walks every state, or, where a failure is expected, until that property fails.
pub(crate) fn run(name: &str, setup: &Setup, expected: Option<&'static str>) -> Outcome {
    // One at a time: the figures that are printed are those of an undisturbed run.
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);

    let model = Checked { setup: setup.clone(), taken: Arc::default() };
    let taken = Arc::clone(&model.taken);
    let begun = Instant::now();
    let builder = model.checker().threads(2);
    let (states, found) = if let Some(property) = expected {
        // Breadth first gives short traces.
        let until = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let checker = builder.finish_when(until).spawn_bfs().join();
        (checker.unique_state_count(), checker.discoveries())
    } else {
        // Depth first needs less memory. It ends early only if every property has failed.
        let until = HasDiscoveries::AllFailures;
        let checker = builder.finish_when(until).spawn_dfs().join();
        assert!(checker.is_done(), "{name}: not every state was visited");
        (checker.unique_state_count(), checker.discoveries())
    };
    let seconds = begun.elapsed().as_secs_f64();
    let mut failed: Vec<_> = found.keys().copied().collect();
    failed.sort_unstable();
    eprintln!("{name}: {states} states, {seconds:.1} s, failed: {failed:?}");

    let mut trace = String::new();
    if let Some(property) = expected.filter(|p| failed.contains(p)).or(failed.first().copied()) {
        trace = format!("{name}: {property}\n");
        for (w, action) in found[property].clone().into_vec() {
            let action = action.map_or_else(String::new, |action| format!("{action:?}"));
            let _ = writeln!(trace, "{w}\n    {action}");
        }
    }
    if std::env::var_os("TMUX_JANITOR_MODEL_TRACE").is_some() {
        eprintln!("{trace}");
    }
    let taken = taken.seen.lock().unwrap().clone();
    Outcome { failed, taken, trace }
}

/// Random walks of so many steps in all, where there are too many states to visit each: what was found to fail.
pub(crate) fn walk(
    name: &str,
    setup: &Setup,
    steps: usize,
    expected: Option<&'static str>,
) -> Vec<&'static str> {
    let model = Checked { setup: setup.clone(), taken: Arc::default() };
    let begun = Instant::now();
    let until =
        expected.map_or(HasDiscoveries::AllFailures, |name| HasDiscoveries::AnyOf(BTreeSet::from([name])));
    let builder = model.checker().threads(2).finish_when(until).target_state_count(steps);
    let checker = builder.spawn_simulation(12, UniformChooser).join();
    let failed: Vec<_> = checker.discoveries().keys().copied().collect();
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{name}: {} steps of random walks, {seconds:.1} s, failed: {failed:?}", checker.state_count());
    failed
}
