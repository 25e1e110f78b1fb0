//! Starting real servers again and again, and ending them in every way.

use super::arena::{Server, tmux};
use super::wait;
use rustix::process::Signal;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

/// Starts a client that is to make a session, and with it the server where there is none.
pub(crate) fn client(socket: &Path, session: &str) -> Child {
    let mut command = tmux(socket);
    command.args(["new-session", "-d", "-P", "-F", "#{pid}", "-s", session, "sleep 3600"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tmux starts")
}

/// The pid of the server that a client reached; its complaint if it reached none.
pub(crate) fn server_of(client: Child) -> Result<i32, String> {
    let output = client.wait_with_output().expect("tmux ends");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() && complaint.is_empty() {
        return text.parse().map_err(|_| format!("no pid: {text:?}"));
    }
    Err(complaint)
}

/// Fails the test if a server that said it started cannot be reached at its path while it lives.
#[track_caller]
pub(crate) fn assert_reachable(socket: &Path, server: &Server) {
    let output = tmux(socket).args(["display-message", "-p", "#{pid}"]).output().unwrap();
    let reached = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let lost = reached != server.pid.to_string() && server.is_alive();
    assert!(!lost, "server {} lives and cannot be reached at {}: {output:?}", server.pid, socket.display());
}

/// Ends a server, each round in another way.
pub(crate) fn end(socket: &Path, server: &Server, round: usize) {
    match round % 3 {
        0 => server.signal(Signal::KILL),
        1 => server.signal(Signal::TERM),
        _ => drop(tmux(socket).arg("kill-server").output()),
    }
}

/// Waits until nobody listens any more. The process that tmux forks for a pane holds the listening
/// socket until its exec: it may outlive a killed server, and whoever connects to it is hung up on.
#[track_caller]
pub(crate) fn wait_for_silence(socket: &Path, server: &Server) {
    server.wait_for_end();
    wait::until("nobody listens", || UnixStream::connect(socket).is_err());
}
