//! Quarantine names: each leads back to its label, and says how often it was moved.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use tmux_sockets::kernel::Label;
use tmux_sockets::tmux::quarantine::{depth, label_of, name_of};

pub fn check(bytes: &[u8]) {
    let shown = bytes.escape_ascii();
    // A name in a directory holds neither.
    let name: Vec<u8> = bytes.iter().copied().filter(|byte| !matches!(byte, 0 | b'/')).collect();
    let Some(name) = Label::new(OsStr::from_bytes(&name)) else {
        return;
    };
    let label = label_of(&name).unwrap_or_else(|| name.clone());
    assert_eq!(label_of(&label), None, "there is a label behind that of {shown}");
    assert_eq!(depth(&label), 0);
    assert_eq!(label_of(&name).is_some(), depth(&name) > 0);
    // A quarantine name is made of its label, moved that often.
    let made = (0..depth(&name)).try_fold(label.clone(), |name, _| name_of(&name));
    assert!(made.is_none_or(|made| made == name), "{shown}");

    let prefix = name_of(OsStr::new("")).map_or(0, |prefix| prefix.len());
    if let Some(moved) = name_of(&name) {
        assert!(moved.len() <= 255 && moved != name);
        assert_eq!(label_of(&moved), Some(label));
        assert_eq!(depth(&moved), depth(&name) + 1);
    } else {
        assert!(name.len() + prefix > 255, "{shown} would fit");
    }
}
