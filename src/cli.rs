//! The command line. Help, completions and man pages are made from it.

pub(crate) mod completions;
mod hint;
mod levels;
mod looking;
pub(crate) mod manual;
mod sessions;

pub(crate) use hint::hint;
pub(crate) use levels::parse;
pub(crate) use looking::{List, Probe, Status};
pub(crate) use sessions::{Rescue, Spawn, is_name_taken_for_help};

use crate::config::LabelGlob;
use crate::logging::{LogTarget, Volume};
use crate::spawn::{self};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;
use tmux_sockets::kernel::Pid;

/// Removes dead tmux sockets and never touches a live one.
///
/// No tmux server ever removes its socket, so dead ones pile up. A socket is dead when every witness
/// says so: the kernel's socket table does not list it, it refuses connections, and tmux's own
/// start lock is held while both are asked again. Whatever is not proven dead is kept. A live server
/// whose socket was deleted or replaced is a ghost: it is shown everywhere, and `rescue` gives it its socket back.
#[derive(Debug, Parser)]
#[command(
    name = "tmux-janitor",
    version,
    propagate_version = true,
    after_long_help = EXIT_CODES
)]
pub(crate) struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do; without one: a few lines that say what is there.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// How much the log on stderr says. Of the daemon no result tells what it does: on a terminal its log does.
    pub(crate) fn volume(&self, on_a_terminal: bool) -> Volume {
        let Global { verbose, quiet, .. } = self.global;
        match &self.command {
            Some(Command::Watch { .. }) => {
                Volume { verbose: verbose.saturating_add(on_a_terminal.into()), quiet, told: false }
            }
            // Never 1: what would be logged at that level the result tells already.
            _ => Volume { verbose: if verbose > 0 { 2 } else { 0 }, quiet, told: true },
        }
    }
}

/// The command line as clap has it.
pub fn definition() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// The exit codes, for help and man page.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0   done, also when there was nothing to do; status: healthy; probe: live or starting;
      spawn: the session exists and was verified
  1   an entry failed, a directory has an error or --dir names none; status: a dead socket, a
      ghost or a start lock that is held for good; rescue: a ghost is left; probe: dead;
      spawn: the session could not be made; doctor: a problem or a risk; audit: a finding;
      setup: not all could be done; all: the result could not be written
  2   the command line makes no sense; audit: a file that is neither a shell script nor a unit file
  3   probe: absent (a live server of that path, and where it is, is named);
      spawn: a session of that name is there already, nothing was changed
  4   probe: unknown, foreign, or not a socket;
      spawn: the session was made and COMMAND has ended already; it ran once, and how it ended is told;
      status: not all could be looked at, whatever was found
  70  a bug of tmux-janitor
  77  no permission for what was asked; audit: a file that is missing or cannot be read
  78  the configuration is wrong";

