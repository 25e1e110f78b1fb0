//! Ghosts beside the watch: told once, and rescued where the configuration wants it.

use super::looks::Looks;
use super::rescues::Rescues;
use super::tools::Tools;
use super::warnings::Warning;
use crate::logging::journal;
use crate::view::advice::Advised;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tmux_sockets::ghost::{self, Anew, Area, Found, Ghost};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::Outcome;
use tmux_sockets::report::{Remark, Report, Why};
use tmux_sockets::sweep::Act;
use tmux_sockets::witness::Witness;

/// What was said of ghosts: path, process, what. The rescue's thread says some of it.
type Said = Arc<Mutex<HashSet<(PathBuf, Option<Pid>, String)>>>;

/// What was said of ghosts, and their rescues.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    said: Said,
    rescues: Rescues,
}

impl Ghosts {
    /// Looks for ghosts everywhere; tells of those that are new, and rescues.
    pub(super) fn look(&mut self, looks: &mut Looks, tools: &mut Tools<'_>, area: &Area) {
        let user = tools.duties.user;
        let Found { ghosts: found, doubtful, lack } = ghost::find(user, looks.fresh_witness(), area);
        for path in doubtful {
            tools.announcer.warn(&Warning::Unseen(Remark { path, why: Why::Doubtful }));
        }
        for ghost in &found {
            if let Some(name) = tools.directories.name_of(&ghost.path) {
                looks.haunt(tools, &name, ghost);
            }
        }
        if tools.duties.act != Act::Remove {
            return;
        }
        if lack.is_none() {
            forget_others(&self.said, |pid| found.iter().any(|ghost| ghost.pid == pid));
        }
        for ghost in &found {
            let mut report = Report::default();
            ghost::enter(&mut report, user, ghost, Outcome::Kept, false);
            say(&self.said, &report);
        }
        if tools.duties.settings.watch.rescue && !found.is_empty() {
            let said = Arc::clone(&self.said);
            if let Some(at) = self.rescues.begin(found, move |ghosts| rescue(user, &said, ghosts)) {
                looks.schedule().look_for_ghosts(at);
            }
        }
    }

    /// Ready when a rescue has come to its end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.rescues.poll(cx)
    }

    /// A rescue has come to its end.
    pub(super) fn rescued(&mut self, looks: &mut Looks) {
        if self.rescues.end() {
            looks.schedule().ghost_seen(Instant::now());
        }
    }
}

/// Rescues them one after the other.
fn rescue(user: Uid, said: &Said, ghosts: Vec<Ghost>) {
    let mut witness = Witness::new(user);
    for ghost in ghosts {
        let rescue = ghost::rescue(user, &mut witness, &ghost, Anew::Folder);
        let mut report = Report::default();
        ghost::enter_rescue(&mut report, user, &ghost, rescue);
        say(said, &report);
    }
}

/// Forgets what was said of processes that are no ghosts any more: a daemon lives for long.
fn forget_others(said: &Said, is_one: impl Fn(Option<Pid>) -> bool) {
    said.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, pid, _)| is_one(*pid));
}

/// Logs the entries of which the same was not said before.
fn say(said: &Said, report: &Report) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    for entry in &report.entries {
        let what = format!("{:?} {}", entry.outcome, entry.verdict.reason.with_advice());
        if entry.outcome == Outcome::Rescued {
            // Should it become one again, that is news.
            said.retain(|(path, pid, _)| (path, *pid) != (&report.path_of(entry), entry.server_pid));
            journal::entry(report, entry);
        } else if said.insert((report.path_of(entry), entry.server_pid, what)) {
            journal::entry(report, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_a_ghost_is_kept_as_long_as_it_is_one() {
        let of = |pid| (PathBuf::from("/x"), Some(Pid::new(pid)), "a ghost".to_owned());
        let said: Said = Arc::new(Mutex::new(HashSet::from([of(1), of(2)])));
        forget_others(&said, |pid| pid == Some(Pid::new(2)));
        assert_eq!(*said.lock().unwrap_or_else(PoisonError::into_inner), HashSet::from([of(2)]));
    }
}
