//! Directories on mounts that may not answer: each mount is looked at by a process of its own ([`crate::host::apart`]).

use super::Run;
use super::wire;
use crate::config::Settings;
use crate::host::apart;
use crate::host::apart::errand::{Errand, ErrandOrder};
use std::path::PathBuf;
use tmux_sockets::judge::{Reason, State, Verdict};
use tmux_sockets::kernel::Label;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::{Mount, Mounts, Role};
use tmux_sockets::report::{DirectoryReport, Entry, Folder, Outcome, Report};
use tmux_sockets::sweep::{Act, Far, Pass, RefuseFar, Target};
use tmux_sockets::witness::Witness;

/// They are looked at by a process of its own for each mount. Of a mount that does not answer that is said, and what the
/// table alone tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Apart;

impl Far for Apart {
    fn look(
        &self,
        user: Uid,
        witness: &Witness,
        far: Vec<(Target, PathBuf)>,
        mounts: &Mounts,
        report: &mut Report,
    ) {
        let mut orders: Vec<(Mount, ErrandOrder)> = Vec::new();
        for (target, path) in far {
            let Some(mount) = mounts.covering(&path) else { continue };
            let target = Target { path, ..target };
            let same = orders.iter_mut().find(|(known, _)| known == mount);
            if let Some((_, ErrandOrder { errand: Errand::Look(targets), .. })) = same {
                targets.push(target);
            } else {
                let order = ErrandOrder { point: mount.point.clone(), errand: Errand::Look(vec![target]) };
                orders.push((mount.clone(), order));
            }
        }
        let (sought, orders): (Vec<Mount>, Vec<ErrandOrder>) = orders.into_iter().unzip();
        for ((answer, mount), order) in apart::send(&orders, None).into_iter().zip(sought).zip(orders) {
            let Errand::Look(targets) = order.errand else { continue };
            let told = answer.and_then(|answer| wire::read(&answer, user).ok());
            if let Some(told) = told {
                apart::trust(&mount);
                report.append(told.report);
            } else {
                apart::distrust(&mount);
                for target in &targets {
                    unanswered(report, user, witness, target, &mount);
                }
            }
        }
    }
}

/// Enters a directory on a mount that did not answer, with what the table alone tells of it: who is bound there
/// and listens is alive.
fn unanswered(report: &mut Report, user: Uid, witness: &Witness, target: &Target, mount: &Mount) {
    let error = Some(apart::silence(mount));
    let number = report.add_directory(DirectoryReport { path: target.path.clone(), error });
    let listeners = witness.table().iter().filter(|bound| {
        bound.role == Role::Listening
            && bound.owner == Some(user)
            && bound.name.parent() == Some(target.path.as_path())
    });
    for (bound, label) in listeners.filter_map(|bound| Some((bound, Label::new(bound.name.file_name()?)?))) {
        if target.only.as_ref().is_none_or(|only| only.contains(&label)) {
            let verdict = Verdict::new(State::Live, Reason::Listening);
            let entry = Entry::new(Folder::Of(number), label, user, verdict, Outcome::Kept);
            report.entries.push(Entry { socket: Some(bound.socket), ..entry });
        }
    }
}

/// What a child says that was sent to look into these directories.
pub(crate) fn look_there(targets: &[Target]) -> Vec<u8> {
    let (user, settings) = (Uid::ours(), Settings::default());
    let mut witness = Witness::new(user);
    let pass = Pass { policy: &settings, far: &RefuseFar, user, act: Act::Look };
    wire::write(Run::of(pass.run(&mut witness, targets)))
}
