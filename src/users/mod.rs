//! Every user of a machine: one worker per user, as that user.
//!
//! Root looks for users in folders that anybody may write, and must not act in any of them. So it only
//! reads the names of `/tmp` and `/run/user`, looks at each with lstat(2) ([`find`]), looks their accounts
//! up ([`accounts`]), and starts its own program once per user ([`crew`]), those with an account first ([`queue`]). That worker gives up uid, gid and groups before anything else and
//! makes the ordinary pass, with the user's own configuration ([`worker`]). What it removes it tells at once, and its report comes back through
//! the same pipe ([`crate::pass::wire`]) and becomes part of one ([`merge`]), which root prints and logs.
//!
//! `events` is the same without an end: [`stream`].
//!
//! What a user can do to a worker is what they can do to any process of theirs: stop it, kill it, starve
//! it. They cannot trace or read it: it makes itself one that cannot be dumped (prctl(2), `PR_SET_DUMPABLE`). Each worker has its deadline, and so have all together; one
//! that is lost is one failed directory of the report. What the report says is data from a stranger.

mod accounts;
mod crew;
mod find;
pub(crate) mod merge;
mod names;
pub(crate) mod order;
mod queue;
pub(crate) mod stream;
mod user;
pub(crate) mod worker;

pub(crate) use names::names;

use crate::exit::Error;
use crate::host::told_to_end::ToldToEnd;
use crate::pass::{Heard, Run, see};
use accounts::Hints;
use crew::News;
use merge::Merger;
use queue::Queue;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::lack;
use tmux_sockets::sweep::Act;
use user::User;

/// What the workers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Task {
    /// What may be done to sockets.
    pub act: Act,
    /// Whether ghosts are to get their socket back.
    pub rescue: bool,
    /// Whether live servers are told of in detail.
    pub details: bool,
}

/// How long a worker sweeps before it leaves the rest to the next sweep and reports: less than after what it is ended.
pub(crate) const SWEEP: Duration = Duration::from_secs(8);

fn must_be_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::NoPermission(
        "--all-users needs root, to work as each user; without it your own sockets are looked at".to_owned(),
    ))
}

/// Makes a pass for every user of the machine that may have sockets. What the workers say is `heard` as it comes, with
/// the number of users. Once one of the `signals` has come, the workers are told to end.
///
/// # Errors
/// Without root, and where `/tmp` cannot be read.
pub(crate) fn pass(
    task: Task,
    signals: &mut Option<ToldToEnd>,
    heard: &mut dyn FnMut(Heard<'_>, usize),
) -> Result<Run, Error> {
    must_be_root()?;
    let started = Instant::now();
    let parent = std::env::var_os("TMUX_TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let hints = Hints::read();
    let (found, lack) = lack::during(|| find::find(parent.as_deref(), &hints.passwd));
    let uids: Vec<Uid> = found.users.keys().copied().collect();
    let users: Vec<User<'_>> = accounts::in_turn(&uids, &found.logged_in, &hints)
        .into_iter()
        .filter_map(|uid| Some(User { uid, folder: found.users.get(&uid)?, has_account: false }))
        .collect();
    let mut merger = Merger::default();
    let order = crew::Work { begun: started, task, parent: parent.as_deref(), signals };
    crew::work(Queue::new(&users), order, |news| match news {
        News::Part(user, message) => {
            if let Some(deeds) = merger.add_part(user, &message) {
                heard(Heard::Deeds(&deeds), users.len());
            }
        }
        News::End(user, outcome) => heard(Heard::Report(merger.add(user, outcome)), users.len()),
        News::Nothing => heard(Heard::Nothing, users.len()),
    });
    let mut run = merger.finish(found.refused, found.strays);
    run.report.more_strays = found.more_strays;
    run.report.elapsed = started.elapsed();
    see::note_lack(&mut run.report, lack);
    Ok(run)
}
