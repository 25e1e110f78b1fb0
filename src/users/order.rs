//! What root tells a worker: its arguments. They are no command of the command line: nobody types them, and
//! a hundred workers need not build the whole of it to read five words. Pure.

use super::Task;
use std::ffi::OsString;
use tmux_sockets::kernel::Uid;
use tmux_sockets::sweep::Act;

/// The first word.
const WORKER: &str = "worker";

/// The acts and their words.
const ACTS: [(Act, &str); 3] = [(Act::Look, "look"), (Act::DryRun, "dry-run"), (Act::Remove, "remove")];

/// Whether ghosts get their socket back, and the words for it.
const RESCUES: [(bool, &str); 2] = [(false, "leave"), (true, "rescue")];

/// Whether live servers are told of in detail, and the words for it.
const DETAILS: [(bool, &str); 2] = [(false, "plain"), (true, "details")];

/// For whom a worker works, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// What to do.
    pub task: Task,
    /// The user's number.
    pub uid: Uid,
    /// Their group's number.
    pub gid: u32,
}

impl Order {
    /// The arguments that say it.
    pub(crate) fn arguments(self) -> [String; 6] {
        let act = ACTS.iter().find(|(act, _)| *act == self.task.act).map_or("", |(_, word)| word);
        let rescue = RESCUES[usize::from(self.task.rescue)].1;
        let details = DETAILS[usize::from(self.task.details)].1;
        let words = [WORKER, act, rescue, details].map(str::to_owned);
        let [worker, act, rescue, details] = words;
        [worker, act, rescue, details, self.uid.to_string(), self.gid.to_string()]
    }

    /// The order in a whole command line; `None`: it is none.
    pub(crate) fn of(command_line: &[OsString]) -> Option<Self> {
        let [_, worker, act, rescue, details, uid, gid] = command_line else {
            return None;
        };
        let act = ACTS.iter().find(|(_, word)| *word == act)?.0;
        let rescue = RESCUES.iter().find(|(_, word)| *word == rescue)?.0;
        let details = DETAILS.iter().find(|(_, word)| *word == details)?.0;
        let (uid, gid) = (uid.to_str()?.parse().ok()?, gid.to_str()?.parse().ok()?);
        (worker == WORKER).then_some(Self { task: Task { act, rescue, details }, uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        for (act, _) in ACTS {
            for (rescue, details) in [(false, false), (true, false), (false, true), (true, true)] {
                let order = Order { task: Task { act, rescue, details }, uid: Uid::ROOT, gid: u32::MAX };
                let mut line = vec![OsString::from("tmux-janitor")];
                line.extend(order.arguments().map(OsString::from));
                assert_eq!(Order::of(&line), Some(order));
                line.pop();
                assert_eq!(Order::of(&line), None);
            }
        }
    }
}
