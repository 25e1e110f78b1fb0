//! Why a server ended, as far as the kernel tells: for people, for programs, as a field of the journal. Pure.

use rustix::process::Signal;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// By itself, with this code.
    Exit(i32),
    /// By a signal.
    Signal {
        /// Its number.
        number: i32,
        /// Whether its memory was dumped.
        core: bool,
        /// Whether the kernel sent it for lack of memory; `None`: that is not known.
        oom: Option<bool>,
    },
}

impl Cause {
    /// Of a status as wait(2) gives it. `oom`: whether the kernel killed it for lack of memory, if it was killed.
    pub(crate) fn of(status: ExitStatus, oom: Option<bool>) -> Option<Self> {
        match (status.code(), status.signal()) {
            (Some(code), _) => Some(Self::Exit(code)),
            // For lack of memory the kernel sends no other one (mm/oom_kill.c: `__oom_kill_process`).
            (None, Some(number)) => {
                let oom = if number == Signal::KILL.as_raw() { oom } else { Some(false) };
                Some(Self::Signal { number, core: status.core_dumped(), oom })
            }
            (None, None) => None,
        }
    }

    /// As a field of the journal: `exit:N`, `signal:SIGNAME`, or `oom`.
    pub(crate) fn field(self) -> String {
        match self {
            Self::Exit(code) => format!("exit:{code}"),
            Self::Signal { oom: Some(true), .. } => "oom".to_owned(),
            Self::Signal { number, .. } => format!("signal:{}", signal_name(number)),
        }
    }
}

/// As it stands behind the name of a server that is gone.
impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal { number, core, oom } => {
                let more = match (core, oom) {
                    (_, Some(true)) => " (out of memory)",
                    (true, _) => " (core dumped)",
                    (false, _) => "",
                };
                write!(f, "killed by {}{more}", signal_name(number))
            }
        }
    }
}

/// `{"exit":0}` or `{"signal":"SIGKILL","core":false,"oom":null}`.
impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum CauseObject {
            Exit { exit: i32 },
            Signal { signal: String, core: bool, oom: Option<bool> },
        }
        let told = match *self {
            Self::Exit(exit) => CauseObject::Exit { exit },
            Self::Signal { number, core, oom } => {
                CauseObject::Signal { signal: signal_name(number), core, oom }
            }
        };
        told.serialize(serializer)
    }
}

/// A signal's name: signal(7), x86 and ARM.
pub(crate) fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number.checked_sub(1)?));
    name.map_or_else(|| format!("SIG{number}"), |name| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    #[test]
    fn a_status_is_told_to_all_three() {
        let told = |status: i32, oom: Option<bool>| {
            let cause = Cause::of(ExitStatus::from_raw(status), oom).unwrap();
            [serde_json::to_string(&cause).unwrap(), cause.field(), cause.to_string()]
        };
        assert_eq!(told(0, None), ["{\"exit\":0}", "exit:0", "exit 0"]);
        assert_eq!(told(7 << 8, Some(true)), ["{\"exit\":7}", "exit:7", "exit 7"]);
        for (status, oom, json, field, text) in [
            (
                9,
                None,
                r#"{"signal":"SIGKILL","core":false,"oom":null}"#,
                "signal:SIGKILL",
                "killed by SIGKILL",
            ),
            (
                9,
                Some(true),
                r#"{"signal":"SIGKILL","core":false,"oom":true}"#,
                "oom",
                "killed by SIGKILL (out of memory)",
            ),
            (
                9,
                Some(false),
                r#"{"signal":"SIGKILL","core":false,"oom":false}"#,
                "signal:SIGKILL",
                "killed by SIGKILL",
            ),
            (
                0x8b,
                Some(true),
                r#"{"signal":"SIGSEGV","core":true,"oom":false}"#,
                "signal:SIGSEGV",
                "killed by SIGSEGV (core dumped)",
            ),
            (40, None, r#"{"signal":"SIG40","core":false,"oom":false}"#, "signal:SIG40", "killed by SIG40"),
        ] {
            assert_eq!(told(status, oom), [json, field, text]);
        }
    }
}
