//! Listeners that are no tmux, each a process of its own: this very program, started once more.

use crate::common::wait;
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PATH: &str = "TMUX_JANITOR_FAKE_SOCKET";

/// The process of a fake: listens until its standard input ends.
#[test]
#[ignore = "not a test: the fakes of the other tests run it"]
fn fake_server() {
    let Some(path) = std::env::var_os(PATH) else { return };
    // As tmux does.
    let _ = std::fs::remove_file(&path);
    let _listener = UnixListener::bind(path).unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

/// A fake server. Killed when dropped.
pub(crate) struct Fake {
    child: Child,
}

impl Fake {
    /// Starts one; it listens a little later.
    pub(crate) fn begin(path: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "watch::fake::fake_server"])
            .env(PATH, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Starts one on each path; they listen when this returns.
    #[track_caller]
    pub(crate) fn all(paths: &[PathBuf]) -> Vec<Self> {
        for path in paths {
            let _ = std::fs::remove_file(path);
        }
        let fakes: Vec<Self> = paths.iter().map(|path| Self::begin(path)).collect();
        wait::until("the fakes listen", || paths.iter().all(|path| path.exists()));
        fakes
    }

    /// Ends it, without waiting.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
