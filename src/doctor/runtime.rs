//! A runtime directory in which nothing more can be made.

use super::{Cure, Finding, Patient, Severity};
use crate::host::lasting;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let dir = lasting::runtime_dir(patient.user);
    let Some(what) = lasting::full(&dir) else {
        return;
    };
    findings.push(Finding::new(
        Severity::Problem,
        what,
        "the user's service manager can start nothing there, so a session that a service asks for ends with that service",
        Cure::advice(format!("remove what fills it; the newest of it: `find {} -xdev -type f -mmin -60`", dir.display())),
    ));
}
