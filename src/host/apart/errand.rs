//! What a process of its own is sent to do: its arguments. They are no command of the command line. Pure.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::Label;
use tmux_sockets::sweep::Target;
use tmux_sockets::tmux::Strictness;

/// The first word.
const WORD: &str = "apart";

/// The rules and their words.
const RULES: [(Strictness, &str); 4] = [
    (Strictness::Swept, "swept"),
    (Strictness::Matched, "matched"),
    (Strictness::Kin, "kin"),
    (Strictness::LookedAt, "looked-at"),
];

/// What is to be done on a mount that may not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Look into directories.
    Look(Vec<Target>),
    /// Read a file; only a real one, where it was found and not named.
    Read {
        path: PathBuf,
        /// Whether the user named it.
        is_named: bool,
    },
    /// Replace a file by what is on stdin.
    Replace(PathBuf),
}

/// An errand, and the mount that it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrandOrder {
    /// Where the mount is.
    pub point: PathBuf,
    /// What to do there.
    pub errand: Errand,
}

impl ErrandOrder {
    /// The arguments that say it.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![WORD.into(), self.point.clone().into()];
        let mut say = |word: &OsStr| words.push(word.to_owned());
        match &self.errand {
            Errand::Look(targets) => {
                say("look".as_ref());
                for target in targets {
                    say(target.path.as_ref());
                    say(word_of(target.rule).as_ref());
                    match &target.only {
                        None => say("all".as_ref()),
                        Some(names) => {
                            say(names.len().to_string().as_ref());
                            for name in names {
                                say(name);
                            }
                        }
                    }
                }
            }
            Errand::Read { path, is_named } => {
                say(if *is_named { "read-named" } else { "read-found" }.as_ref());
                say(path.as_ref());
            }
            Errand::Replace(path) => {
                say("replace".as_ref());
                say(path.as_ref());
            }
        }
        words
    }

    /// The order in a whole command line; `None`: it is none.
    pub(crate) fn of(command_line: &[OsString]) -> Option<Self> {
        let [_, word, point, kind, rest @ ..] = command_line else {
            return None;
        };
        if word != WORD {
            return None;
        }
        let errand = match (kind.to_str()?, rest) {
            ("look", targets) => Errand::Look(targets_in(targets)?),
            ("read-named", [path]) => Errand::Read { path: path.into(), is_named: true },
            ("read-found", [path]) => Errand::Read { path: path.into(), is_named: false },
            ("replace", [path]) => Errand::Replace(path.into()),
            _ => return None,
        };
        Some(Self { point: point.into(), errand })
    }

    /// Whether the command line of a process, each word ended by a NUL, is an order for that mount.
    pub(crate) fn is_for(command_line: &[u8], point: &Path) -> bool {
        let mut words = command_line.split(|byte| *byte == 0).skip(1);
        words.next() == Some(WORD.as_bytes()) && words.next() == Some(point.as_os_str().as_encoded_bytes())
    }
}

fn word_of(rule: Strictness) -> &'static str {
    RULES.iter().find(|(known, _)| *known == rule).map_or("", |(_, word)| word)
}

fn targets_in(mut words: &[OsString]) -> Option<Vec<Target>> {
    let mut targets = Vec::new();
    while let [path, rule, count, rest @ ..] = words {
        let rule = RULES.iter().find(|(_, word)| rule == word)?.0;
        let count: Option<usize> = if count == "all" { None } else { Some(count.to_str()?.parse().ok()?) };
        let (names, rest) = rest.split_at_checked(count.unwrap_or(0))?;
        let names = names.iter().map(Label::new).collect::<Option<Vec<_>>>()?;
        targets.push(Target { path: path.into(), only: count.map(|_| names), rule });
        words = rest;
    }
    words.is_empty().then_some(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        let target = |only: Option<&[&str]>, rule| Target {
            path: "/far/tmux-7".into(),
            only: only.map(|names| names.iter().filter_map(Label::new).collect()),
            rule,
        };
        for errand in [
            Errand::Look(vec![]),
            Errand::Look(vec![
                target(None, Strictness::Swept),
                target(Some(&["all", "a b"]), Strictness::LookedAt),
                target(Some(&[]), Strictness::Swept),
                target(None, Strictness::Matched),
                target(None, Strictness::Kin),
            ]),
            Errand::Read { path: "/far/x".into(), is_named: true },
            Errand::Read { path: "/far/x".into(), is_named: false },
            Errand::Replace("/far/x".into()),
        ] {
            let order = ErrandOrder { point: "/far".into(), errand };
            let mut line = vec![OsString::from("tmux-janitor")];
            line.extend(order.arguments());
            assert_eq!(ErrandOrder::of(&line), Some(order));
            let bytes: Vec<u8> =
                line.iter().flat_map(|word| [word.as_encoded_bytes(), b"\0"].concat()).collect();
            assert!(
                ErrandOrder::is_for(&bytes, Path::new("/far"))
                    && !ErrandOrder::is_for(&bytes, Path::new("/near"))
            );
            line[1] = "sweep".into();
            assert_eq!(ErrandOrder::of(&line), None);
        }
    }
}
