//! Standard output: results and nothing else.

use super::Error;
use std::io::{ErrorKind, Write};

/// Where results go.
#[derive(Debug)]
pub struct Output {
    /// Text for people is swallowed: stdout is the journal, which has the log already.
    muted: bool,
}

impl Output {
    /// Standard output; `muted`: only what programs asked for is written.
    pub fn new(muted: bool) -> Self {
        Self { muted }
    }

    /// Whether text for people is swallowed.
    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Writes text for people.
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        if self.muted { Ok(()) } else { write(text.as_bytes()) }
    }

    /// Writes one line for programs.
    pub fn line(&mut self, line: &str) -> Result<(), Error> {
        write(format!("{line}\n").as_bytes())
    }

    /// Writes what only this program reads.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        write(bytes)
    }
}

impl Output {
    /// Writes one line for programs that makes itself.
    pub fn json(&mut self, make: impl FnOnce(&mut dyn Write) -> serde_json::Result<()>) -> Result<(), Error> {
        crate::logging::stderr::settle();
        let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
        make(&mut stdout).map_err(std::io::Error::from).map_err(error_of)?;
        stdout.write_all(b"\n").and_then(|()| stdout.flush()).map_err(error_of)
    }
}

/// What came of writing to stdout elsewhere.
pub fn written(written: std::io::Result<()>) -> Result<(), Error> {
    written.map_err(error_of)
}

/// A closed pipe ends the run without an error: the reader has what it wanted.
fn error_of(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Error::ReaderGone,
        _ => Error::Output(error),
    }
}

/// Writes all of it.
fn write(bytes: &[u8]) -> Result<(), Error> {
    crate::logging::stderr::settle();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(error_of)
}
