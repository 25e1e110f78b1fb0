//! Numbers that must not be mistaken for one another.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::num::ParseIntError;
use std::str::FromStr;

/// A user (`credentials(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(u32);

impl Uid {
    /// The superuser.
    pub const ROOT: Self = Self(0);

    /// The user of that number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The real user of this process.
    pub fn ours() -> Self {
        Self(rustix::process::getuid().as_raw())
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl Display for Uid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Uid {
    type Err = ParseIntError;

    fn from_str(digits: &str) -> Result<Self, ParseIntError> {
        digits.parse().map(Self)
    }
}

/// A socket's number: what `/proc/PID/fd` shows as `socket:[N]`, and the kernel's table as its inode (`sock_diag(7)`,
/// `udiag_ino`). Not that of the file that it is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SocketNumber(u32);

impl SocketNumber {
    /// The socket of that number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl FromStr for SocketNumber {
    type Err = ParseIntError;

    fn from_str(digits: &str) -> Result<Self, ParseIntError> {
        digits.parse().map(Self)
    }
}

impl Display for SocketNumber {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A process, as this PID namespace numbers it (`pid_namespaces(7)`). Another may have the number when this one has ended:
/// what must hold on to one process takes a [`super::PidFd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pid(i32);

impl Pid {
    /// The process of that number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn raw(self) -> i32 {
        self.0
    }
}

impl Display for Pid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Pid {
    type Err = ParseIntError;

    fn from_str(digits: &str) -> Result<Self, ParseIntError> {
        digits.parse().map(Self)
    }
}
