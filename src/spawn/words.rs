//! Every English sentence of `spawn`: what is in the way, where, and its cure.

use super::Request;
use super::answer::Answer;
use super::session::{NewSession, PaneEnd};
use crate::view::advice::Advised;
use crate::view::cause::signal_name;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;
use tmux_sockets::ghost::Ghost;
use tmux_sockets::judge::Reason;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::lack::is_lack;
use tmux_sockets::kernel::text::{errno_text, io_text, kind_name, unread};
use tmux_sockets::report::Why;
use tmux_sockets::tmux::DirectoryError;
use tmux_sockets::tmux::stuck::Stuck;

pub(super) fn too_long(dir: &Path) -> String {
    format!(
        "the path of {} is so long that no socket's name fits behind it (107 bytes in all); set TMUX_TMPDIR to a shorter one",
        escaped(dir)
    )
}

pub(super) fn in_the_way(path: &Path, reason: Reason) -> String {
    let cure = match reason {
        Reason::NotASocket(_) => "; tmux would delete it; move it away, or choose another --socket-label",
        Reason::OtherUser(_) => "; choose another --socket-label",
        _ => "; it may be alive, so nothing was started there; `tmux-janitor doctor` helps to find out",
    };
    format!("{}: {}{cure}", escaped(path), reason.with_advice())
}

/// Why nothing is started: what tmux would look at first does not answer.
pub(super) fn out_of_reach(name: &str, path: &Path, why: &str) -> String {
    format!("{name} is {}: {why}; tmux would wait there", escaped(path))
}

/// A directory whose dead sockets stay for ever.
pub(super) fn far(dir: &Path, reason: Reason) -> String {
    format!("{}: {reason}, so that no socket there is ever proven dead", escaped(dir))
}

pub(super) fn ghost(ghost: &Ghost, plight: &str) -> String {
    let who = ghost.pid.map_or_else(|| "a server".to_owned(), |pid| format!("the server with pid {pid}"));
    format!(
        "{}: {who} is alive, and its socket is gone from here; a second one would take its place, so nothing was started: {plight}",
        escaped(&ghost.path)
    )
}

/// Why nothing is started: a server that has lost its socket may be bound there.
pub(super) fn not_all_seen(path: &Path, errno: Errno) -> String {
    format!(
        "{}: whether a live server that has lost its socket is bound there could not be looked at, so nothing was started: {}",
        escaped(path),
        unread(errno)
    )
}

/// The same where that cannot be told, and may as well not be.
pub(super) fn maybe_ghost(path: &Path) -> String {
    format!("{}: {}", escaped(path), Why::Doubtful.with_advice())
}

pub(super) fn stopped(path: &Path, pid: Pid) -> String {
    format!(
        "{}: its server (pid {pid}) is stopped and cannot be asked; nothing was changed; `kill -CONT {pid}` lets it go on",
        escaped(path)
    )
}

pub(super) fn silent(path: &Path, pid: Option<Pid>) -> String {
    let who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    format!(
        "{}: its server{who} is alive and did not answer within 2 s; nothing was changed; see whether it is stopped or busy (`ps -o stat,wchan`)",
        escaped(path)
    )
}

pub(super) fn given_up(path: &Path, waited: Duration) -> String {
    format!(
        "{}: the server took the order and did not answer within {} s; whether COMMAND was or will be started is not known, so it was not asked for again",
        escaped(path),
        waited.as_secs()
    )
}

pub(super) fn stuck(stuck: &Stuck) -> String {
    format!("{}: {}; or choose another --socket-label", escaped(&stuck.path), stuck.hold)
}

/// A server is not there yet. `pid`: one is coming up.
pub(super) fn not_started(path: &Path, pid: Option<Pid>, after: Duration) -> String {
    let (path, after) = (escaped(path), after.as_secs());
    match pid {
        Some(pid) => format!(
            "{path}: a server was started (pid {pid}) and still reads its configuration after {after} s, so COMMAND was not started; look for a run-shell or if-shell that takes its time in ~/.tmux.conf (or /etc/tmux.conf); the server ends when it has read it"
        ),
        None => format!(
            "{path}: no server came up within {after} s, so COMMAND was not started; try `tmux -S {path} new-session` by hand, and look into ~/.tmux.conf"
        ),
    }
}

pub(super) fn lost(path: &Path, said: &str) -> String {
    format!(
        "{}: the server was lost while it was asked (\"{said}\"); whether COMMAND was started is not known, so it was not asked for again",
        escaped(path)
    )
}

