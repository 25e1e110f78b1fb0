//! Labels of spawned sessions: those of the rule, whatever the name; two names share none by accident.

use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use tmux_janitor::for_tests::label_of as label_for;

/// The first byte is the room, then two names with a NUL between.
pub fn check(bytes: &[u8]) {
    let Some((room, names)) = bytes.split_first() else { return };
    let room = usize::from(*room);
    let mut names = names.split(|byte| *byte == 0);
    let (name, other) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    for name in [name, other] {
        let label = label_of(name, room);
        assert_eq!(label, by_the_rule(name, room), "{} in {room}", name.escape_ascii());
        if let Some(label) = label {
            assert!(label.len() <= room);
            assert!(label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)));
        }
    }
    // Who wants to can write a name that is another's label; nobody does by accident.
    let (label, other_label) = (label_of(name, room), label_of(other, room));
    if name != other && label.is_some() && label == other_label {
        let is_plain = |name: &[u8]| label.as_deref().is_some_and(|label| label.ends_with(name));
        let digits = |name: &[u8]| Sha256::digest(name)[..4].to_vec();
        assert!(is_plain(name) || is_plain(other) || digits(name) == digits(other));
    }
}

fn label_of(name: &[u8], room: usize) -> Option<Vec<u8>> {
    label_for(OsStr::from_bytes(name), room).map(|label| label.as_bytes().to_vec())
}

/// The rule, once more: `spawn-`, the name with a dash for every other character, and where that is not the name or
/// too long, a dash and 8 hexadecimal digits at the end.
fn by_the_rule(name: &[u8], room: usize) -> Option<Vec<u8>> {
    let (mut safe, mut rest) = (Vec::new(), name);
    while let Some(first) = rest.first() {
        // A character in UTF-8 counts once, any other byte for itself.
        let is_character =
            |length: &usize| rest.get(..*length).is_some_and(|c| std::str::from_utf8(c).is_ok());
        rest = &rest[(1..=4).find(is_character).unwrap_or(1)..];
        safe.push(if first.is_ascii_alphanumeric() || b"_-".contains(first) { *first } else { b'-' });
    }
    let plain = [b"spawn-", &safe[..]].concat();
    if safe == name && plain.len() <= room {
        return Some(plain);
    }
    let hash = format!("-{:08x}", u32::from_be_bytes(Sha256::digest(name)[..4].try_into().ok()?));
    let kept = room.checked_sub(hash.len())?;
    (kept >= "spawn-".len()).then(|| [&plain[..plain.len().min(kept)], hash.as_bytes()].concat())
}
