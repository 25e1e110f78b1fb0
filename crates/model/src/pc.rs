//! The steps of the janitor, each one system call, in the order of `docs/protocol.md`.

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
