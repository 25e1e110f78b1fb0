//! `sweep -S PATH`: the sockets that are named, and nothing else.

use crate::cli::Global;
use crate::exit::Error;
use crate::pass::far::Apart;
use crate::pass::{Narrator, see};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use tmux_sockets::ghost::{self, Area};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::lack;
use tmux_sockets::kernel::{Mounts, Walk};
use tmux_sockets::report::{Outcome, Report};
use tmux_sockets::sweep::{Act, Pass, Target};
use tmux_sockets::tmux::Strictness;
use tmux_sockets::tmux::quarantine;
use tmux_sockets::witness::Witness;

/// How many names an earlier run that was killed may have put a socket under.
const ASIDE: usize = 2;

/// Removes the sockets at these paths that are dead; in a dry run says so. The `narrator` tells of each when it is done.
///
/// # Errors
/// Where a path names no file, and whatever is wrong with the configuration.
pub(super) fn sweep(
    global: &Global,
    paths: &[PathBuf],
    dry_run: bool,
    narrator: &mut Narrator,
) -> Result<Report, Error> {
    let settings = super::load_settings(global)?;
    let user = Uid::ours();
    let mut dirs: BTreeMap<PathBuf, Vec<Label>> = BTreeMap::new();
    let mut missing: Vec<(&Path, PathBuf, Label)> = Vec::new();
    for path in paths {
        let whole = super::paths::whole("-S", path)?;
        let name = whole.file_name().and_then(Label::new);
        let (Some(parent), Some(name)) = (whole.parent(), name) else {
            return Err(Error::Usage(format!("-S \"{}\": that is not the path of a socket", escaped(path))));
        };
        let is_missing = || {
            std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        let mounts = Mounts::read();
        let is_missing = mounts.lets_look_at(path) && is_missing();
        // Two ways to write one folder are one.
        let dir = match mounts.walk(parent) {
            Walk::Near(dir) => dir.canonicalize().unwrap_or(dir),
            Walk::Far(dir) => dir,
            Walk::Broken(_) => parent.to_owned(),
        };
        if is_missing {
            missing.push((path, dir.clone(), name.clone()));
        }
        let names = dirs.entry(dir).or_default();
        let left = std::iter::successors(Some(name), |name| quarantine::name_of(name));
        names.extend(left.take(1 + ASIDE).filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    let targets: Vec<Target> = dirs
        .into_iter()
        .map(|(path, names)| Target { path, only: Some(names), rule: Strictness::Named })
        .collect();
    let act = if dry_run { Act::DryRun } else { Act::Remove };
    let pass = Pass { policy: &settings, far: &Apart, user, act };
    let mut witness = Witness::new(user);
    let mut report = pass.run_before(&mut witness, &targets, narrator);
    let (ghosts, lack) = lack::during(|| {
        see::note_unseen(&mut report, &mut witness, &targets);
        note_ghosts(&mut report, user, &mut witness, &targets)
    });
    see::note_lack(&mut report, lack);
    for (path, dir, name) in missing {
        // Of one whose server lives on more is to be said.
        if !ghosts.contains(&(dir, name)) {
            tracing::warn!("{}: there is no such socket", escaped(path));
        }
    }
    see::say_where(&report);
    Ok(report)
}

/// Enters the live servers that were bound to these names and are not reached there. The names of those.
fn note_ghosts(
    report: &mut Report,
    user: Uid,
    witness: &mut Witness,
    targets: &[Target],
) -> HashSet<(PathBuf, Label)> {
    let mut named = HashSet::new();
    for target in targets {
        witness.refresh();
        let area = Area::new(std::slice::from_ref(target), false);
        let found = ghost::find(user, witness, &area);
        see::note_doubtful(report, found.doubtful);
        for ghost in found.ghosts {
            named.extend(
                ghost.path.file_name().and_then(Label::new).map(|label| (target.path.clone(), label)),
            );
            ghost::enter(report, user, &ghost, Outcome::Kept, false);
        }
    }
    named
}
