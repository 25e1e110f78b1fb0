//! What a look did not see because the system gave us no descriptor, or no memory.
//!
//! Processes end while they are looked at, so that "it cannot be opened" is taken for "there is nothing". That is so where
//! it has gone, and false where we may open no more. What looks through `/proc` and for files passes the kernel's answers
//! through [`heeded`]; who concludes something from what is not there asks [`during`].

use rustix::io::Errno;
use std::cell::Cell;

thread_local! {
    /// What was lacking last, in this thread: a look is made by one.
    static LACKED: Cell<Option<Errno>> = const { Cell::new(None) };
}

/// Whether an error says nothing of what was asked for, only that we can have no more.
pub fn is_lack(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

/// An answer of the kernel's, of which is remembered whether we could have no more.
///
/// # Errors
/// That of the answer.
pub fn heeded<T>(answer: Result<T, Errno>) -> Result<T, Errno> {
    answer.inspect_err(|errno| heed(*errno))
}

/// The same of one of the standard library.
///
/// # Errors
/// That of the answer.
pub fn heeded_io<T>(answer: std::io::Result<T>) -> std::io::Result<T> {
    answer.inspect_err(|error| Errno::from_io_error(error).into_iter().for_each(heed))
}

/// Remembers an error, where it is such a one.
pub fn heed(errno: Errno) {
    if is_lack(errno) {
        LACKED.set(Some(errno));
    }
}

/// What a look gives, and whether something could not be seen in it for lack of descriptors or memory.
pub fn during<T>(look: impl FnOnce() -> T) -> (T, Option<Errno>) {
    let before = LACKED.take();
    let seen = look();
    let lacked = LACKED.get();
    LACKED.set(before.or(lacked));
    (seen, lacked)
}

/// Does what manages with less, by smaller steps: that it was short of something is no lack for who looks around it.
pub fn managed<T>(work: impl FnOnce() -> T) -> T {
    let before = LACKED.get();
    let done = work();
    LACKED.set(before);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lacking_is_told_to_all_who_look_and_of_what_has_gone_nothing() {
        let gone = || heeded::<()>(Err(Errno::NOENT)).is_err();
        assert_eq!(during(gone), (true, None));
        let (inner, outer) = during(|| during(|| heeded(Err::<(), _>(Errno::MFILE))).1);
        assert_eq!((inner, outer), (Some(Errno::MFILE), Some(Errno::MFILE)));
        assert_eq!(during(gone), (true, None), "that was before");
        assert_eq!(during(|| managed(|| heeded(Err::<(), _>(Errno::MFILE)))).1, None);
    }
}
