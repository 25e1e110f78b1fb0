//! From an entry of a pass to what the engine is told, and when to look again. No effects.

use crate::watch::engine::{Name, Seen};
use crate::watch::schedule::Schedule;
use std::time::Instant;
use tmux_sockets::judge::{Reason, State, TableSays};
use tmux_sockets::kernel::SocketNumber;
use tmux_sockets::report::Entry;
use tmux_sockets::report::Outcome;

/// What was seen at a name. `listed` is what the table says of what stands there by now.
pub(super) fn of(
    entry: &Entry,
    name: Name,
    schedule: &mut Schedule,
    listed: impl FnOnce() -> Option<TableSays>,
) -> Seen {
    let seen = match (entry.verdict.state, entry.outcome) {
        (_, Outcome::Vanished) => Seen::Absent,
        (State::Live, _) => Seen::Live { socket: entry.socket.or_else(|| socket(listed())), pid: None },
        (State::Starting, _) | (_, Outcome::Busy) => {
            schedule.lock_held(name);
            return Seen::Undecided;
        }
        (State::Unknown, _) if entry.verdict.reason == Reason::BoundOnly => {
            schedule.bound_only(name, Instant::now());
            return Seen::Undecided;
        }
        // A live server had taken the name by then.
        (_, Outcome::Resurrected) => {
            schedule.unsettled(name.clone(), Instant::now());
            Seen::Undecided
        }
        (State::Dead, Outcome::Removed) => Seen::Removed,
        (State::Dead, _) if entry.is_spared() => Seen::Spared,
        (State::Dead, _) => Seen::Dead,
        (State::Unknown | State::Ghost, _) => Seen::Undecided,
        (State::Foreign | State::NotASocket, _) => Seen::Absent,
    };
    schedule.settled(&name);
    seen
}

fn socket(listed: Option<TableSays>) -> Option<SocketNumber> {
    match listed {
        Some(TableSays::Listed { socket, .. }) => Some(socket),
        Some(TableSays::Elsewhere { .. } | TableSays::Twin | TableSays::Absent | TableSays::Blind(_))
        | None => None,
    }
}
