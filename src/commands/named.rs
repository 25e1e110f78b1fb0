//! `sweep -S PATH`: the sockets that are named, and nothing else.

use crate::cli::Global;
use crate::exit::Error;
use crate::pass::far::Apart;
use crate::pass::{Narrator, see};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::{Mounts, Walk};
use tmux_sockets::report::Report;
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
    for path in paths {
        let absolute = std::path::absolute(path).ok();
        let name = absolute.as_deref().and_then(Path::file_name).and_then(Label::new);
        let (Some(parent), Some(name)) = (absolute.as_deref().and_then(Path::parent), name) else {
            return Err(Error::Usage(format!("-S \"{}\": that is not the path of a socket", escaped(path))));
        };
        let is_missing = || {
            std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        let mounts = Mounts::read();
        if mounts.lets_look_at(path) && is_missing() {
            tracing::warn!("{}: there is no such socket", escaped(path));
        }
        // Two ways to write one folder are one.
        let dir = match mounts.walk(parent) {
            Walk::Near(dir) => dir.canonicalize().unwrap_or(dir),
            Walk::Far(dir) => dir,
            Walk::Broken(_) => parent.to_owned(),
        };
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
    let report = pass.run_before(&mut Witness::new(user), &targets, narrator);
    see::say_where(&report);
    Ok(report)
}
