//! A terminal, and what a program writes to it.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

/// A terminal that is read all the time.
pub(crate) struct Terminal {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    /// The terminal, and its end for a program.
    #[track_caller]
    pub(crate) fn open() -> (Self, OwnedFd) {
        Self::sized(None)
    }

    /// The same, so many columns wide.
    #[track_caller]
    pub(crate) fn of_width(columns: u16) -> (Self, OwnedFd) {
        Self::sized(Some(nix::pty::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }))
    }

    #[track_caller]
    fn sized(size: Option<nix::pty::Winsize>) -> (Self, OwnedFd) {
        let pty = nix::pty::openpty(size.as_ref(), None).unwrap();
        let text = Arc::new(Mutex::new(Vec::new()));
        let (mut master, to) = (File::from(pty.master), Arc::clone(&text));
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            // EIO: nobody has it open any more.
            while let Ok(length @ 1..) = master.read(&mut part) {
                to.lock().unwrap().extend_from_slice(&part[..length]);
            }
        });
        (Self { text, reader: Some(reader) }, pty.slave)
    }

    /// What was written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// All that was written, once nobody has it open any more.
    #[track_caller]
    pub(crate) fn all(mut self) -> String {
        self.reader.take().unwrap().join().unwrap();
        self.text()
    }
}