/// What tmux refused, with what its words do not say.
pub(super) fn refused(said: &str) -> String {
    // forkpty(3) fails so when no pseudo-terminal is left; the same text is about inodes elsewhere.
    if said.contains("fork failed") && said.contains("No space left on device") {
        return format!(
            "{said}: no pseudo-terminal is left (`sysctl kernel.pty.nr kernel.pty.max`); end sessions that nobody needs, or raise kernel.pty.max"
        );
    }
    said.to_owned()
}

/// COMMAND was started, and then the server could not be asked.
pub(super) fn unverified(path: &Path, name: &OsStr, answer: &Answer) -> String {
    let said = match answer {
        Answer::GivenUp => "it does not answer".to_owned(),
        Answer::No(said) | Answer::NoServer(said) => format!("\"{said}\""),
        Answer::Yes => "it told nothing".to_owned(),
    };
    format!(
        "{}: the session \"{}\" was made and COMMAND was started, but the server does not say what became of it ({said}); it was not asked for again",
        escaped(path),
        escaped(name)
    )
}

/// Exit code 0, and no session.
pub(super) fn untold(path: &Path, name: &OsStr, said: &str) -> String {
    let said = if said.is_empty() { "nothing".to_owned() } else { format!("\"{said}\"") };
    format!(
        "{}: new-session said {said} and exit code 0, and a session \"{}\" cannot be found; whether COMMAND was started is not known, so it was not asked for again; is [spawn] tmux in the configuration a tmux?",
        escaped(path),
        escaped(name)
    )
}

pub(super) fn noise(said: &str) -> String {
    format!("besides its answer tmux, or what runs it, printed: {said}")
}

/// Why a server that was started for COMMAND stays without it.
pub(super) fn outlives(own_sessions: usize, stays: bool) -> Option<String> {
    let why = match (own_sessions, stays) {
        (0, false) => return None,
        (0, true) => "says `exit-empty off`",
        _ => "makes a session of its own",
    };
    Some(format!(
        "the server will outlive COMMAND, one for each spawn: the configuration of tmux {why} (~/.tmux.conf)"
    ))
}

pub(super) fn strayed(cwd: &Path, there: Option<&Path>) -> String {
    let there = there.map_or_else(
        || "its directory cannot be seen".to_owned(),
        |there| {
            format!("it is in {}: tmux could not enter the directory, or COMMAND has left it", escaped(there))
        },
    );
    format!("COMMAND may not be in --cwd {}: {there}", escaped(cwd))
}

/// COMMAND has ended: how, and what is left.
pub(super) fn ended(
    path: &Path,
    request: &Request,
    made: Option<&NewSession>,
    end: Option<PaneEnd>,
    stays: bool,
) -> String {
    let shell = made.map_or("the shell", |made| made.shell.as_str());
    let what = match request.command.as_slice() {
        [] if made.is_some_and(|made| made.has_default) => {
            "what default-command in the configuration of tmux names".to_owned()
        }
        [] => format!("the shell {}", escaped(shell)),
        [line] => format!("COMMAND `{}`", escaped(line)),
        [program, ..] => format!("COMMAND ({} and its arguments)", escaped(program)),
    };
    let how = match end {
        Some(PaneEnd { status: Some(code), .. }) => {
            format!("ended at once, with exit code {code}{}", meaning(code, request, shell))
        }
        Some(PaneEnd { signal: Some(number), .. }) => {
            format!("was ended at once, by {}", signal_name(number))
        }
        Some(PaneEnd { status: None, signal: None }) | None => match made {
            Some(made) if made.is_destroyed => "was started, and tmux has ended its session: the configuration says `destroy-unattached`, and nobody is attached".to_owned(),
            _ => format!("was started once and is gone already; how it ended is not known{}", meaning(0, request, shell)),
        },
    };
    let left = match (stays, end) {
        (true, Some(_)) => "; its session is still there",
        (true, None) => "; a session of that name is there",
        (false, _) => "",
    };
    format!("{}: the session \"{}\" was made, and {what} {how}{left}", escaped(path), escaped(&request.name))
}

