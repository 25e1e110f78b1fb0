//! What the kernel tells and does: files, mounts, processes, locks, and its table of sockets. Nothing here knows tmux.

pub mod as_data;
pub mod checkpoint;
pub mod escape;
mod file;
pub mod file_system;
mod id;
mod label;
pub mod lack;
pub(crate) mod lease;
mod locks;
mod mounts;
mod pidfd;
mod pidfd_info;
mod process;
pub mod rights;
mod sock_diag;
mod socket_table;
pub mod text;
mod unstopped;

pub use file::{FileFacts, FileId};
pub use id::{Pid, SocketNumber, Uid};
pub use label::Label;
pub use lease::leases_are_given;
pub use locks::ProcLocks;
pub(crate) use locks::held;
pub use mounts::{Mount, Mounts, Walk, realpath, trust};
pub use pidfd::{PidFd, await_end, ends_within};
pub use pidfd_info::PidFdInfo;
pub use process::{Families, Network, Process, Processes, Stat, UserManager, is_in_first_network};
pub use sock_diag::{DumpedSocket, Malformed, NetlinkMessage, Role, messages, request, request_connected};
pub use socket_table::{Bound, KernelTable, TableError, TableSource};
pub use unstopped::Unstopped;
