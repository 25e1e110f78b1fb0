//! A log that nobody reads.

use super::common::arena::Arena;
use super::common::janitor::janitor;
use super::common::wait;
use rustix::process::{Pid, Signal};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

/// A pipe that is full; the reader reads nothing.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let size = rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    assert_eq!(rustix::io::write(&writer, &vec![b'\n'; size]).unwrap(), size);
    (reader, writer)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn of(command: &mut Command, writer: OwnedFd) -> Self {
        Self(command.stdout(Stdio::null()).stderr(writer).spawn().unwrap())
    }

    #[track_caller]
    fn ends_with(&mut self, code: i32) {
        let mut ended = None;
        wait::until("it ends", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.code()), Some(code));
    }
}

#[test]
fn the_watch_goes_on_and_obeys() {
    let arena = Arena::new();
    let (_reader, writer) = full_pipe();
    let mut daemon = Running::of(janitor(arena.dir()).args(["-v", "watch"]), writer);
    // More than is kept for the reader.
    for number in 0..3000 {
        drop(UnixListener::bind(arena.path(format!("{number:080}"))).unwrap());
    }
    wait::until("they are removed", || arena.names().is_empty());
    let arena = arena.dead("later");
    wait::until("the next one too", || !arena.has("later"));
    let pid = Pid::from_raw(daemon.0.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    daemon.ends_with(0);
}

#[test]
fn a_command_comes_to_its_end() {
    let arena = Arena::new();
    for number in 0..200 {
        drop(UnixListener::bind(arena.path(format!("{number}"))).unwrap());
    }
    for (arguments, code) in
        [(&["-v", "sweep"][..], 0), (&["--nonsense"], 2), (&["check-config", "/nonexistent"], 78)]
    {
        let (_reader, writer) = full_pipe();
        Running::of(janitor(arena.dir()).args(arguments), writer).ends_with(code);
    }
    assert!(arena.names().is_empty());
}
