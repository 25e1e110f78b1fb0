//! tmux-janitor removes dead tmux sockets and never touches a live one.
//!
//! No tmux server removes its socket when it ends, however it ends. Somebody else has to, and whoever does it
//! carelessly makes a live server unreachable. So what decides and removes is a library of its own, `tmux_sockets`
//! (`crates/sockets`): it logs nothing, knows no configuration, and its own `lib.rs` tells it. This package is the
//! program around it. What reads other people's scripts is a program of its own again, `crates/audit`, of which only
//! the answers (`crates/audit-wire`) come in here.
//!
//! # The life of a socket
//!
//! 1. A tmux server is started: under its start lock it binds a socket, LABEL in a socket directory. `spawn` starts one
//!    that is sure to be reached; `watch` hears of the name by inotify, and takes hold of the process.
//! 2. The server lives. Its socket is listed, shielded from ageing, and touched by nobody.
//! 3. Its file is deleted or another takes its path: the server is a ghost. It is shown, and `rescue` has it make its
//!    socket anew.
//! 4. The server ends, and its socket stays. `watch` is told by the process' end, a sweep finds it: under the start lock
//!    every witness is asked twice, and the file is put into quarantine, judged once more, and gone.
//! 5. It is told: to people and programs, to the journal, and as a sum in the user's record.
//!
//! # The rooms, from the lowest
//!
//! - `view`: what was found, done or happened, as lines for people and as objects for programs.
//! - `logging`: the log, on stderr or in the journal, neither of which is waited for; what of a run it is told.
//! - `host`: what else there is on the machine: other programs and the only place that runs tmux, mounts that may never
//!   answer, accounts, units and logins, files that are replaced as a whole, signals, the service manager.
//! - `record`: a user's sums between runs, and the health row for monitoring.
//! - `config`: the file as it is written, found and read, and the `Settings` that come of it.
//! - `exit`: how a run ends: exit codes, errors, and stdout for the result.
//! - `audit`: runs the program that reads scripts, and tells of its findings.
//! - `doctor`: what in the set-up bites or will bite, a check a file.
//! - `setup`: the user's units, man pages and completions, put in place and taken away again.
//! - `pass`: one user's whole pass: directories that are named or discovered, what is in them, ghosts, the record; told
//!   while it goes on.
//! - `spawn`: one session, whatever the directory looks like.
//! - `watch`: the daemon, and `events`: the same look at the moment when something happens.
//! - `users`: a pass for every user of the machine, each by a process that has become that user.
//! - `cli`: the command line, and what is made of it: help, completions, man pages.
//! - `commands`: from arguments to a result and an exit code.
//!
//! Each imports only those above it in this list: `tests/house` reads the list here.
//!
//! # Words
//!
//! Those of the core mean the same there.
//!
//! - *label*: the file name of a socket, as in `tmux -L label`. *Socket directory*: where labels are, such as `tmux-UID`.
//! - *server*: the process that listens on a socket. *Session*: what people attach to; several may share a server.
//! - *entry*: anything that has a name in a socket directory; in a report, with its verdict and its outcome.
//! - *start lock*: LABEL.lock, which tmux holds while it starts a server. *Lease*: the kernel's word that nobody else has
//!   that file open.
//! - *table*: the kernel's list of bound sockets. *Witness*: who is asked whether a server lives: the table, connect(2),
//!   the lock.
//! - *verdict*: a state (live, starting, dead, ghost, foreign, unknown, no socket) and its reason. Unknown is alive.
//! - *details*: what `list` tells of a live server besides its verdict: its start, unit, memory, who is attached.
//! - *outcome*: what was done with an entry, or why it could not be. *Kept*: left as it is. *Spared*: dead, and kept
//!   because the configuration says so (`keep`, `min-age`).
//! - *quarantine*: the name that a dead socket has between its last judgement and its removal.
//! - *litter*: what else starts and sweeps leave behind: orphaned locks, sockets in quarantine.
//! - *ghost*: a live server that nobody can reach at its path. *Rescue*: it makes its socket anew. *Set aside*: a newer
//!   server gets a second name first.
//! - *elsewhere*: where a live server is bound that is in none of the directories; the core calls it an outsider.
//! - *stray*: a directory that is called like a user's and is none.
//! - *far*: on a mount that may not answer. *Apart*: done in a child, which may hang there.
//! - *target*: what a pass looks at: a directory, or names in it. *Pass*: one look at targets, with what is done then.
//!   *Sweep*: a pass that removes.
//! - *report*: what a pass found and did. *Run*: a report, with what the record said and the rows.
//! - *record*: the sums of a user's earlier runs. *Row*: one user's health, for monitoring.
//! - *worker*: the process in which a user's pass is made for root.
//! - *finding*: something that the doctor or an audit tells of. *Cure*: what makes it go away.

