//! The commands: from arguments to a result and an exit code.

mod audit;
mod doctor;
mod list;
mod named;
mod overview;
mod paths;
mod probe;
mod rescue;
mod setup;
mod spawn;
mod status;

use crate::cli::{self, Cli, Color, Command, Global};
use crate::config::{self, ConfigError, Settings};
use crate::exit::output::{self, Output};
use crate::exit::{Error, Exit};
use crate::host::apart::{self, guard};
use crate::host::descriptors;
use crate::logging::LogTarget;
use crate::logging::journal;
use crate::pass::{ENTRIES_OF_ONE, Heard, Narrator, Places, Rescuing, Run, Whole, details, see, wire};
use crate::users::order::PassOrder;
use crate::users::{self, Task};
use crate::view::json;
use crate::view::people::{self, Palette};
use crate::watch::{self, Wishes};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::lack;
use tmux_sockets::report::{Declined, Report};
use tmux_sockets::sweep::Act;

/// Has a command line carried out by a child of ours, where it may go to a mount that may not answer. `None`: it can
/// be carried out here.
pub(crate) fn guarded(cli: &Cli, line: &[OsString], output: &mut Output) -> Option<Result<Exit, Error>> {
    if !guard::is_wanted(|| paths::of(cli)) {
        return None;
    }
    let mount = match guard::run(line).ok()? {
        guard::GuardEnd::Ended(code) => return Some(Ok(code.map_or(Exit::Bug, Exit::of_code))),
        guard::GuardEnd::StoodStill(mount) => mount,
    };
    tracing::error!("{}", apart::stood_still(&mount));
    Some(match &cli.command {
        Some(Command::Status(_) | Command::Probe(_)) => Ok(Exit::Undecided),
        Some(Command::Spawn(arguments)) if arguments.json => {
            let spawned = crate::spawn::result::unknown(&arguments.name, apart::stood_still(&mount));
            spawned.json().map_err(Error::from).and_then(|json| output.line(&json)).map(|()| Exit::Found)
        }
        _ => Ok(Exit::Found),
    })
}

/// Carries out a command line.
pub(crate) fn run(cli: &Cli, output: &mut Output) -> Result<Exit, Error> {
    if !matches!(cli.command, Some(Command::CarryOut { .. } | Command::HandOver { .. })) {
        // Those start what a spawn handed over, with the limits that it had; whatever else there is looks at servers.
        descriptors::raise();
    }
    match &cli.command {
        None => overview::overview(&cli.global, output),
        Some(Command::Sweep { dry_run, sockets, json, .. }) if !sockets.is_empty() => {
            let mut narrator = narrator(&cli.global, *dry_run, *json, output);
            let report = named::sweep(&cli.global, sockets, *dry_run, &mut narrator)?;
            tell_sweep(&cli.global, &report, (*dry_run, *json), &mut narrator, output)
        }
        Some(Command::Sweep { dry_run, rescue, all_users, json, sockets: _ }) => {
            let act = if *dry_run { Act::DryRun } else { Act::Remove };
            let task = Task { act, rescue: *rescue, details: false };
            sweep(&cli.global, task, *all_users, *json, output)
        }
        Some(Command::List(arguments)) => list::list(&cli.global, arguments, output),
        Some(Command::Status(arguments)) => status::status(&cli.global, arguments, output),
        Some(Command::Watch { no_reap }) => {
            watch::watch(&cli.global.dir, cli.global.config.as_deref(), *no_reap)
        }
        Some(Command::Events { all_users, label, dead, json }) => {
            let wishes = Wishes { json: *json, label: label.clone(), dead: *dead, people: false };
            if *all_users {
                alone(&cli.global)?;
                return users::stream::follow(wishes);
            }
            watch::events(&cli.global.dir, cli.global.config.as_deref(), wishes)
        }
        Some(Command::Probe(arguments)) => probe::probe(&cli.global, arguments, output),
        Some(Command::Rescue(arguments)) => rescue::rescue(&cli.global, arguments, output),
        Some(Command::Spawn(arguments)) => spawn::spawn(&cli.global, arguments, output),
        Some(Command::CarryOut { tell: None }) => crate::spawn::carry_out::carry_out(),
        Some(Command::CarryOut { tell: Some(dir) }) => {
            output.text(&crate::spawn::outside::tell(dir)).map(|()| Exit::Done)
        }
        Some(Command::HandOver { parent, own, words }) => {
            crate::spawn::carry_out::hand_over(*parent, *own, words)
        }
        Some(Command::Doctor { json }) => doctor::doctor(&cli.global, *json, output),
        Some(Command::Setup { now, remove, print }) => {
            setup::setup(&cli.global, (*now, *remove, *print), output)
        }
        Some(Command::Audit { files, json }) => audit::audit(&cli.global, files, *json, output),
        Some(Command::CheckConfig { file }) => check_config(&cli.global, file.as_deref(), output),
        Some(Command::Completions { shell }) => cli::completions::print(*shell, output),
        Some(Command::CompleteNames { of }) => {
            let report = look(&cli.global, false)?.report;
            output.text(&cli::completions::names(&report, *of)).map(|()| Exit::Done)
        }
        Some(Command::Man { dir }) => cli::manual::man(dir),
    }
}

/// Makes one pass over what the options name, or over what is discovered; then looks for ghosts.
fn pass(
    global: &Global,
    act: Option<Act>,
    rescuing: Rescuing<'_>,
    narrator: &mut Narrator,
) -> Result<Run, ConfigError> {
    Ok(Whole { settings: &config::load(global.config.as_deref())?, given: &global.dir, act, rescuing }
        .make(narrator))
}