/// Options of all commands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct Global {
    /// Look in this folder of sockets instead of those that tmux would use (repeatable, before COMMAND and behind it)
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub dir: Vec<PathBuf>,
    /// Read this configuration file
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Log more (repeatable)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say and log only what failed; list, status, probe and doctor print what they find all the same
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Colour the output
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: Color,
    /// Where the log goes
    #[arg(long, value_name = "TARGET", global = true, default_value = "auto")]
    pub log_target: LogTarget,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` forces it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Remove dead sockets, once
    ///
    /// With -S only the sockets that are named, by the same proof, and also in a folder that everybody may write
    /// and that is root's and sticky, such as /tmp: there only your own.
    Sweep {
        /// Only say what would be removed, and what could not be
        #[arg(long)]
        dry_run: bool,
        /// Rescue ghosts, too: live servers whose socket was deleted or replaced
        #[arg(long)]
        rescue: bool,
        /// For every user of this machine, each as that user; needs root
        #[arg(long)]
        all_users: bool,
        /// The socket at PATH, as `tmux -S` takes it, and nothing else (repeatable)
        #[arg(short = 'S', value_name = "PATH", value_hint = ValueHint::AnyPath,
              conflicts_with_all = ["rescue", "all_users", "dir"])]
        sockets: Vec<PathBuf>,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Run as a daemon that removes a socket the moment its server dies
    ///
    /// Sleeps until something happens. A server's death is noticed at once (pidfd), a birth by inotify,
    /// and whatever was missed by a rescan. SIGHUP reads the configuration anew; SIGTERM ends it.
    Watch {
        /// Remove nothing; only shield live sockets from ageing and log deaths
        #[arg(long)]
        no_reap: bool,
    },
    /// Print a line when a server starts or ends or a socket is removed; removes nothing
    ///
    /// Servers that run already are announced first; then comes `ready`, once, which also says how births are seen. Each
    /// line is written as it happens: one pipe takes the place of a polling loop. A death gives exactly one server-gone,
    /// however the server died, and says how where the kernel tells that.
    ///
    /// Live servers that are bound outside of the socket directories (`tmux -S PATH`, another mount namespace) are told of,
    /// too; a new one is seen when everything is looked at again (watch.rescan), not at once. With --dir only what is in
    /// these directories is told.
    Events {
        /// For every user of this machine, each as that user; needs root
        #[arg(long)]
        all_users: bool,
        /// Print only events of these labels, and `ready`; `*`, `?` and `[...]` as in `keep` of the configuration
        #[arg(long, value_name = "GLOB")]
        label: Option<LabelGlob>,
        /// Tell also of the dead sockets that are there at the beginning (`dead`)
        #[arg(long)]
        dead: bool,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show every socket with its state, its server, and the reason
    ///
    /// On a terminal a table, cut to its width: first MEMORY and UNIT are left out, then other columns. Reasons stand
    /// below what is neither live nor dead. Into a pipe goes a line of fields for each socket, with a header, between tabs:
    /// STATE, LABEL, PID, AGE, ATTACHED, UNIT, MEMORY, USER, PATH, REASON; nothing is cut there, and what is not known is -.
    ///
    /// Live servers that are bound outside of the socket directories (`tmux -S PATH`, another mount namespace) are shown,
    /// too: found without a connection, never touched. One that cannot be reached at its path from here is shown with the
    /// command that leads there. With --dir only what is in these directories is shown.
    ///
    /// No server is asked: AGE, UNIT and MEMORY come from /proc, ATTACHED from the execute bits of the socket, which tmux
    /// sets while somebody is attached. MEMORY is what the server and all that descend from it hold and no file has.
    List(List),
    /// Print the health in one line, for monitoring
    ///
    /// With --metrics or --metrics-file in a form for monitoring: sockets by state, ghosts, removals,
    /// failures, and when everything was last swept. In every form exit code 1 says that there is a dead
    /// socket, a ghost or a start lock that is held for good, and 4 that not all could be looked at. What keep or min-age
    /// keeps is healthy.
    Status(Status),
    /// Say whether one socket is alive; never starts a server
    ///
    /// Looks, and connects to no live server: with --session, too, it tells the state of the socket, and not whether
    /// the server has that session; `tmux -S PATH has-session -t =NAME` does. Of an absent socket it names the live
    /// servers that were bound to that path: a ghost, or one in another mount namespace, with the way in; and with -L where
    /// else a server of that label is.
    Probe(Probe),
    /// Get back sessions that tmux no longer finds
    ///
    /// A ghost is a live server whose socket was deleted or replaced. tmux makes its socket anew on
    /// SIGUSR1. The signal is sent only to what is proven to be a tmux server of yours, and only
    /// when its path is free and can be written. A tmux-UID that was deleted is made anew, with the folders above
    /// it. A path that a live server holds is never taken, but with --aside: then that one has a second name first, both
    /// can be reached, and $TMUX in its panes names the older one. Of several ghosts of one path none is touched:
    /// `list` shows what runs in them, the choice is yours. Exit code 1 says that a ghost is left.
    Rescue(Rescue),
    /// Start a session on a socket of its own, and make sure that it is there
    ///
    /// NAME, --cwd, --env and COMMAND are data, whoever sent them: nothing in them is expanded or run by
    /// tmux. Several words of COMMAND reach the program byte for byte; one word is a shell line, as in tmux, so never
    /// build one from what a stranger typed. What stands before -- is read as ours: do not let strangers write options.
    ///
    /// The session gets a socket of its own, spawn-NAME, in the first socket directory that can be
    /// used, after a sweep; it exists when tmux tells it again after COMMAND has settled, whatever the exit code was. A start
    /// is repeated once at most, and only before COMMAND was asked for: COMMAND is never started twice. Nothing is ever
    /// started over a server that may be alive.
    ///
    /// A warning tells what is worth knowing although it went well: a session that ends with the logout or the login, a
    /// server that will outlive COMMAND, a COMMAND that may not be in --cwd, what tmux printed besides its answer. In a
    /// service its server gets a scope of its own, which goes on when one process in it is killed for want of memory.
    Spawn(Box<Spawn>),
    /// Check the set-up and print the fix for each problem
    ///
    /// Looks at sockets, locks and directories, at the units, their environment and cgroups, at
    /// systemd-tmpfiles' rules, at jobs of cron and timers that clean /tmp, and at tmux itself; at what ends servers: a logout, a service, one
    /// process that is killed for want of memory; and whether the runtime directory is full. Each finding says how bad it is, and has the evidence, why it matters, and the
    /// command that cures it. Changes nothing. What is known and wanted: doctor.ignore in the configuration.
    ///
    /// Exit code 0: nothing found but notes; 1: problems (they hurt now) or risks (they will).
    Doctor {
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Set up your units, man pages and completions, out of this program
    ///
    /// For those who have nothing but the program, from `cargo install` or a download. The units go to
    /// ~/.config/systemd/user and start the program where it lies now; man pages and completions for bash, zsh and fish go to
    /// ~/.local/share (completions to `$XDG_DATA_HOME`, if that is set), as `packaging/install --user` has them. What was made
    /// is written down in ~/.local/share/tmux-janitor/installed. Files of an older version are replaced; a file that is
    /// not on that list is never overwritten. Where a package has put the units for all users, nothing is written.
    ///
    /// It says what was done, and what is left to do. Exit code 1: something was not written or started; 77: for want of
    /// permission.
    #[command(group = clap::ArgGroup::new("what").args(["now", "remove", "print"]))]
    Setup {
        /// Enable and start the timer, too: a sweep every 10 minutes, and one at each start of your user manager
        #[arg(long)]
        now: bool,
        /// Stop and disable the units and take away what this, or `packaging/install --user`, has put there
        #[arg(long)]
        remove: bool,
        /// Print the files, a line with the path before each, and write nothing
        #[arg(long)]
        print: bool,
    },
    /// Find what endangers tmux servers in shell scripts, unit files and tables of cron
    ///
    /// Rules: default-socket, tmux without -L or -S; kill-server, the same with kill-server; exit-code, a start
    /// that is judged by its exit code; rm-socket and rm-lock, sockets or start locks removed by hand; rm-tmp, the
    /// removal of whatever lies in /tmp; oneshot, a server that a oneshot service starts without a scope; background, one
    /// that another service starts with -d; error-text, one of the two things that tmux says of a dead server is
    /// looked for, and not the other. The scripts are not run: variables, functions,
    /// wrappers and nested scripts are seen through as far as they are known, and of the rest nothing is said.
    ///
    /// A comment "# tmux-janitor: allow RULE" on the same line or the line before silences RULE there.
    /// Exit code 0: nothing found, 1: findings; 2: a FILE is neither script nor unit; 77: one is missing
    /// or cannot be read.
    Audit {
        /// The scripts and unit files
        #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Check a configuration file, or the one in force
    CheckConfig {
        /// The file; without it the one that every command would read
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Carry out the order of another tmux-janitor that is on stdin
    #[command(name = spawn::handover::COMMAND, hide = true)]
    CarryOut {
        /// Say which directory is there instead
        #[arg(long)]
        tell: Option<PathBuf>,
    },
    /// Become systemd-run for another tmux-janitor
    #[command(name = spawn::handover::HAND_OVER, hide = true)]
    HandOver {
        /// Who started this: it ends with that process
        #[arg(long)]
        parent: Pid,
        /// Have it execute this very program
        #[arg(long)]
        own: bool,
        /// What it is told
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Print a shell's completion script
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print what a shell completes that only a run can tell, a line each
    #[command(hide = true)]
    CompleteNames {
        /// Of what
        of: Nameable,
    },
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

/// What has names that a shell completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Nameable {
    /// Sockets, by label.
    Labels,
    /// Ghosts, by path.
    Ghosts,
}