mod audit;
mod cli;
mod commands;
mod config;
mod doctor;
mod exit;
mod host;
mod logging;
mod pass;
mod record;
mod setup;
mod spawn;
mod users;
mod view;
mod watch;

pub use exit::Exit;

use exit::{Error, output};
use host::apart;
use std::ffi::OsString;
use std::io::{IsTerminal, Write as _};
use std::os::fd::AsFd;

/// What is tried with data, by `tests/` and `fuzz/`, and cannot be from outside of the program. No interface of it.
#[doc(hidden)]
pub mod for_tests {
    pub use crate::cli::definition as command_line;
    pub use crate::config::{
        ConfigError, DoctorSettings, FolderGlob, Keep, Settings, SpawnSettings, WatchSettings, parse_span,
        parse_text,
    };
    pub use crate::spawn::label_of;
}

/// Runs the program: from its arguments, the first being its name, to its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    std::panic::set_hook(Box::new(|panic| {
        let told = format!("tmux-janitor: a bug of ours, nothing more was done: {panic}; please report it\n");
        logging::stderr::write(told.as_bytes());
        logging::finish();
        std::process::exit(Exit::Bug as i32);
    }));
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if !apart::guard::begin(&arguments) {
        return Exit::Found;
    }
    let exit = answer(&apart::guard::meant(arguments));
    logging::finish();
    exit
}

fn answer(arguments: &[OsString]) -> Exit {
    if let Some(order) = users::order::PassOrder::of(arguments) {
        return commands::work(order, &mut output::Output::new(false)).unwrap_or_else(|error| error.exit());
    }
    if let Some(order) = users::order::FollowOrder::of(arguments) {
        return users::stream::work(order).unwrap_or_else(|error| error.exit());
    }
    if let Some(order) = apart::errand::ErrandOrder::of(arguments) {
        let told = apart::carry_out(&order, pass::far::look_there);
        return output::Output::new(false).bytes(&told).map_or(Exit::Found, |()| Exit::Done);
    }
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() && cli::is_name_taken_for_help(arguments) => {
            logging::stderr::write(b"error: a session's name cannot be an option of spawn\n");
            return Exit::Usage;
        }
        Err(mut error) if error.use_stderr() && !std::io::stderr().is_terminal() => {
            cli::hint(&mut error);
            logging::stderr::write(error.render().to_string().as_bytes());
            return Exit::Usage;
        }
        Err(mut error) => {
            cli::hint(&mut error);
            // Help goes to stdout, mistakes to stderr.
            let printed = output::written(error.print().and_then(|()| std::io::stdout().flush()));
            return match printed {
                _ if error.use_stderr() => Exit::Usage,
                Ok(()) => Exit::Done,
                Err(error) => {
                    logging::init(logging::LogTarget::Auto, logging::Volume::default());
                    tracing::error!("{error}");
                    error.exit()
                }
            };
        }
    };
    let volume = cli.volume(std::io::stderr().is_terminal());
    let in_journal = logging::init(cli.global.log_target, volume);
    let muted = in_journal && logging::is_journal(std::io::stdout().as_fd());
    let mut output = output::Output::new(muted);
    let run =
        commands::guarded(&cli, arguments, &mut output).unwrap_or_else(|| commands::run(&cli, &mut output));
    match run {
        Ok(exit) => exit,
        Err(error) => {
            match &error {
                Error::Configuration(error) => logging::configuration_rejected(&error.to_string()),
                other => tracing::error!("{other}"),
            }
            error.exit()
        }
    }
}
