//! One socket: what it is, and who is behind it.

#[path = "../../crates/sockets/src/witness/connect.rs"]
pub mod connect;
#[path = "../../crates/sockets/src/tmux/directory.rs"]
pub mod directory;
#[path = "../../crates/sockets/src/witness/elsewhere.rs"]
mod elsewhere;
#[path = "../../crates/sockets/src/kernel/file.rs"]
pub mod file_id;
#[path = "../../crates/sockets/src/kernel/file_system.rs"]
pub mod file_system;
#[path = "../../crates/sockets/src/kernel/socket_table.rs"]
pub mod kernel_table;
#[path = "../../crates/sockets/src/kernel/moves.rs"]
pub mod moves;
#[path = "../../crates/sockets/src/tmux/shared.rs"]
pub mod shared;
#[path = "../../crates/sockets/src/witness/sight.rs"]
pub mod sight;
#[path = "../../crates/sockets/src/judge/verdict.rs"]
pub mod verdict;
#[path = "../../crates/sockets/src/kernel/sock_diag.rs"]
pub mod wire;
