//! What a scenario switches on.

/// How a janitor ends its hold on `NAME.lock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// unlink(NAME.lock), close.
    UnlinkAndClose,
    /// unlink(NAME.lock), keep the nameless file flocked until every opener waits for it, close.
    NamelessGrace,
    /// Close: the file stays for the next start of that label.
    Leave,
    /// One file of ours, flocked and leased all the time, moves from lock name to lock name.
    Travelling,
}

/// A mistake put in on purpose: the checker has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// connect, then unlink, no lock at all.
    ConnectThenUnlink,
    /// Neither before the rename nor in quarantine is it checked which socket was taken.
    NoInodeCheck,
    /// unlink(NAME) under the lock instead of the quarantine.
    PlainUnlink,
    /// The kernel's table is not asked at all.
    NoTable,
    /// What was found dead is held open only then, and the one table under the lock has to do.
    NoFirstTable,
    /// Neither the table nor connect is asked under the lock.
    NoSecondLook,
    /// Whatever a killed run left in quarantine is unlinked.
    QuarantineUnlinked,
    /// What is in quarantine is put back over whatever stands at NAME.
    RestoreReplaces,
    /// Where a live socket is in quarantine nothing else can be moved there.
    NoSecondName,
    /// The lease is not looked at after the lock file was moved away.
    NoSecondLeaseCheck,
    /// A lock file whose lease broke is moved back over whatever stands there.
    MoveBackReplaces,
    /// What came back when two lock files changed places is not looked at.
    NoLookAfterSwap,
    /// Where it cannot be moved back, its openers are waited for as far as tables show them.
    WaitsForOpeners,
    /// Without `RENAME_NOREPLACE` a lock file is moved where it is wanted over whatever stands there.
    PlainMoveIn,
    /// Nor is a quarantine name looked at before something is moved there.
    QuarantineNotLookedAt,
    /// A directory at NAME is not taken for one of ours where nothing is in quarantine.
    NameNotFreed,
    /// What a killed run has left there is not given back.
    NotGivenBack,
    /// It is given back without its lock.
    GivenBackUnlocked,
    /// A lock file that went straight on, and that somebody opened by one of two names, gets only one of them.
    NoLinkBack,
    /// What lies at the one quarantine name of a janitor that lives is worked on by others.
    OwnerNotAsked,
    /// connect is not asked before the move, only in quarantine.
    NoConnectBeforeMove,
    /// An existing lock file is taken without comparing it with its name.
    NoLockCompare,
    /// An existing lock file that somebody has open is taken along all the same.
    AdoptsOpenFile,
    /// A lock file is moved on to the next label without a rest.
    NoRest,
    /// `/proc/locks` shows nothing (another PID namespace). This one does no harm.
    NoProcLocks,
    /// The nameless lock file is let go after a fixed time.
    FixedGrace,
}

/// open(2) looks up the name first and meets the lease later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// Both at once.
    Atomic,
    /// In two steps, but a lock file rests longer than a client is between them.
    Brief,
    /// In two steps, with any time between.
    Frozen,
}

/// How a world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Empty,
    Dead,
    DeadAndLock,
    LockOnly,
    /// A server lives at NAME.
    Live,
    /// A dead socket at NAME and a live server that lost its name: SIGUSR1 heals it.
    DeadAndLost,
    /// A dead socket in quarantine, left by a killed run.
    Quarantine,
    /// Dead sockets on both labels, and a live server that lost the second.
    TwoDeadAndLost,
    /// Dead sockets on both labels.
    TwoDead,
    /// A directory in quarantine, left by a run that was killed where names change places.
    PlaceLeft,
    /// The same at NAME, and a dead socket in quarantine.
    LeftAside,
}

/// Where a janitor may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    Anywhere,
    /// Not while somebody has open, or is opening, a lock file that it has taken from its name.
    NotWhileAwaited,
}

/// One configuration of the model. Servers may die at any step in all of them.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Setup {
    pub(crate) form: Form,
    pub(crate) fault: Option<Fault>,
    pub(crate) begins: &'static [Begin],
    /// The label of each tmux client.
    pub(crate) clients: &'static [u8],
    pub(crate) janitors: usize,
    pub(crate) labels: u8,
    /// Janitors that are killed.
    pub(crate) kills: u8,
    pub(crate) kill: Kill,
    /// Clients that are killed.
    pub(crate) client_kills: u8,
    /// Times that a server is sent SIGUSR1: a start without the lock.
    pub(crate) signals: u8,
    /// Dumps of the kernel's table that miss a bound socket.
    pub(crate) misses: u8,
    pub(crate) open: Open,
    /// A kernel or file system without `RENAME_NOREPLACE`: link(2) where a name that others use must be free, a plain
    /// rename where the name is our own.
    pub(crate) plain: bool,
    /// A folder that everybody may write: NAME changes places with an empty directory, and is never free.
    pub(crate) exchange: bool,
    /// Tried: a lock file keeps its rest name while it stands at a lock name: link(2) there, unlink(2) away.
    pub(crate) linked: bool,
    /// Tried: a janitor has one quarantine name, and what was found dead there is replaced by the next one.
    pub(crate) single: bool,
    /// All janitors but the first are of a version that does as it is done now.
    pub(crate) older: bool,
    /// Tried: a lock file stays at its label's lock name until it moves straight on to the next label's.
    pub(crate) onward: bool,
    /// A client's open(2) may be interrupted and start over; the kernel may take a lease that is
    /// being broken (`lease-break-time`).
    pub(crate) interrupts: bool,
    /// tmux alone fails here: only what a janitor took away counts.
    pub(crate) only_ours: bool,
    /// No server dies while a client has open a lock file whose name a tmux server removed.
    pub(crate) no_tmux_hole: bool,
}

impl Setup {
    /// Two clients, two janitors, one label with every beginning; nobody is killed but servers.
    pub(crate) const fn new(form: Form) -> Self {
        Self {
            form,
            fault: None,
            begins: &[Begin::Empty, Begin::Dead, Begin::DeadAndLock, Begin::LockOnly, Begin::Quarantine],
            clients: &[0, 0],
            janitors: 2,
            labels: 1,
            kills: 0,
            kill: Kill::Anywhere,
            client_kills: 0,
            signals: 0,
            misses: 0,
            open: Open::Atomic,
            plain: false,
            exchange: false,
            linked: false,
            single: false,
            older: false,
            onward: false,
            interrupts: false,
            only_ours: false,
            no_tmux_hole: false,
        }
    }

    /// The same with a change.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut setup = self.clone();
        change(&mut setup);
        setup
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}
