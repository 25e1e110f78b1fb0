//! The name under which a socket is looked at once more before it is unlinked.
//!
//! unlink(2) takes whatever stands at a name; rename(2) lets us see what it was. Between the last
//! look and the rename a server that takes no lock (SIGUSR1) may have put its socket there.

use crate::kernel::Label;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const PREFIX: &[u8] = b".tmux-janitor-quarantine.";

/// `NAME_MAX` of limits.h: the longest name in a directory, in bytes.
const NAME_MAX: usize = 255;

/// The quarantine name of a socket. `None`: it would be too long for a name.
///
/// It says whose it is, so that a later run can put it back or remove it under the right lock.
pub fn name_of(label: &OsStr) -> Option<Label> {
    let name = [PREFIX, label.as_bytes()].concat();
    if name.len() > NAME_MAX {
        return None;
    }
    Label::new(OsString::from_vec(name))
}

/// The label whose quarantine name this is, also where it is a quarantine name's.
pub fn label_of(name: &OsStr) -> Option<Label> {
    let mut label = strip(name.as_bytes())?;
    while let Some(inner) = strip(label) {
        label = inner;
    }
    Label::new(OsStr::from_bytes(label))
}

/// How often a label was moved away: 0, it stands at its own name.
pub fn depth(name: &OsStr) -> usize {
    std::iter::successors(strip(name.as_bytes()), |label| strip(label)).count()
}

fn strip(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(PREFIX).filter(|label| !matches!(*label, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_label_comes_back_from_its_quarantine(
            label in proptest::collection::vec(1_u8..=255, 1..260)
                .prop_filter_map("a name", |bytes| Label::new(OsString::from_vec(bytes)))
        ) {
            match name_of(&label) {
                Some(name) => {
                    prop_assert_eq!(depth(&name), depth(&label) + 1);
                    // A quarantine name's own leads to the label behind both.
                    let label = label_of(&label).unwrap_or_else(|| label.clone());
                    prop_assert_eq!(label_of(&name), Some(label.clone()));
                    if let Some(twice) = name_of(&name) {
                        prop_assert_eq!(label_of(&twice), Some(label));
                    }
                }
                None => prop_assert!(label.len() > NAME_MAX - PREFIX.len()),
            }
        }
    }

    #[test]
    fn other_names_are_no_quarantine() {
        assert_eq!(label_of(OsStr::new("x")), None);
        for none in ["", ".", ".."] {
            assert_eq!(label_of(OsStr::new(&format!(".tmux-janitor-quarantine.{none}"))), None);
        }
    }
}
