//! How data is handed to tmux so that nothing in it is expanded or taken for a command.
//!
//! Pure. The rules are those of tmux's source, tags 2.6 to 3.7c:
//!
//! - *Every* argument of a tmux command: one that ends in `;` ends the command, one that ends in `\;`
//!   stands for one that ends in `;` (cmd-list.c: `cmd_list_parse`, later cmd-parse.y:
//!   `cmd_parse_from_arguments`). Nothing else in an argument has a meaning.
//! - A session's name (`new-session -s`) is a *format* from 2.7 on, without strftime(3) (format.c:
//!   `format_single`, `format_expand1`): everything special begins with `#`, and `##` stands for `#`.
//!   From 3.2 on two or more `#` before a `[` are left as they are, a single one always was.
//! - A directory (`new-session -c`) is a format too, and is expanded twice; so `-c` is never used: a
//!   new session starts in the working directory of the client that asks for it.
//! - The environment (`-e`) and COMMAND are taken byte for byte.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An argument that arrives as `data`.
pub(crate) fn argument(data: &OsStr) -> OsString {
    let mut bytes = data.as_bytes().to_vec();
    if bytes.last() == Some(&b';') {
        bytes.insert(bytes.len() - 1, b'\\');
    }
    OsString::from_vec(bytes)
}

/// A format that expands to `data`, to be made an [`argument`] still.
///
/// In no version anything is expanded or run. Before 3.2 a name with `##[` loses a `#`, and in 2.6,
/// whose `-s` is no format, one with `#` gets twice as many.
pub(crate) fn format(data: &OsStr) -> OsString {
    let bytes = data.as_bytes();
    let mut quoted = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let run = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
        if run == 0 {
            quoted.push(*byte);
            at += 1;
            continue;
        }
        let times = if bytes.get(at + run) == Some(&b'[') { run } else { 2 * run };
        quoted.resize(quoted.len() + times, b'#');
        at += run;
    }
    OsString::from_vec(quoted)
}

/// Whether `-t =NAME` means the session of that name and nothing else, in every version (cmd-find.c:
/// `cmd_find_target`): `:` and `.` divide a target, a leading `$` makes it an id. tmux keeps such a name
/// as it is; others it changes (control characters, backslashes, `$` before a letter, bytes that are
/// not UTF-8; utf8.c: `utf8_stravis`).
pub(crate) fn is_plain_name(name: &OsStr) -> bool {
    let is_plain = |c: char| !c.is_control() && !matches!(c, ':' | '.' | '\\' | '#' | '$');
    name.to_str().is_some_and(|name| !name.is_empty() && name.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What tmux makes of the arguments of a command, up to its end (`cmd_parse_from_arguments`).
    fn parsed(argument: &[u8]) -> (Vec<u8>, bool) {
        match argument {
            [head @ .., b'\\', b';'] => ([head, b";"].concat(), false),
            [head @ .., b';'] => (head.to_vec(), true),
            other => (other.to_vec(), false),
        }
    }

    /// What tmux since 3.2 makes of a format without anything to expand; `None`: it would expand
    /// (`format_expand1`).
    fn expanded(format: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < format.len() {
            let run = format[at..].iter().take_while(|byte| **byte == b'#').count();
            match (run, format.get(at + run)) {
                (0, _) => {
                    out.push(format[at]);
                    at += 1;
                }
                (run, Some(b'[')) => {
                    out.extend(std::iter::repeat_n(b'#', run));
                    out.push(b'[');
                    at += run + 1;
                }
                (run, _) if run % 2 == 1 => return None,
                (run, _) => {
                    out.extend(std::iter::repeat_n(b'#', run / 2));
                    at += run;
                }
            }
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_arrives(data in proptest::collection::vec(
            prop_oneof![Just(b'#'), Just(b'['), Just(b'{'), Just(b'('), Just(b'\\'), Just(b';'), 1_u8..], 0..40)
        ) {
            let data = OsString::from_vec(data);
            let quoted = argument(&data);
            prop_assert_eq!(parsed(quoted.as_bytes()), (data.as_bytes().to_vec(), false));
            let name = format(&data);
            prop_assert_eq!(expanded(name.as_bytes()), Some(data.as_bytes().to_vec()));
        }
    }

    #[test]
    fn the_known_traps_are_defused() {
        let name = |text: &str| argument(&format(OsStr::new(text)));
        assert_eq!(name("#(touch F)"), "##(touch F)");
        assert_eq!(name("x;"), "x\\;");
        assert_eq!(name(";"), "\\;");
        assert_eq!(name("x\\;"), "x\\\\;");
        assert_eq!(name("##[#S"), "##[##S");
        assert_eq!(name("#"), "##");
    }

    #[test]
    fn names_with_a_meaning_in_a_target_are_not_plain() {
        for name in ["a", "ä b", "-x", "=", "@1", "%1", "{last}", "100%"] {
            assert!(is_plain_name(OsStr::new(name)), "{name}");
        }
        for name in ["", "a.b", "a:b", "$1", "a$b", "a\nb", "a\\b", "#S"] {
            assert!(!is_plain_name(OsStr::new(name)), "{name}");
        }
        assert!(!is_plain_name(OsStr::from_bytes(b"\xff")));
    }
}
