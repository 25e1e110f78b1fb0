//! The name of a file in its directory.

use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Borrow;
use std::ffi::{OsStr, OsString};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A socket's file name in its directory, what `tmux -L` takes; also that of anything else that stands there.
///
/// It is one component of a path (`path_resolution(7)`): not empty, neither `.` nor `..`, without `/` and NUL. So whoever
/// removes or moves a label in an open directory cannot leave the directory, whoever told the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(OsString);

impl Label {
    /// The label of that name. `None`: no file can be called so.
    pub fn new(name: impl Into<OsString>) -> Option<Self> {
        let name = name.into();
        let is_name = !matches!(name.as_bytes(), b"" | b"." | b"..")
            && !name.as_bytes().iter().any(|byte| matches!(byte, b'/' | 0));
        is_name.then_some(Self(name))
    }

    /// The name.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

impl Deref for Label {
    type Target = OsStr;

    fn deref(&self) -> &OsStr {
        &self.0
    }
}

impl AsRef<OsStr> for Label {
    fn as_ref(&self) -> &OsStr {
        &self.0
    }
}

impl AsRef<Path> for Label {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl Borrow<OsStr> for Label {
    fn borrow(&self) -> &OsStr {
        &self.0
    }
}

impl PartialEq<OsStr> for Label {
    fn eq(&self, other: &OsStr) -> bool {
        self.0 == other
    }
}

impl PartialEq<str> for Label {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        self.0 == **other
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(OsString::deserialize(from)?).ok_or_else(|| serde::de::Error::custom("no file's name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_of_the_directory_is_no_label() {
        for name in ["", ".", "..", "/", "a/b", "../x", "a\0b"] {
            assert_eq!(Label::new(name), None, "{name:?}");
        }
        for name in ["a", "...", ".x", "-", "ä b\n"] {
            assert!(Label::new(name).is_some_and(|label| label == *name), "{name:?}");
        }
    }
}
