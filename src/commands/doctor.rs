//! What is wrong with this machine's set-up, and the cure.

use super::load_settings;
use crate::cli::Global;
use crate::doctor::{self, Patient};
use crate::exit::output::Output;
use crate::exit::{Error, Exit};
use crate::logging::journal;
use crate::pass::{Narrator, Rescuing, Run, Whole, see};
use tmux_sockets::kernel::Uid;
use tmux_sockets::sweep::Act;
use tmux_sockets::sweep::discover::Surroundings;
use tmux_sockets::witness::Witness;

pub(super) fn doctor(global: &Global, as_json: bool, output: &mut Output) -> Result<Exit, Error> {
    let settings = load_settings(global)?;
    let user = Uid::ours();
    let whole = Whole {
        settings: &settings,
        given: &global.dir,
        act: Some(Act::Look),
        rescuing: Rescuing::none(false),
    };
    let Run { report, record, .. } = whole.make(&mut Narrator::default());
    see::say_why(&report);
    let mut witness = Witness::new(user);
    let around = Surroundings::of_this_process();
    let patient = Patient::new(&settings, user, &around, &report, record.as_ref(), &mut witness, &global.dir);
    let findings = patient.examine();
    if as_json {
        output.line(&doctor::told::json(&findings, &settings.doctor.ignore)?)?;
    } else {
        let text = doctor::told::people(&findings, &settings.doctor.ignore);
        if output.is_muted() {
            journal::looked(&report, &text, doctor::is_healthy(&findings));
        }
        output.text(&text)?;
    }
    Ok(if doctor::is_healthy(&findings) { Exit::Done } else { Exit::Found })
}
