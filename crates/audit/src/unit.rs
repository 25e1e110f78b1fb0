//! Unit files: systemd.syntax(7), and the command lines of systemd.service(5).

use super::call::{Kind, Service};
use super::exec_line;
use super::scope::{Scope, Value};
use super::text::Text;
use super::walk::{Findings, command_line};
use std::rc::Rc;

/// A line `Key=value` with what continues it.
struct Setting<'t> {
    section: &'t str,
    key: &'t str,
    value: Text,
}

/// Looks at every command line of a unit; or, where it is not the whole one, of a drop-in.
pub(super) fn look(text: &Text, is_whole: bool, found: &mut Findings) {
    let settings = settings(text, found);
    let last = |key: &str| {
        let of = |setting: &&Setting<'_>| setting.section == "Service" && setting.key == key;
        settings.iter().rfind(of).map(|setting| setting.value.as_str().trim().to_ascii_lowercase())
    };
    let keeps_processes = matches!(last("KillMode").as_deref(), Some("process" | "none"));
    let is = |key: &str| settings.iter().any(|setting| setting.section == "Service" && setting.key == key);
    // A drop-in, whose unit says what it does not, takes back what stands there before it says another.
    let resets =
        settings.iter().any(|setting| setting.key == "ExecStart" && setting.value.as_str().trim().is_empty());
    let kind = match last("Type").as_deref() {
        _ if keeps_processes => Kind::Other,
        Some("oneshot") => Kind::Oneshot,
        Some("simple" | "exec" | "idle" | "") => Kind::Main,
        // With a name on the bus it is dbus.
        None if is_whole && !resets && !is("BusName") => Kind::Main,
        _ => Kind::Other,
    };
    let service = Service {
        kind,
        remains: matches!(last("RemainAfterExit").as_deref(), Some("yes" | "true" | "on" | "1")),
        is_typed: is("Type"),
        line: 0,
    };
    let mut scope = environment(&settings);
    // A /tmp of its own is shared with nobody.
    if matches!(last("PrivateTmp").as_deref(), Some("yes" | "true" | "on" | "1" | "disconnected")) {
        scope.set("TMUX_TMPDIR", Some(Value::Unknown));
    }
    for setting in settings.iter().filter(|setting| setting.key.starts_with("Exec")) {
        for command in exec_line::commands(&setting.value, &scope) {
            let kind = match (setting.key, kind) {
                // What these leave behind is killed before the next one runs: systemd.service(5).
                ("ExecStart" | "ExecStartPre", kind) => kind,
                ("ExecStartPost", Kind::Oneshot) => Kind::Oneshot,
                _ => Kind::Other,
            };
            let service = Service { kind, line: setting.value.place(0), ..service };
            command_line(command, scope.clone(), found, service);
        }
    }
}

/// The settings of a unit; its comments go to `found`.
fn settings<'t>(text: &'t Text, found: &mut Findings) -> Vec<Setting<'t>> {
    let whole = text.as_str();
    let mut settings: Vec<Setting<'t>> = Vec::new();
    let mut section = "";
    let mut continues = false;
    let mut at = 0;
    for line in whole.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let end = start + line.trim_end_matches(['\n', '\r']).len();
        let bare = whole[start..end].trim();
        if bare.starts_with(['#', ';']) {
            found.comments.push((text.place(start), bare.to_owned()));
            continue;
        }
        let goes_on = whole[start..end].ends_with('\\');
        let value_end = end - usize::from(goes_on);
        if continues {
            if let Some(setting) = settings.last_mut() {
                setting.value.push(" ", text.place(start));
                setting.value.push_part(text, start, value_end);
            }
        } else if let Some(name) = bare.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            section = name;
        } else if let Some(equals) = whole[start..value_end].find('=') {
            let mut value = Text::default();
            value.push_part(text, start + equals + 1, value_end);
            settings.push(Setting { section, key: whole[start..start + equals].trim(), value });
        }
        continues = goes_on && !settings.is_empty();
    }
    settings
}

/// What `Environment=` sets.
fn environment(settings: &[Setting<'_>]) -> Scope {
    let mut scope = Scope::default();
    for setting in settings.iter().filter(|setting| setting.key == "Environment") {
        for word in exec_line::words(&setting.value) {
            if let Some((name, value)) = word.text.as_str().split_once('=') {
                let mut text = Text::default();
                text.push(value, word.text.place(0));
                scope.set(name, Some(Value::Text(Rc::new(text))));
            }
        }
    }
    scope
}