/// What an exit code, or a shell, makes likely.
fn meaning(code: i32, request: &Request, shell: &str) -> String {
    let locks_out = ["nologin", "false"].iter().any(|name| Path::new(shell).ends_with(name));
    match (request.command.as_slice(), code) {
        ([] | [_], _) if locks_out => format!(
            ": {} refuses logins; set default-shell in ~/.tmux.conf or SHELL, or give a program and its arguments as several words",
            escaped(shell)
        ),
        ([_], 127) => format!(": {} did not find a program in it", escaped(shell)),
        ([_], 126) => ": a program in it cannot be executed".to_owned(),
        ([program, _, ..], 1) => missing(program).map(|why| format!(": {why}")).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Why a program could not be executed, which tmux does not tell from an exit code of 1 of its own.
fn missing(program: &OsStr) -> Option<String> {
    let path = Path::new(program);
    if program.as_encoded_bytes().contains(&b'/') {
        return (!path.is_file()).then(|| format!("there is no program {}", escaped(program)));
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&paths).any(|dir| dir.join(path).is_file());
    (!is_there).then(|| format!("no program {} is in PATH", escaped(program)))
}

pub(super) fn not_writable(dir: &Path, errno: Errno) -> String {
    let cure = match (errno, mount_of(dir)) {
        (Errno::ROFS, Some(mount)) => {
            format!(" (the mount {} is read-only here; a unit's ReadWritePaths= opens it)", escaped(&mount))
        }
        (Errno::ROFS, None) => " (mounted read-only here; a unit's ReadWritePaths= opens it)".to_owned(),
        (Errno::PERM | Errno::ACCESS, _) => {
            " (not writable for this user, or immutable: `ls -ld`, `lsattr -d`)".to_owned()
        }
        _ => String::new(),
    };
    format!("no socket can be made in {}: {}{cure}", escaped(dir), errno_text(errno))
}

pub(super) fn refused_dir(dir: &Path, error: DirectoryError) -> String {
    format!("{}: {}", escaped(dir), error.with_advice())
}

pub(super) fn cannot_make(dir: &Path, errno: Errno) -> String {
    let mount = match (errno, dir.parent().and_then(mount_of)) {
        (Errno::ROFS, Some(mount)) => {
            format!(" (the mount {} is read-only here; a unit's ReadWritePaths= opens it)", escaped(&mount))
        }
        _ => String::new(),
    };
    format!("the directory {} cannot be made: {}{mount}", escaped(dir), errno_text(errno))
}

pub(super) fn lock_unopenable(lock: &Path, errno: Errno) -> String {
    format!(
        "the start lock {} cannot be opened: {}; tmux would start without it, beside any other start; remove it when none is under way",
        escaped(lock),
        errno_text(errno)
    )
}

pub(super) fn lock_no_file(lock: &Path, kind: FileType) -> String {
    format!(
        "the start lock {} is {}; tmux would start without a lock, beside any other start; remove it",
        escaped(lock),
        kind_name(kind)
    )
}

/// A program that is no tmux made none.
pub(super) fn no_session(path: &Path, name: &OsStr, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    format!(
        "{}: new-session was asked for, and there is no session \"{}\"{said}",
        escaped(path),
        escaped(name)
    )
}

pub(super) fn not_living(path: &Path) -> String {
    format!("{}: no server lives there, and --join-only starts none", escaped(path))
}

pub(super) fn cannot_run(program: &Path, error: &std::io::Error) -> String {
    let (why, cure) = match Errno::from_io_error(error).filter(|errno| is_lack(*errno)) {
        Some(errno) => (unread(errno), ""),
        None => (io_text(error), "; `[spawn] tmux` in the configuration names the program"),
    };
    format!("{} cannot be run: {why}{cure}", escaped(program))
}

pub(super) fn no_directory(cwd: &Path, error: &std::io::Error) -> String {
    format!("--cwd {}: {}", escaped(cwd), io_text(error))
}

pub(super) fn nowhere(reasons: &[String]) -> String {
    format!("no socket directory can be used: {}", reasons.join("; "))
}

pub(super) fn hidden(dir: &Path, why: &str) -> String {
    format!(
        "{} is not the one that others see ({why}): a server there could be reached from nowhere else",
        escaped(dir)
    )
}

pub(super) fn mortal(why: &str) -> String {
    format!("a server here would end with the unit, whatever scope it is in ({why})")
}

pub(super) fn unseen(dir: &Path, unit: &str) -> String {
    format!(
        "whether {} is the one that others see cannot be told: the service manager is hidden from {unit} and does not answer",
        escaped(dir)
    )
}

/// The mount point that a path lies on, as `/proc/self/mountinfo` has it.
fn mount_of(path: &Path) -> Option<std::path::PathBuf> {
    tmux_sockets::kernel::Mounts::read().covering(path).map(|mount| mount.point.clone())
}
