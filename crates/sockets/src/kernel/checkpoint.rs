//! Places in the removal where a test can stop it and let an adversary act, and steps of a spawn at which it can have
//! it killed.
//!
//! In release builds nothing of this is there: [`reach`] and [`step`] are empty functions. In debug builds a test
//! may install a hook, which is called in the removing thread before each effect; a spawn is a process of its own, and
//! the environment names its last step.

/// A place before an effect of the removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Checkpoint {
    /// The sockets are held open; the table is read next.
    Pinned,
    /// The table was read for the first time; the locks of those that it does not show come next.
    Listed,
    /// A lock file is about to be renamed onto the lock's name.
    LockIn,
    /// The lock is ours; the table is read next.
    Locked,
    /// The table was read; connect(2) is asked next.
    TableRead,
    /// Everything says dead; the name is looked at next.
    JudgedDead,
    /// The name is still the socket's; it is moved away next.
    Move,
    /// It is at its quarantine name; it is looked at next.
    Moved,
    /// It is the one; it is unlinked next.
    Unlink,
    /// Another one was caught; it is put back next.
    PutBack,
    /// The lock's lease is whole; its file is renamed away next.
    LockOut,
    /// The lock's file is at its rest name; the lease is looked at next.
    LockAway,
    /// A client came; the lock's file is given its name back next.
    LockBack,
    /// A lock that nobody has stands in its place; the two change places next.
    LockSwap,
    /// Its name stays taken; whoever has opened the lock's file is let go to wait for it.
    LockLoose,
    /// A lock has rested; the lease is looked at next, for the last time.
    Rested,
    /// Nobody came; the lock's file is unlinked next.
    LockGone,
    /// A newer server is to be set aside: its socket gets a second name next.
    AsideLink,
    /// It has it; both names are looked at next, and the ghost is told.
    AsideLinked,
    /// The ghost was told; its answer is waited for next.
    AsideTold,
    /// It did not answer; the newer server's own name is linked back next, if it is gone.
    AsideBack,
    /// Nobody was told; the second name is taken away next.
    AsideTrim,
}

/// A step of a spawn, done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The place is known.
    Placed,
    /// It was swept.
    Swept,
    /// The client that starts the server was started.
    Keeping,
    /// The server is there and kept, without a session.
    Kept,
    /// The client that makes the session was started.
    Asked,
    /// The session was told of.
    Told,
    /// The first client was let go.
    LetGo,
    /// COMMAND has settled.
    Settled,
    /// Its pane is as it was.
    PutBack,
}

/// Tells that a spawn has come to a step. In debug builds it is killed there if `TMUX_JANITOR_DIE_AT` names it.
#[inline]
#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "free in release builds"))]
pub fn step(step: Step) {
    #[cfg(debug_assertions)]
    if std::env::var_os("TMUX_JANITOR_DIE_AT").is_some_and(|name| name == format!("{step:?}").as_str()) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(debug_assertions)]
mod hook {
    use super::Checkpoint;
    use std::cell::{Cell, RefCell};

    type Hook = Box<dyn FnMut(Checkpoint)>;

    thread_local! {
        static PLAIN: Cell<bool> = const { Cell::new(false) };
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Installs a hook for the removals of this thread; `None` takes it out.
    pub fn install(hook: Option<Hook>) {
        HOOK.with(|slot| *slot.borrow_mut() = hook);
    }

    /// Has the renames of this thread fail as where `RENAME_NOREPLACE` is lacking.
    pub fn rename_plainly(on: bool) {
        PLAIN.set(on);
    }

    pub(super) fn is_plain() -> bool {
        PLAIN.get()
    }

    pub(super) fn call(checkpoint: Checkpoint) {
        // Taken out while it runs, as it may run a removal itself.
        let taken = HOOK.with(|slot| slot.borrow_mut().take());
        if let Some(mut hook) = taken {
            hook(checkpoint);
            HOOK.with(|slot| {
                slot.borrow_mut().get_or_insert(hook);
            });
        }
    }
}

#[cfg(debug_assertions)]
pub use hook::{install, rename_plainly};

/// Whether a test wants renames to be plain ones.
#[inline]
pub fn renames_plainly() -> bool {
    #[cfg(debug_assertions)]
    return hook::is_plain();
    #[cfg(not(debug_assertions))]
    false
}

/// Tells that the removal has come to a place.
#[inline]
#[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "free in release builds"))]
pub fn reach(checkpoint: Checkpoint) {
    #[cfg(debug_assertions)]
    hook::call(checkpoint);
}
