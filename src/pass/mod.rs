//! A pass that removes, told and kept in the user's record as it goes on: what `sweep -S` and `spawn` do on their way.

pub(crate) mod details;
mod expand;
pub(crate) mod far;
mod narrator;
mod places;
mod run;
pub(crate) mod see;
mod whole;
pub(crate) mod wire;

pub(crate) use narrator::{ENTRIES_OF_ONE, Heard, Narrator};
pub(crate) use places::Places;
pub(crate) use run::Run;
pub(crate) use whole::{Rescuing, Whole, one_name};

use crate::logging::journal;
use crate::record::{self, Deeds};
use tmux_sockets::report::Outcome;
use tmux_sockets::report::Report;
use tmux_sockets::sweep::{Pass, Target};
use tmux_sockets::witness::Witness;

/// Makes a pass whose result is not printed: what it removes is logged when it is done, and a signal lets it come to
/// its end first. It is no word worth where there was nothing to remove. `is_recorded`: it goes into the user's record.
pub(crate) fn remove(
    pass: &Pass<'_>,
    witness: &mut Witness,
    targets: &[Target],
    is_recorded: bool,
) -> Report {
    let mut narrator = Narrator::of_a_sweep(false, true);
    if is_recorded {
        narrator.keeps_record_of(pass.user);
    }
    let report = pass.run_before(witness, targets, &mut narrator);
    narrator.rest();
    if report.entries.iter().any(|entry| matches!(entry.outcome, Outcome::Removed | Outcome::Failed(_))) {
        journal::rest_of_pass(&report, false, &|at| narrator.has_told(at));
    }
    let left = Deeds::of(&report).without(narrator.recorded());
    if is_recorded && !left.is_empty() {
        record::note(pass.user, &left);
    }
    narrator.obey();
    report
}
