//! Where everybody is: the steps of the janitor, each one system call, in the order of `docs/protocol.md`, and those of tmux.

/// The janitor's next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pc {
    /// No such process.
    Off,
    /// Look at the next name: pin the socket there, or see a lock file alone.
    Begin,
    Table,
    // Taking the lock, see `janitor_lock`.
    Create,
    CreateFlock,
    CreateLease,
    TravelLease,
    MoveIn,
    MovedIn,
    OnLook,
    MoveOn,
    OnLease,
    LinkBack,
    LinkRest,
    LookLocks,
    OpenLock,
    FlockLock,
    CompareLock,
    LeaseLock,
    // Under the lock.
    PutBack,
    TableLocked,
    ConnectLocked,
    StatSock,
    Quarantine,
    QuarantineFree,
    StatQuarantine,
    ConnectQuarantine,
    UnlinkQuarantine,
    Replace,
    Restore,
    Restored,
    MakePlace,
    Exchange,
    RmdirName,
    ExchangeBack,
    RmdirAside,
    GiveBack,
    UnlinkSock,
    StatNoSock,
    // Letting go, see `janitor_end`.
    UnlinkLock,
    EndLease,
    MoveOut,
    RestLease,
    MoveBack,
    MovedBack,
    AwaitName,
    SwapOpen,
    SwapFlock,
    SwapCompare,
    SwapLease,
    Swap,
    SwapLook,
    SwapBack,
    SwapOut,
    SwapUndo,
    SwapUndone,
    DropLease,
    WaitOpeners,
    UnlinkRest,
    Close,
    // The end of the run.
    UnlinkSingle,
    FinishLease,
    StaleLook,
    StaleOpen,
    StaleFlock,
    StaleCompare,
    StaleLease,
    StaleUnlink,
    Done,
    Dead,
}

impl Pc {
    /// Number of steps, for the record of which were taken.
    pub(crate) const COUNT: usize = Self::Dead as usize + 1;

    /// Holds the lock of its label and acts on that.
    pub(crate) fn critical(self) -> bool {
        (Self::PutBack..=Self::StatNoSock).contains(&self)
    }
}

/// Where a client is in `client_connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Client {
    /// connect(NAME), the first time or over again. A client that is here may as well not run yet.
    Connect,
    /// open(NAME.lock, `O_WRONLY|O_CREAT`).
    Open,
    /// Inside open(2): the name is looked up, the lease not met.
    Walked,
    /// Inside open(2): waits for the lease to go.
    Blocked,
    /// flock(`LOCK_EX|LOCK_NB`).
    Flock,
    /// flock(`LOCK_EX`), waiting.
    Wait,
    /// It waited and got the lock: it closes it and starts over.
    Got,
    /// connect(NAME) again, with the lock.
    ConnectLocked,
    /// There is a server: close the lock, leave its file.
    CloseLive,
    /// unlink(NAME) and fork.
    Unlink,
    /// After the fork the client closes its copy of the lock.
    CloseCopy,
    Done,
}

/// Where a server is in `server_start`, or in its handling of SIGUSR1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Server {
    Never,
    Unlink,
    Bind,
    Listen,
    UnlinkLock,
    CloseLock,
    /// bind failed: tmux unlinks the lock all the same, and exits.
    FailUnlinkLock,
    FailExit,
    Serve,
    /// SIGUSR1 came and NAME is unlinked: bind, listen, close the old socket.
    Rebind,
    Relisten,
    CloseOld,
    Dead,
}

impl Server {
    /// Its (old) socket accepts connections.
    pub(crate) fn listens(self) -> bool {
        matches!(
            self,
            Self::UnlinkLock | Self::CloseLock | Self::Serve | Self::Rebind | Self::Relisten | Self::CloseOld
        )
    }
}
