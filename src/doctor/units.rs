//! Nothing sweeps by itself: no timer, no watcher, no job of cron; or what should sweep failed lately.

use super::{Cure, Finding, Patient, Severity, cron};
use crate::host::apart;
use crate::host::lasting::lingers;
use crate::host::systemd::{Instance, Silence, Systemd, Unit};
use std::path::PathBuf;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::{escaped, shell_word};

const NOTHING_SWEEPS: &str =
    "tmux removes no socket by itself, so the dead ones pile up until somebody calls `tmux-janitor sweep`";

const TIMER: &str = "tmux-janitor.timer";
const WATCHER: &str = "tmux-janitor-watch.service";
const SWEEP: &str = "tmux-janitor.service";

/// What the managers say of our units.
struct UnitsTold {
    /// The user's; none: that manager does not answer.
    own: Option<Vec<Unit>>,
    machines: Option<Vec<Unit>>,
}

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let watcher = patient.name().map(|name| format!("tmux-janitor-watch@{name}.service"));
    let own = [TIMER, WATCHER, SWEEP];
    let machines: Vec<&str> = [Some(TIMER), watcher.as_deref(), Some(SWEEP)].into_iter().flatten().collect();
    let properties = "Id,LoadState,ActiveState,UnitFileState,Result,ExecMainStatus";
    let show = |manager, units: &[&str]| patient.systemd.show(manager, units, properties);
    let told = UnitsTold { own: show(Instance::User, &own), machines: show(Instance::System, &machines) };
    for (manager, units) in [(Instance::User, &told.own), (Instance::System, &told.machines)] {
        findings.extend(units.iter().flatten().filter_map(|unit| failed(patient, manager, unit)));
    }
    let sweeps = |unit: &Unit| unit.get("Id") != SWEEP && unit.get("ActiveState") == "active";
    let by_systemd = told.own.iter().chain(&told.machines).flatten().any(sweeps);
    if !by_systemd && !is_watched(patient.user) && !is_swept_by_cron(patient) {
        findings.push(nothing_sweeps(patient, &told));
    }
}

/// One that did not do what it should have.
fn failed(patient: &Patient<'_>, manager: Instance, unit: &Unit) -> Option<Finding> {
    if unit.get("ActiveState") != "failed" && matches!(unit.get("Result"), "" | "success") {
        return None;
    }
    let id = unit.get("Id");
    let (whose, sudo, option) = match manager {
        Instance::User => ("", "", "--user "),
        Instance::System => ("the machine's ", patient.sudo(), ""),
    };
    let word = shell_word(id);
    Some(Finding::new(
        Severity::Problem,
        format!(
            "{whose}{} failed lately: {} (exit status {})",
            escaped(id),
            unit.get("Result"),
            unit.get("ExecMainStatus")
        ),
        "what it should have swept or watched was left as it is; if it fails again, the journal says why",
        Cure::command(format!(
            "{sudo}systemctl {option}restart {word} || {sudo}journalctl {option}--no-pager -x -n 20 -u {word}"
        )),
    ))
}

/// Whether a unit is enabled, or why it is no unit.
fn state_of(unit: &Unit) -> &str {
    if unit.get("LoadState") == "loaded" { unit.get("UnitFileState") } else { unit.get("LoadState") }
}

/// Why nothing sweeps, and what would.
fn nothing_sweeps(patient: &Patient<'_>, told: &UnitsTold) -> Finding {
    let is_loaded = |unit: &Unit| unit.get("LoadState") == "loaded";
    let is_timer = |unit: &&Unit| unit.get("Id") == TIMER;
    let machines_timer = told.machines.iter().flatten().find(is_timer).is_some_and(is_loaded);
    let risk = |what: String, cure: Cure| Finding::new(Severity::Risk, what, NOTHING_SWEEPS, cure);
    let nothing_known = |what: &str, cure: Cure| {
        Finding::new(
            Severity::Note,
            what.to_owned(),
            "whether a timer or a watcher sweeps is not known",
            cure,
        )
    };
    if let Some(own) = &told.own {
        let goes_on = own.iter().filter(|unit| unit.get("Id") != SWEEP);
        let each = goes_on
            .map(|unit| format!("{} is {} ({})", unit.get("Id"), unit.get("ActiveState"), state_of(unit)));
        let what = each.collect::<Vec<_>>().join(", ");
        let there: Vec<&str> = own
            .iter()
            .filter(|unit| unit.get("Id") != SWEEP && matches!(unit.get("LoadState"), "loaded" | "masked"))
            .map(|unit| unit.get("Id"))
            .collect();
        let masked: Vec<&str> =
            own.iter().filter(|unit| unit.get("LoadState") == "masked").map(|unit| unit.get("Id")).collect();
        let cure = if there.is_empty() && patient.user == Uid::ROOT && machines_timer {
            format!("systemctl enable --now {TIMER}")
        } else if there.is_empty() {
            make_units()
        } else if masked.is_empty() {
            format!("systemctl --user enable --now {}", there.join(" "))
        } else {
            let (masked, there) = (masked.join(" "), there.join(" "));
            format!("systemctl --user unmask {masked} && systemctl --user enable --now {there}")
        };
        return risk(what, Cure::command(cure));
    }
    match patient.systemd.silence() {
        Some(Silence::Chroot) => nothing_known(
            "systemctl takes this for a chroot and asks no service manager",
            Cure::advice("run `tmux-janitor doctor` outside of this container, where the service manager is"),
        ),
        Some(Silence::Late) => nothing_known(
            "a tool of systemd has not answered in time, and no further question was asked",
            Cure::advice("run `tmux-janitor doctor` again; if that stays so: systemctl list-jobs"),
        ),
        None if patient.user == Uid::ROOT && machines_timer => risk(
            format!("{TIMER} of the machine is not active"),
            Cure::command(format!("systemctl enable --now {TIMER}")),
        ),
        None if Systemd::is_here() => {
            let (state, cure) = start_manager(patient);
            risk(format!("the user's service manager does not answer{state}"), cure)
        }
        None => risk("systemd does not run here, and no timer of it".to_owned(), without_systemd(patient)),
    }
}

