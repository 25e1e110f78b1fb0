//! Quarantine names: each leads back to its label, and says how often it was moved.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use tmux_sockets::tmux::quarantine::{depth, label_of, name_of};

pub fn check(bytes: &[u8]) {
    let shown = bytes.escape_ascii();
    // A name in a directory holds neither.
    let name: Vec<u8> = bytes.iter().copied().filter(|byte| !matches!(byte, 0 | b'/')).collect();
    if name.is_empty() {
        return;
    }
    let name = OsStr::from_bytes(&name);
    let label = label_of(name).unwrap_or(name);
    assert_eq!(label_of(label), None, "there is a label behind that of {shown}");
    assert!(!label.is_empty(), "no file has the name that {shown} leads to");
    assert_eq!(depth(label), 0);
    assert_eq!(label_of(name).is_some(), depth(name) > 0);
    // A quarantine name is made of its label, moved that often.
    let made = (0..depth(name)).try_fold(label.to_owned(), |name, _| name_of(&name));
    assert!(made.is_none_or(|made| made == name), "{shown}");

    let prefix = name_of(OsStr::new("")).unwrap_or_default();
    if let Some(moved) = name_of(name) {
        assert!(moved.len() <= 255 && moved != name);
        assert_eq!(label_of(&moved), Some(label));
        assert_eq!(depth(&moved), depth(name) + 1);
    } else {
        assert!(name.len() + prefix.len() > 255, "{shown} would fit");
    }
}
