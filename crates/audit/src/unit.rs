//! Unit files: systemd.syntax(7), and the command lines of systemd.service(5).

use super::call::{Service, ServiceKind};
use super::exec_line;
use super::text::Text;
use super::variables::{Value, Variables};

/// A line `Key=value` with what continues it.
struct Setting<'t> {
    section: &'t str,
    key: &'t str,
    value: Text,
}

/// What a unit runs.
#[derive(Debug)]
pub(super) struct Unit {
    /// Its comments: where they stand, and what they say.
    pub(super) comments: Vec<(usize, String)>,
    pub(super) commands: Vec<UnitCommand>,
}

/// A command of a unit, and what is known where it runs.
#[derive(Debug)]
pub(super) struct UnitCommand {
    pub(super) words: Vec<Text>,
    pub(super) variables: Variables,
    pub(super) service: Service,
}

/// Reads the command lines of a unit; or, where it is not the whole one, of a drop-in.
pub(super) fn read(text: &Text, is_whole: bool) -> Unit {
    let (settings, comments) = settings(text);
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
        _ if keeps_processes => ServiceKind::Other,
        Some("oneshot") => ServiceKind::Oneshot,
        Some("simple" | "exec" | "idle" | "") => ServiceKind::Main,
        // With a name on the bus it is dbus.
        None if is_whole && !resets && !is("BusName") => ServiceKind::Main,
        _ => ServiceKind::Other,
    };
    let service = Service {
        kind,
        remains: matches!(last("RemainAfterExit").as_deref(), Some("yes" | "true" | "on" | "1")),
        is_typed: is("Type"),
        line: 0,
    };
    let mut variables = environment(&settings);
    // A /tmp of its own is shared with nobody.
    if matches!(last("PrivateTmp").as_deref(), Some("yes" | "true" | "on" | "1" | "disconnected")) {
        variables.set("TMUX_TMPDIR", Some(Value::Unknown));
    }
    let mut commands = Vec::new();
    for setting in settings.iter().filter(|setting| setting.key.starts_with("Exec")) {
        for words in exec_line::commands(&setting.value, &variables) {
            let kind = match (setting.key, kind) {
                // What these leave behind is killed before the next one runs: systemd.service(5).
                ("ExecStart" | "ExecStartPre", kind) => kind,
                ("ExecStartPost", ServiceKind::Oneshot) => ServiceKind::Oneshot,
                _ => ServiceKind::Other,
            };
            let service = Service { kind, line: setting.value.place(0), ..service };
            commands.push(UnitCommand { words, variables: variables.clone(), service });
        }
    }
    Unit { comments, commands }
}

/// The settings of a unit, and its comments.
fn settings(text: &Text) -> (Vec<Setting<'_>>, Vec<(usize, String)>) {
    let whole = text.as_str();
    let mut comments = Vec::new();
    let mut settings: Vec<Setting<'_>> = Vec::new();
    let mut section = "";
    let mut continues = false;
    let mut at = 0;
    for line in whole.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let end = start + line.trim_end_matches(['\n', '\r']).len();
        let bare = whole[start..end].trim();
        if bare.starts_with(['#', ';']) {
            comments.push((text.place(start), bare.to_owned()));
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
    (settings, comments)
}

/// What `Environment=` sets.
fn environment(settings: &[Setting<'_>]) -> Variables {
    let mut variables = Variables::default();
    for setting in settings.iter().filter(|setting| setting.key == "Environment") {
        for word in exec_line::words(&setting.value) {
            if let Some((name, value)) = word.text.as_str().split_once('=') {
                let text = Text::made(value, word.text.place(0));
                variables.set(name, Some(Value::text(text)));
            }
        }
    }
    variables
}
