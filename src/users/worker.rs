//! A worker: root for a moment, then one user for good.

use nix::unistd::Gid;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use tmux_sockets::kernel::Uid;
use tmux_sockets::report::Declined;

/// How much a worker may map, in bytes. A million entries fit; a user who has more starves alone.
const MOST_MEMORY: u64 = 512 << 20;

/// Becomes a user, with one group and no other, and no way back.
///
/// # Errors
/// Without root, or if anything of root is left.
pub(crate) fn become_user(uid: Uid, gid: u32) -> Result<(), Declined> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err(Declined::NotRoot);
    }
    // It was started as /proc/self/exe. Only for people who look at the list of processes.
    let _ = rustix::thread::set_name(c"tmux-janitor");
    let (user, group) = (nix::unistd::Uid::from_raw(uid.raw()), Gid::from_raw(gid));
    let most = Rlimit { current: Some(MOST_MEMORY), maximum: Some(MOST_MEMORY) };
    // This fails where the limit is lower already, which is fine.
    let _ = rustix::process::setrlimit(Resource::As, most);
    nix::unistd::setgroups(&[])
        .and_then(|()| nix::unistd::setresgid(group, group, group))
        .and_then(|()| nix::unistd::setresuid(user, user, user))
        .map_err(|errno| Declined::CannotBecome(uid, Errno::from_raw_os_error(errno as i32)))?;
    // Else fs.suid_dumpable decides whether the user may trace us and read what root has left in our memory.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| Declined::Traceable(uid, errno))?;
    if is_only(user, group) { Ok(()) } else { Err(Declined::MoreRights(uid)) }
}

/// Whether we are this user and group, and nothing else.
fn is_only(user: nix::unistd::Uid, group: Gid) -> bool {
    let users = nix::unistd::getresuid();
    let groups = nix::unistd::getresgid();
    let others = nix::unistd::getgroups();
    let capabilities = rustix::thread::capabilities(None);
    users.is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [user; 3])
        && groups.is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [group; 3])
        && others.is_ok_and(|groups| groups.is_empty())
        && (user.is_root()
            || capabilities.is_ok_and(|sets| sets.effective.is_empty() && sets.permitted.is_empty()))
}
