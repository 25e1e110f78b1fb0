//! One user's whole pass: the directories that are named or discovered, what is in them, ghosts, and the user's record.

use super::far::Apart;
use super::{Narrator, Places, Run, see};
use crate::config::Settings;
use crate::host::sandbox::{self, Tmp};
use crate::record::{self, Deeds, Unread};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tmux_sockets::ghost::{self, Anew, Area, Known};
use tmux_sockets::judge::Bar;
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Mounts;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::lack;
use tmux_sockets::report::{DirectoryReport, Entry, LeftAlone, Outcome, Report};
use tmux_sockets::sweep::{Act, Pass, Target};
use tmux_sockets::tmux::paths::DEFAULT_PARENT;
use tmux_sockets::tmux::{Strictness, is_in_the_making};
use tmux_sockets::witness::Witness;

/// What is to be done about ghosts, and whether only to say so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rescuing<'a> {
    /// Whether they get their socket back.
    pub rescue: bool,
    /// Whether it is only said what would be done.
    pub dry_run: bool,
    /// What may be made anew for it.
    pub anew: Anew,
    /// Where a newer server has the path, it is set aside.
    pub aside: bool,
    /// The ghosts of this path alone.
    pub only: Option<&'a Path>,
}

impl Rescuing<'_> {
    /// They are only told of.
    pub(crate) fn none(dry_run: bool) -> Self {
        Self { rescue: false, dry_run, anew: Anew::Folder, aside: false, only: None }
    }
}

/// A whole pass to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<'a> {
    /// The user's settings.
    pub settings: &'a Settings,
    /// The directories that were named; empty: they are discovered.
    pub given: &'a [PathBuf],
    /// What may be done; `None`: only the directories are looked at, and no socket in them.
    pub act: Option<Act>,
    /// What becomes of ghosts.
    pub rescuing: Rescuing<'a>,
}

impl Whole<'_> {
    /// Makes it, as the user that this process is of.
    pub(crate) fn make(self, narrator: &mut Narrator) -> Run {
        let (mut run, lack) = lack::during(|| self.pass(narrator));
        see::note_lack(&mut run.report, lack);
        run
    }

    fn pass(self, narrator: &mut Narrator) -> Run {
        let Self { settings, given, act, rescuing } = self;
        let started = Instant::now();
        let user = Uid::ours();
        let mut witness = Witness::new(user);
        let mut places = if rescuing.only.is_some() {
            Places::default()
        } else if given.is_empty() {
            witness.refresh();
            Places::of(settings, witness.table(), user)
        } else {
            Places::named(given)
        };
        let mut targets = std::mem::take(&mut places.targets);
        targets.extend(rescuing.only.and_then(one_name));
        let mut passed = targets.clone();
        if act.is_none() {
            for target in &mut passed {
                target.only = Some(Vec::new());
            }
        }
        let pass = Pass { policy: settings, far: &Apart, user, act: act.unwrap_or(Act::Look) };
        if given.is_empty() {
            narrator.keeps_record_of(user);
        }
        let mut run = || pass.run_before(&mut witness, &passed, narrator);
        let mut report = if act == Some(Act::Remove) { lack::managed(run) } else { run() };
        narrator.rest();
        see::note_unseen(&mut report, &mut witness, &targets);
        places.note(&mut report);
        if act == Some(Act::Look) {
            see::note_held_locks(&mut report, user);
        }
        let tmp = if given.is_empty() { sandbox::tmp(user) } else { Tmp::Machines };
        if tmp != Tmp::Machines {
            // From behind a private /tmp every server would look like a ghost.
            report.directories.push(not_the_machines(tmp));
            return Run::of(report);
        }
        if !narrator.is_ended() {
            let area = Area::new(&targets, given.is_empty() && rescuing.only.is_none());
            self.ghosts(&mut report, user, &mut witness, &area);
            if act == Some(Act::Look) && given.is_empty() && rescuing.only.is_none() {
                let outside = ghost::find_outside(user, &witness, &area, &Known::of(&report));
                ghost::enter_outside(&mut report, user, outside);
            }
        }
        note_missing(&mut report, given, user);
        report.elapsed = started.elapsed();
        see::say_where(&report);
        let mut run = Run::of(report);
        if given.is_empty() {
            keep_record(&mut run, user, act, narrator);
        }
        run
    }

    /// Finds ghosts, and does with them what is to be done.
    fn ghosts(&self, report: &mut Report, user: Uid, witness: &mut Witness, area: &Area) {
        let Rescuing { rescue, dry_run, anew, aside, .. } = self.rescuing;
        let found = ghost::find(user, witness, area);
        see::note_doubtful(report, found.doubtful);
        for found in found.ghosts {
            if !rescue {
                ghost::enter(report, user, &found, Outcome::Kept, self.act == Some(Act::Look));
                continue;
            }
            let is_held = aside && matches!(found.plight.bar, Some(Bar::Held { yields: true, .. }));
            let rescue = match (is_held, dry_run) {
                (true, true) => ghost::would_set_aside(user, &found),
                (true, false) => ghost::set_aside(user, witness, &found),
                (false, true) => ghost::would_rescue(user, witness, &found, anew),
                (false, false) => ghost::rescue(user, witness, &found, anew),
            };
            ghost::enter_rescue(report, user, &found, rescue);
        }
    }
}

/// Directories that were named and are not there, nor come back with a rescue.
fn note_missing(report: &mut Report, named: &[PathBuf], user: Uid) {
    for dir in named {
        // A file system that did not answer has been reported already.
        let is_missing = Mounts::read().lets_look_at(dir)
            && (std::fs::metadata(dir).is_err_and(|error| error.kind() == ErrorKind::NotFound)
                || is_in_the_making(dir, user));
        let comes_back = |entry: &Entry| {
            entry.outcome == Outcome::WouldRescue && report.path_of(entry).parent() == Some(dir)
        };
        if is_missing && !report.entries.iter().any(comes_back) {
            report.directories.push(DirectoryReport { path: dir.clone(), error: Some(LeftAlone::Missing) });
        }
    }
}

/// A `/tmp` that is not known to be the machine's.
fn not_the_machines(tmp: Tmp) -> DirectoryReport {
    let error = match tmp {
        Tmp::Machines | Tmp::Units => LeftAlone::PrivateTmp,
        Tmp::Unknown => LeftAlone::UnknownTmp,
    };
    DirectoryReport { path: PathBuf::from(DEFAULT_PARENT), error: Some(error) }
}

/// One name in its directory, wherever that is. `None`: the path has no name at its end.
pub(crate) fn one_name(path: &Path) -> Option<Target> {
    let (dir, name) = (path.parent()?, Label::new(path.file_name()?)?);
    Some(Target { path: dir.to_owned(), only: Some(vec![name]), rule: Strictness::LookedAt })
}

/// Enters what a run did into the user's record, or reads there what others did.
fn keep_record(run: &mut Run, user: Uid, act: Option<Act>, narrator: &mut Narrator) {
    let mut deeds = Deeds::of(&run.report).without(narrator.recorded());
    match act {
        Some(Act::Look) => {
            let read = record::read(user);
            run.record = Some(read.map_err(Unread));
        }
        Some(Act::DryRun | Act::Leave) => {}
        Some(Act::Remove) => {
            if !narrator.is_ended() {
                deeds.swept(run.report.elapsed);
            }
            record::note(user, &deeds);
            narrator.record_is_kept();
        }
        None if deeds.is_empty() => {}
        None => record::note(user, &deeds),
    }
}
