//! The label of a session's own socket. Pure.

use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use tmux_sockets::kernel::Label;

const PREFIX: &str = "spawn-";

/// How many hexadecimal digits of the hash a changed name gets, with the dash before them.
const SUFFIX: usize = 9;

/// The label for a session called `name`, at most `room` bytes long. `None`: not even a cut one fits.
///
/// `spawn-` and the name, every character outside `[A-Za-z0-9_-]` replaced by `-`. Where that changed
/// the name, or it had to be cut, the first 8 hexadecimal digits of the SHA-256 of the name's bytes
/// follow, so that two names never share a label by accident.
pub fn of(name: &OsStr, room: usize) -> Option<Label> {
    let mut label = PREFIX.to_owned();
    for chunk in name.as_bytes().utf8_chunks() {
        label.extend(chunk.valid().chars().map(|c| if is_kept(c) { c } else { '-' }));
        label.extend(chunk.invalid().iter().map(|_| '-'));
    }
    let is_same = label.as_bytes().get(PREFIX.len()..) == Some(name.as_bytes());
    if is_same && label.len() <= room {
        return Label::new(label);
    }
    let room = room.checked_sub(SUFFIX).filter(|room| *room >= PREFIX.len())?;
    label.truncate(room);
    label.push('-');
    for byte in &Sha256::digest(name.as_bytes())[..4] {
        // Writing to a String cannot fail.
        let _ = write!(label, "{byte:02x}");
    }
    Label::new(label)
}

fn is_kept(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(name: &str) -> String {
        of(OsStr::new(name), 80).map(|label| label.to_string_lossy().into_owned()).unwrap_or_default()
    }

    #[test]
    fn labels_are_those_of_the_contract() {
        assert_eq!(label("build"), "spawn-build");
        assert_eq!(label("-A_9-"), "spawn--A_9-");
        // As sha256sum(1) says.
        assert_eq!(label("a.b"), "spawn-a-b-2e7336dc");
        assert_eq!(label("ä"), "spawn---33e6d73f");
        let long = label(&"x".repeat(300));
        assert_eq!((long.len(), &long[71..]), (80, "-0d4e2ca9"));
        assert_eq!(of(OsStr::new("x"), 6), None);
        assert_eq!(of(OsStr::new("a.b"), 14), None);
    }

    proptest! {
        #[test]
        fn every_label_fits_and_is_safe(
            name in proptest::collection::vec(1_u8..=255, 1..320), room in 15_usize..120
        ) {
            let label = of(OsStr::from_bytes(&name), room);
            let label = label.as_deref().unwrap_or_default();
            prop_assert!(label.len() <= room && label.len() > PREFIX.len());
            prop_assert!(label.as_bytes().iter().all(|byte| is_kept(char::from(*byte))));
        }
    }
}
