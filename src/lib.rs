//! tmux-janitor removes dead tmux sockets and never touches a live one.
//!
//! # The life of a socket, and how this crate follows it
//!
//! No tmux server removes its socket when it ends, however it ends. Somebody else has to, and whoever
//! does it carelessly makes a live server unreachable. So:
//!
//! 1. [`discover`] says which directories tmux would use and does use. [`socket::directory`] opens
//!    each once and checks it as tmux would; all further steps go through that handle.
//! 2. [`sweep`] looks at every name and asks the witnesses: the kernel's table of unix sockets
//!    ([`socket::kernel_table`], whose own trustworthiness [`socket::sight`] judges), and for what
//!    the table does not show, connect(2) through a pinned handle ([`socket::connect`]).
//! 3. [`socket::verdict`] is the judgement: plain facts in, a state and a reason out. It is the only
//!    place that calls a socket dead. Unknown is alive.
//! 4. [`reap`] is the removal, the only one: the socket is held open and still not in the table, tmux's own start
//!    lock ([`tmux::start_lock`]), every witness once more under it, a rename to a [`quarantine`] name, a look,
//!    unlink, and the lock's careful end.
//! 5. [`ghost`] finds servers that nobody can reach, because their socket was deleted or replaced, and
//!    gives them their socket back where that is proven safe.
//! 6. [`report`] is what was found and done, for people, for programs and for monitoring; [`pass`] tells of it while it goes on; [`record`] keeps the
//!    sums between runs; [`journal`] writes it to the log; [`words`] holds the sentences; [`exit`] the exit codes.
//!
//! [`spawn`] starts a session on top of that, whatever the directory looks like; [`tmux::client`] is the
//! only place that runs tmux, [`child`] the only one that runs another program.
//! [`watch`] does the same look at the moment a server dies, and tells of it as [`events`]; [`service`] is
//! what systemd hears of it, [`journald`] the way to a journal that is never waited for.
//! [`doctor`] says what in the set-up will bite, [`audit`] what in scripts and unit files does.
//!
//! [`users`] does all of it for every user of a machine, one process per user.
//!
//! Around it: [`cli`] and [`commands`], [`config`], [`logging`], [`probe`] for one socket, [`sandbox`], [`mounts`], [`apart`] for what may never answer, [`replace`], [`manual`], [`completions`], [`user_database`].

pub mod apart;
pub mod audit;
#[path = "../crates/sockets/src/kernel/checkpoint.rs"]
pub mod checkpoint;
pub mod child;
pub mod cli;
pub mod commands;
pub mod completions;
pub mod config;
#[path = "../crates/sockets/src/sweep/discover.rs"]
pub mod discover;
pub mod doctor;
pub mod error;
#[path = "../crates/sockets/src/kernel/escape.rs"]
pub mod escape;
pub mod events;
pub mod exit;
#[path = "../crates/sockets/src/ghost/mod.rs"]
pub mod ghost;
pub mod journal;
pub mod journald;
pub mod logging;
pub mod manual;
#[path = "../crates/sockets/src/kernel/mounts.rs"]
pub mod mounts;
#[path = "../crates/sockets/src/report/outcome.rs"]
pub mod outcome;
pub mod output;
pub mod pass;
pub mod probe;
#[path = "../crates/sockets/src/kernel/process/mod.rs"]
pub mod process;
#[path = "../crates/sockets/src/tmux/quarantine.rs"]
pub mod quarantine;
#[path = "../crates/sockets/src/remove/reaper.rs"]
pub mod reap;
pub mod record;
pub mod replace;
#[path = "../crates/sockets/src/report/mod.rs"]
pub mod report;
pub mod sandbox;
pub mod service;
pub mod socket;
pub mod spawn;
#[path = "../crates/sockets/src/sweep/pass.rs"]
pub mod sweep;
pub mod tmux;
pub mod told_to_end;
pub mod user_database;
pub mod users;
pub mod watch;
pub mod words;

use clap::Parser;
use error::Error;
use exit::Exit;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Runs the program: from its arguments, the first being its name, to its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    std::panic::set_hook(Box::new(|panic| {
        let told = format!("tmux-janitor: a bug of ours, nothing more was done: {panic}; please report it\n");
        logging::stderr::write(told.as_bytes());
        logging::stderr::finish();
        std::process::exit(Exit::Bug as i32);
    }));
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if !apart::guard::begin(&arguments) {
        return Exit::Found;
    }
    let exit = answer(&apart::guard::meant(arguments));
    logging::stderr::finish();
    exit
}

fn answer(arguments: &[OsString]) -> Exit {
    if let Some(order) = users::order::Order::of(arguments) {
        return commands::work(order, &mut output::Output::new(false)).unwrap_or_else(|error| error.exit());
    }
    if let Some(order) = apart::errand::Order::of(arguments) {
        let told = apart::carry_out(&order);
        return output::Output::new(false).bytes(&told).map_or(Exit::Found, |()| Exit::Done);
    }
    let cli = match cli::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() && cli::is_name_taken_for_help(arguments) => {
            logging::stderr::write(b"error: a session cannot be called like an option of ours\n");
            return Exit::Usage;
        }
        Err(mut error) if error.use_stderr() && !std::io::stderr().is_terminal() => {
            cli::hint(&mut error);
            logging::stderr::write(error.render().to_string().as_bytes());
            return Exit::Usage;
        }
        Err(mut error) => {
            cli::hint(&mut error);
            // Help goes to stdout, mistakes to stderr; a closed pipe is no error of ours.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
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
                Error::ReaderGone => {}
                other => tracing::error!("{other}"),
            }
            error.exit()
        }
    }
}
