//! How the kernel's numbers and names are written down where a report goes from one process of ours to another (serde).

/// An error number: 1 to 4095, as in the kernel's own answers.
pub mod errno {
    use rustix::io::Errno;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        errno.raw_os_error().serialize(to)
    }

    /// Reads it.
    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Errno, D::Error> {
        let number = i32::deserialize(from)?;
        if (1..4096).contains(&number) {
            Ok(Errno::from_raw_os_error(number))
        } else {
            Err(D::Error::custom("no error number"))
        }
    }
}

/// A file's type: the bits of `st_mode` (inode(7)).
pub(crate) mod file_type {
    use rustix::fs::FileType;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(kind: &FileType, to: S) -> Result<S::Ok, S::Error> {
        kind.as_raw_mode().serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<FileType, D::Error> {
        Ok(FileType::from_raw_mode(u32::deserialize(from)?))
    }
}

/// A path, which may hold any byte but NUL.
pub(crate) mod path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}
