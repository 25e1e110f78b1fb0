//! tmux-janitor removes dead tmux sockets and never touches a live one.
//!
//! # The life of a socket, and how this crate follows it
//!
//! No tmux server removes its socket when it ends, however it ends. Somebody else has to, and whoever
//! does it carelessly makes a live server unreachable. So:
//!
//! 1. [`tmux_sockets`] is the core, a library of its own: where tmux's sockets are, who is asked about them, the
//!    judgement and the removal, the only ones, ghosts and their rescue. It logs nothing and knows no configuration.
//! 2. [`pass`] makes one user's whole pass with it: directories that are named or discovered, what is in them, ghosts;
//!    it tells of it while it goes on. [`record`] keeps the sums between runs.
//! 3. [`view`] shows what was found and done to people, to programs and to monitoring; [`journal`] writes it to the log;
//!    [`words`] holds sentences; [`exit`] the exit codes.
//!
//! [`spawn`] starts a session on top of that, whatever the directory looks like; [`host::client`] is the
//! only place that runs tmux, [`child`] the only one that runs another program.
//! [`watch`] does the same look at the moment a server dies, and tells of it as [`events`]; [`service`] is
//! what systemd hears of it.
//! [`doctor`] says what in the set-up will bite, [`audit`] what in scripts and unit files does.
//!
//! [`users`] does all of it for every user of a machine, one process per user.
//!
//! Around it: [`cli`] and [`commands`], [`config`], [`logging`], [`probe`] for one socket, [`sandbox`], [`apart`] for what may never answer, [`replace`], [`manual`], [`completions`], [`user_database`].

pub mod audit;
pub mod cli;
pub mod commands;
pub mod config;
pub mod doctor;
pub mod exit;
pub mod host;
pub mod journal;
pub mod logging;
pub mod pass;
pub mod record;
pub mod spawn;
pub mod users;
pub mod view;
pub mod watch;

use clap::Parser;
use exit::{Error, Exit, output};
use host::apart;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;

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
    if let Some(order) = users::order::Order::of(arguments) {
        return commands::work(order, &mut output::Output::new(false)).unwrap_or_else(|error| error.exit());
    }
    if let Some(order) = apart::errand::Order::of(arguments) {
        let told = apart::carry_out(&order, pass::far::look_there);
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