/// What one user's task comes to.
fn carry_out(global: &Global, task: Task, narrator: &mut Narrator) -> Result<Run, ConfigError> {
    let Task { act, rescue, details } = task;
    let rescuing = Rescuing { rescue, ..Rescuing::none(act != Act::Remove) };
    let mut run = pass(global, Some(act), rescuing, narrator)?;
    if details {
        let ((), lack) = lack::during(|| details::gather(&mut run.report));
        see::note_lack(&mut run.report, lack);
    }
    Ok(run)
}

/// The same for every user of the machine, if that is asked for.
fn pass_for(global: &Global, all_users: bool, task: Task, narrator: &mut Narrator) -> Result<Run, Error> {
    if !all_users {
        return Ok(carry_out(global, task, narrator)?);
    }
    alone(global)?;
    let mut signals = narrator.signals();
    let mut heard = |heard: Heard<'_>, known| {
        if task.act == Act::Remove {
            narrator.hear_of_users(heard, known);
        }
    };
    let run = users::pass(task, &mut signals, &mut heard);
    narrator.give_back(signals);
    let run = run?;
    see::say_where(&run.report);
    Ok(run)
}

/// That `--all-users` stands alone.
fn alone(global: &Global) -> Result<(), Error> {
    if global.dir.is_empty() && global.config.is_none() {
        return Ok(());
    }
    Err(Error::Usage(
        "--all-users uses each user's own directories and configuration: it cannot be combined with --dir or --config"
            .to_owned(),
    ))
}

/// One user's part of it, as a process of its own that was started as root.
pub(crate) fn work(order: PassOrder, output: &mut Output) -> Result<Exit, Error> {
    let global = Global {
        dir: Vec::new(),
        config: None,
        verbose: 0,
        quiet: true,
        color: Color::Never,
        log_target: LogTarget::Stderr,
    };
    let PassOrder { task, uid, gid } = order;
    let mut narrator = Narrator::of_a_worker(users::SWEEP);
    let run = users::worker::become_user(uid, gid).and_then(|()| {
        carry_out(&global, task, &mut narrator).map_err(|error| Declined::Configuration(error.to_string()))
    });
    output::written(narrator.finish())?;
    let run = run.map(|mut run| {
        see::set_strays_apart(&mut run.report, uid);
        run.report.sum_up(uid, ENTRIES_OF_ONE);
        run
    });
    let (message, exit) = match run {
        Ok(run) => {
            let exit = exit_of(&run.report);
            (wire::write(run), exit)
        }
        Err(why) => (wire::declined(why.clone()), Error::from(why).exit()),
    };
    output.bytes(&message)?;
    Ok(exit)
}

/// A pass that only looks.
fn look(global: &Global, all_users: bool) -> Result<Run, Error> {
    let task = Task { act: Act::Look, rescue: false, details: false };
    pass_for(global, all_users, task, &mut Narrator::default())
}

fn load_settings(global: &Global) -> Result<Settings, Error> {
    Ok(config::load(global.config.as_deref())?)
}

fn exit_of(report: &Report) -> Exit {
    if report.has_failures() { Exit::Found } else { Exit::Done }
}

fn sweep(
    global: &Global,
    task: Task,
    all_users: bool,
    as_json: bool,
    output: &mut Output,
) -> Result<Exit, Error> {
    let dry_run = task.act == Act::DryRun;
    let mut narrator = narrator(global, dry_run, as_json, output);
    let report = pass_for(global, all_users, task, &mut narrator)?.report;
    tell_sweep(global, &report, (dry_run, as_json), &mut narrator, output)
}

/// Who tells of a sweep while it goes on.
fn narrator(global: &Global, dry_run: bool, as_json: bool, output: &Output) -> Narrator {
    let prints = !as_json && !global.quiet && !output.is_muted();
    if dry_run { Narrator::default() } else { Narrator::of_a_sweep(prints, global.quiet) }
}

/// What is left to be told of a sweep: `how` says whether it was a dry run, and whether programs read it.
fn tell_sweep(
    global: &Global,
    report: &Report,
    (dry_run, as_json): (bool, bool),
    narrator: &mut Narrator,
    output: &mut Output,
) -> Result<Exit, Error> {
    let printed = output::written(narrator.finish());
    see::say_why(report);
    let is_told = |at| narrator.has_told(at);
    journal::rest_of_pass(report, dry_run, &is_told);
    printed?;
    if as_json {
        output.json(|to| json::run(to, report, "sweep", dry_run, json::Listing::Eventful))?;
    } else if !global.quiet {
        output.text(&people::sweep(report, dry_run, &is_told))?;
    }
    narrator.obey();
    Ok(exit_of(report))
}

fn check_config(global: &Global, file: Option<&Path>, output: &mut Output) -> Result<Exit, Error> {
    let settings = match file.or(global.config.as_deref()) {
        Some(path) => config::read_file(path)?,
        None => config::load(None)?,
    };
    // What is named is right as it is written; whether it can be used is another matter.
    Places::shut(&settings, Uid::ours()).iter().for_each(journal::directory);
    if !global.quiet {
        output.line("configuration: ok")?;
    }
    Ok(Exit::Done)
}

/// Colours as <https://no-color.org> and `CLICOLOR_FORCE` ask for.
fn palette(color: Color) -> Palette {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let colored = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto
            if std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") =>
        {
            true
        }
        Color::Auto => std::io::stdout().is_terminal(),
    };
    Palette { colored }
}
