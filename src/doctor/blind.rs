//! Run where the kernel's table of sockets shows nothing: a sandbox, a container.

use super::{Cure, Finding, Patient, Severity};
use crate::host::systemd::Systemd;
use rustix::io::Errno;
use tmux_sockets::judge::Blindness;
use tmux_sockets::kernel::lack;
use tmux_sockets::report::{LeftAlone, Why};

const BLIND: &str =
    "what the table does not list is unknown to a janitor that runs here: it is never removed";

/// What was lacking while the doctor looked.
pub(super) fn lacking(errno: Errno) -> Finding {
    Finding::new(
        Severity::Problem,
        LeftAlone::Lacking(errno).to_string(),
        "what was not looked at is missing in what this and every other command tells, and what is found besides may be found for that reason alone",
        Cure::advice("let it have what is lacking, then run `tmux-janitor doctor` again"),
    )
}

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    // Without /proc nobody is connected to, and no process is found.
    if let Some(place) = patient.report.unseen.iter().find(|place| place.why == Why::NoProc) {
        findings.push(Finding::new(
            Severity::Problem,
            place.why.to_string(),
            BLIND,
            Cure::advice(
                "mount /proc here, or run `tmux-janitor doctor` outside of this container or sandbox",
            ),
        ));
        return;
    }
    if let Some(errno) = patient.blindness.and_then(Blindness::lack) {
        lack::heed(errno);
    } else if let Some(why) = patient.blindness {
        findings.push(Finding::new(
            Severity::Problem,
            format!("the kernel's socket table cannot be trusted here: {why}"),
            BLIND,
            Cure::advice(if why == Blindness::TableRefused(Errno::NOENT) {
                "have root load the module, `modprobe unix_diag`, and name it in a file in /etc/modules-load.d for the next boot"
            } else if Systemd::is_here() {
                "run `tmux-janitor doctor` in a shell outside; in a unit, take PrivateNetwork= out and let RestrictAddressFamilies= allow AF_UNIX AF_NETLINK (`systemctl --user edit UNIT`)"
            } else {
                "run `tmux-janitor doctor` in a shell outside of this container or sandbox"
            }),
        ));
    }
}
