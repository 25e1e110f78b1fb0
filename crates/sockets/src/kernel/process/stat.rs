//! `/proc/PID/stat`.

use crate::kernel::Pid;

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `T` (stopped), `t` (traced), `Z` …
    pub state: u8,
    /// Its parent.
    pub parent: Pid,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Its controlling terminal's device number; 0: it has none.
    pub terminal: i32,
    /// The process group in the foreground of its terminal; -1: it has none.
    pub foreground: i32,
}

impl Stat {
    /// What the file says.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = fields(text)?;
        Some(Self {
            state: *fields.next()?.as_bytes().first()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            terminal: fields.next()?.parse().ok()?,
            foreground: fields.next()?.parse().ok()?,
        })
    }

    /// Whether it runs no code until somebody lets it go on.
    pub fn is_stopped(self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Whether it runs, or would if a processor were free.
    pub fn is_runnable(self) -> bool {
        self.state == b'R'
    }

    /// Whether it has ended.
    pub fn has_ended(self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The fields behind the name, which may hold anything, parentheses too.
pub(super) fn fields(text: &[u8]) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    let behind = text.iter().rposition(|byte| *byte == b')')? + 1;
    Some(std::str::from_utf8(text.get(behind..)?).ok()?.split_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let stat = Stat::parse(b"7 (a) T 1 (b) t 2 3 4 34816 99 0 0").unwrap();
        let expected =
            Stat { state: b't', parent: Pid::new(2), group: 3, session: 4, terminal: 34816, foreground: 99 };
        assert_eq!(stat, expected);
        assert!(stat.is_stopped());
        assert_eq!(Stat::parse(b"7 (a) S"), None);
    }
}
