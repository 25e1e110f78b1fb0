//! The user's units, man pages and completions, out of the program: for those who have nothing but the program.
//!
//! They go where `packaging/install --user` has them, which calls this. What was made is written down in
//! `share/tmux-janitor/installed`, a line `file PATH` or `dir PATH` each, in that order; going by this list backwards
//! takes away what was made and nothing else.

mod files;
mod folders;
mod left;
mod list;
mod manager;
mod program;
mod take_away;
mod told;
mod write;

pub(crate) use files::Papers;

use crate::exit::Error;
use crate::host::apart;
use folders::Folders;
use manager::{State, UserManager};
use std::path::PathBuf;
use tmux_sockets::kernel::Uid;

/// The unit that is enabled.
const TIMER: &str = "tmux-janitor.timer";

/// What of us is there, and the machine's part of it.
struct Scene {
    folders: Folders,
    manager: UserManager,
    /// Where a package, or root, has put the units for all users.
    packaged: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was done and is left to do, a line each.
    pub said: Vec<String>,
    /// What failed, a sentence each.
    pub failed: Vec<String>,
    /// Of these one for want of permission.
    pub is_refused: bool,
}

/// Writes what is to be there; with `now` the timer is enabled and started, too.
///
/// # Errors
/// Nothing was written: there is no home, or it is another one's.
pub(crate) fn put(papers: &Papers, now: bool) -> Result<Outcome, Error> {
    let scene = Scene::look()?;
    let mut outcome = Outcome::default();
    outcome.say(told::of_root(scene.folders.user));
    let program = program::own().map_err(Error::Impossible)?;
    if let Some(folder) = &scene.packaged {
        let shadows =
            list::read(&scene.folders.list).is_ok_and(|list| list.iter().any(list::Line::is_a_unit));
        outcome.say(told::packaged(folder, &program, shadows));
    } else {
        let unit_program = program::in_units(&program, &scene.folders).map_err(Error::Impossible)?;
        outcome.say(program::warning(&program));
        let needs = scene.manager.needs_less_of_a_sandbox();
        let wanted = files::wanted(&scene.folders, &unit_program, papers, needs.is_some());
        if needs.is_none() && scene.manager.state == State::Runs {
            let drop_in = files::drop_in(&scene.folders);
            match write::retire(&scene.folders.list, &drop_in) {
                Ok(true) => outcome.say([told::retired(&drop_in)]),
                Ok(false) => {}
                Err(failure) => outcome.fail([failure]),
            }
        }
        let put = write::put(&scene.folders.list, &wanted);
        outcome.say(told::written(&put, &program));
        outcome.say(needs.map(manager::Needs::sentence));
        outcome.fail(put.failed());
        if scene.manager.state == State::Runs {
            if put.changed() {
                outcome.fail(scene.manager.reload().err());
            }
            match scene.manager.renew_watcher(put.has_changed(manager::WATCHER)) {
                Ok(true) => outcome.say([told::restarted()]),
                Ok(false) => {}
                Err(error) => outcome.fail([error]),
            }
        }
    }
    if now && outcome.failed.is_empty() {
        match scene.manager.enable() {
            Ok(enabled) => outcome.say(told::enabled(scene.manager.state, enabled)),
            Err(error) => outcome.fail(Some(error)),
        }
    } else if now {
        outcome.fail(Some("the timer was not enabled, as not everything is in its place".to_owned()));
    }
    outcome.say(left::to_do(&scene, now, &program));
    Ok(outcome)
}

/// What [`put`] would write: a line with each path, and the text.
///
/// # Errors
/// Those of [`put`].
pub(crate) fn print(papers: &Papers) -> Result<String, Error> {
    let scene = Scene::look()?;
    let program = program::own().map_err(Error::Impossible)?;
    if let Some(folder) = &scene.packaged {
        let lines = told::packaged(folder, &program, false).into_iter().map(|line| format!("# {line}\n"));
        return Ok(lines.collect());
    }
    let unit_program = program::in_units(&program, &scene.folders).map_err(Error::Impossible)?;
    let needs = scene.manager.needs_less_of_a_sandbox();
    let wanted = files::wanted(&scene.folders, &unit_program, papers, needs.is_some());
    Ok(wanted.iter().map(files::Wanted::print).collect::<Vec<_>>().join("\n"))
}

/// Takes away what is on the list, and nothing else; units that are on it are stopped and disabled first.
///
/// # Errors
/// There is no home, or it is another one's, or the list cannot be read.
pub(crate) fn remove() -> Result<Outcome, Error> {
    let scene = Scene::look()?;
    let mut outcome = Outcome::default();
    let mut list = list::read(&scene.folders.list).map_err(Error::Impossible)?;
    // Whoever else may write in the home does not choose what goes.
    list.retain(|line| scene.folders.has(line.path()));
    if list.is_empty() {
        outcome.say([format!("Nothing of tmux-janitor is set up under {}.", scene.folders.shown())]);
        outcome.say(scene.packaged.as_deref().map(told::packaged_stays));
        return Ok(outcome);
    }
    let has_units = list.iter().any(list::Line::is_a_unit);
    if has_units {
        outcome.fail(scene.manager.disable().err());
    }
    let gone = take_away::take_away(&scene.folders.list, &list);
    if has_units && scene.manager.state == State::Runs {
        outcome.fail(scene.manager.reload().err());
    }
    outcome.say(told::removed(&gone, &scene.folders, program::own().ok().as_deref()));
    outcome.fail(gone.failed);
    Ok(outcome)
}

impl Scene {
    fn look() -> Result<Self, Error> {
        let user = Uid::ours();
        let mut folders = Folders::of(user)?;
        for folder in [&folders.home, &folders.units, &folders.completions] {
            apart::reach(folder).map_err(Error::Impossible)?;
        }
        folders.is_ours()?;
        let manager = UserManager::look(user);
        folders.follow(manager.unit_path.as_deref());
        Ok(Self { packaged: manager::packaged(), folders, manager })
    }
}

impl Outcome {
    fn say(&mut self, lines: impl IntoIterator<Item = String>) {
        self.said.extend(lines);
    }

    fn fail<F: Into<Failure>>(&mut self, failures: impl IntoIterator<Item = F>) {
        for failure in failures {
            let Failure { sentence, is_refused } = failure.into();
            self.failed.push(sentence);
            self.is_refused |= is_refused;
        }
    }
}

/// Something that could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    sentence: String,
    /// For want of permission.
    is_refused: bool,
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self { sentence, is_refused: false }
    }
}
