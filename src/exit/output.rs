//! Standard output: results and nothing else.

use super::Error;
use std::io::{ErrorKind, Stdout, Write};

/// Where results go.
#[derive(Debug)]
pub(crate) struct Output {
    to: Stdout,
    /// Text for people is swallowed: stdout is the journal, which has the log already.
    muted: bool,
}

impl Output {
    /// Standard output; `muted`: only what programs asked for is written.
    pub(crate) fn new(muted: bool) -> Self {
        Self { to: std::io::stdout(), muted }
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.muted
    }

    /// Writes text for people.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Error> {
        if self.muted { Ok(()) } else { self.bytes(text.as_bytes()) }
    }

    /// Writes one line for programs.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Error> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes what only this program reads.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        crate::logging::stderr::settle();
        let mut stdout = self.to.lock();
        written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// Writes one line for programs that makes itself.
    pub(crate) fn json(
        &mut self,
        make: impl FnOnce(&mut dyn Write) -> serde_json::Result<()>,
    ) -> Result<(), Error> {
        crate::logging::stderr::settle();
        let mut stdout = std::io::BufWriter::new(self.to.lock());
        let object = make(&mut stdout).map_err(std::io::Error::from);
        written(object.and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()))
    }
}

/// What came of writing to stdout. A closed pipe is no error: the reader has what it wanted, and the exit code says what
/// was found all the same.
pub(crate) fn written(written: std::io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}
