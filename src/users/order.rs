//! What root tells a worker: its arguments. They are no command of the command line: nobody types them, and
//! a hundred workers need not build the whole of it to read five words. Pure.

use super::Task;
use crate::watch::Wishes;
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
pub(crate) struct PassOrder {
    /// What to do.
    pub task: Task,
    /// The user's number.
    pub uid: Uid,
    /// Their group's number.
    pub gid: u32,
}

impl PassOrder {
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

/// The first word of a worker that follows.
const FOLLOWER: &str = "follower";

/// For whom a worker follows, and what it tells. It tells it to root, as programs read it.
#[derive(Debug, Clone)]
pub(crate) struct FollowOrder {
    /// The user's number.
    pub uid: Uid,
    /// Their group's number.
    pub gid: u32,
    /// What the reader wants.
    pub wishes: Wishes,
}

impl FollowOrder {
    /// The arguments that say it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let Wishes { json, dead, label, people: _ } = &self.wishes;
        let words = [if *json { "json" } else { "people" }, if *dead { "dead" } else { "live" }];
        let mut arguments = vec![FOLLOWER.to_owned(), self.uid.to_string(), self.gid.to_string()];
        arguments.extend(words.map(str::to_owned));
        arguments.extend(label.as_ref().map(ToString::to_string));
        arguments
    }

    /// The order in a whole command line; `None`: it is none.
    pub(crate) fn of(command_line: &[OsString]) -> Option<Self> {
        let [_, follower, uid, gid, form, dead, label @ ..] = command_line else { return None };
        let label = match label {
            [] => None,
            [glob] => Some(glob.to_str()?.parse().ok()?),
            _ => return None,
        };
        let (uid, gid) = (uid.to_str()?.parse().ok()?, gid.to_str()?.parse().ok()?);
        let wishes = Wishes { json: true, people: form == "people", dead: dead == "dead", label };
        (follower == FOLLOWER).then_some(Self { uid, gid, wishes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        for (act, _) in ACTS {
            for (rescue, details) in [(false, false), (true, false), (false, true), (true, true)] {
                let order = PassOrder { task: Task { act, rescue, details }, uid: Uid::ROOT, gid: u32::MAX };
                let mut line = vec![OsString::from("tmux-janitor")];
                line.extend(order.arguments().map(OsString::from));
                assert_eq!(PassOrder::of(&line), Some(order));
                line.pop();
                assert_eq!(PassOrder::of(&line), None);
            }
        }
    }

    #[test]
    fn what_is_followed_arrives_as_it_was_wished() {
        for (json, dead, label) in [(true, false, None), (false, true, Some("bot-*"))] {
            let label = label.and_then(|glob| glob.parse().ok());
            let wishes = Wishes { json, dead, label, people: false };
            let order = FollowOrder { uid: Uid::new(7), gid: 8, wishes };
            let mut line = vec![OsString::from("tmux-janitor")];
            line.extend(order.arguments().into_iter().map(OsString::from));
            let Some(got) = FollowOrder::of(&line) else { panic!("{line:?}") };
            assert_eq!((got.uid, got.gid, got.wishes.dead), (Uid::new(7), 8, dead));
            assert_eq!((got.wishes.json, got.wishes.people), (true, !json), "root reads it, in any case");
            assert_eq!(got.wishes.label, order.wishes.label);
            assert!(PassOrder::of(&line).is_none());
        }
    }
}