/// What brings the user's manager up. What runs is not started anew: the user's servers may be in it.
fn start_manager(patient: &Patient<'_>) -> (String, Cure) {
    let id = format!("user@{}.service", patient.user);
    let units = patient.systemd.show(Instance::System, &[&id], "ActiveState");
    let state = units.iter().flatten().next().map(|unit| unit.get("ActiveState").to_owned());
    let sudo = patient.sudo();
    let cure = match (state.as_deref(), patient.name()) {
        (Some("inactive" | "failed"), Some(name)) if !lingers(&name) => {
            Cure::command(format!("{sudo}loginctl enable-linger {}", shell_word(&name)))
        }
        (Some("inactive" | "failed"), _) => Cure::command(format!("{sudo}systemctl start {id}")),
        _ => Cure::advice(format!(
            "{sudo}journalctl -b -u {id} says why; its bus may be missing (dbus-user-session)"
        )),
    };
    (state.map(|state| format!(": {id} is {state}")).unwrap_or_default(), cure)
}

/// The program that we are, as another shell, a unit or cron finds it.
fn program() -> String {
    let own = std::env::current_exe().ok().filter(|path| apart::answers(path) && path.is_file());
    own.map_or_else(|| "tmux-janitor".to_owned(), |path| shell_word(&path))
}

/// Units of the user's own, where none are installed.
fn make_units() -> String {
    format!("{} setup --now", program())
}

/// A job of cron, where there is one.
fn without_systemd(patient: &Patient<'_>) -> Cure {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |path: PathBuf| apart::answers(&path) && path.is_file();
    if std::env::split_paths(&paths).any(|folder| is_there(folder.join("crontab"))) {
        let line = shell_word(&format!("*/10 * * * * {} sweep -q", program()));
        return Cure::command(format!("(crontab -l 2>/dev/null; echo {line}) | crontab -"));
    }
    Cure::advice(format!(
        "keep `{0} watch` running, or call `{0} sweep` before sessions are started",
        patient.janitor()
    ))
}

/// Whether a watcher of the user's runs, started by whomever.
fn is_watched(user: Uid) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut folders = processes.map(|entry| entry.path()).filter(|path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<i32>().is_ok())
    });
    folders.any(|folder| {
        let is_own = std::fs::metadata(&folder).is_ok_and(|about| about.uid() == user.raw());
        let comm = || {
            std::fs::read_to_string(folder.join("comm")).is_ok_and(|comm| comm.trim_end() == "tmux-janitor")
        };
        let line = || std::fs::read(folder.join("cmdline")).unwrap_or_default();
        is_own && comm() && line().split(|byte| *byte == 0).skip(1).any(|word| word == b"watch")
    })
}

/// Whether a job of cron sweeps the user's sockets: one in their own table, or one for everybody.
fn is_swept_by_cron(patient: &Patient<'_>) -> bool {
    cron::tables(patient).iter().any(|table| {
        cron::jobs(&table.text).any(|job| {
            let is_ours = job.contains("tmux-janitor") && job.contains("sweep");
            is_ours && (table.path.is_none() || job.contains("--all-users") || is_for(patient, job))
        })
    })
}

/// Whether the machine's table has a job run as this user.
fn is_for(patient: &Patient<'_>, job: &str) -> bool {
    let user = if job.starts_with('@') { 1 } else { 5 };
    patient.name().is_some_and(|name| job.split_ascii_whitespace().nth(user) == Some(&name))
}
