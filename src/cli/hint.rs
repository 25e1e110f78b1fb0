//! What a mistake on the command line leads to. Pure.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What people call things that have another name here, or none: similarity would mislead.
const OTHER_NAMES: [(&[&str], &str); 10] = [
    (
        &["attach", "a", "at", "attach-session"],
        "tmux itself attaches, as in `tmux -L LABEL attach`; `tmux-janitor list` shows the labels",
    ),
    (
        &["remove", "rm", "delete", "clean", "cleanup", "clean-up", "purge", "prune", "reap", "gc"],
        "`tmux-janitor sweep` removes dead sockets (`--dry-run` shows them first)",
    ),
    (
        &["kill", "stop", "kill-server", "kill-session"],
        "tmux-janitor ends no server: `tmux -L LABEL kill-server` does, and `tmux-janitor sweep` removes the socket that it leaves",
    ),
    (&["ls", "show", "ps", "list-sessions"], "`tmux-janitor list` shows the sockets"),
    (&["new", "new-session", "start", "run", "create"], "`tmux-janitor spawn NAME` starts a session"),
    (
        &["fix", "heal", "recover", "restore", "repair"],
        "`tmux-janitor rescue` gets back sessions that tmux no longer finds; `tmux-janitor doctor` checks the set-up",
    ),
    (
        &["check", "health", "info"],
        "`tmux-janitor status` tells the health, `tmux-janitor check-config` checks a configuration",
    ),
    (
        &["install", "uninstall", "init", "set-up"],
        "`tmux-janitor setup --now` puts units, man pages and completions into your home and starts the timer, `tmux-janitor setup --remove` takes them away",
    ),
    (
        &["monitor", "follow", "log", "logs"],
        "`tmux-janitor events` follows what happens; the log is in the journal, `journalctl --user -t tmux-janitor`",
    ),
    (
        &["daemon", "service", "enable"],
        "the daemon is `tmux-janitor watch`; with systemd, `tmux-janitor setup --now` has everything swept every 10 minutes",
    ),
];

/// Leads from a command that there is not to what was meant, where that is known.
pub(crate) fn hint(error: &mut clap::Error) {
    hint_at_command(error);
    hint_at_option(error);
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return };
    let known = OTHER_NAMES.iter().find(|(words, _)| words.contains(&word.as_str()));
    if let Some((_, meant)) = known {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*meant)]));
    }
}

/// Leads to `--`, where `spawn` met a word of COMMAND before it, or an option of COMMAND.
fn hint_at_command(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return };
    let is_spawn = error.get(ContextKind::Usage).is_some_and(|usage| usage.to_string().contains(" spawn "));
    if error.kind() != ErrorKind::UnknownArgument || !is_spawn {
        return;
    }
    let mut tips = vec![StyledStr::from(
        "put -- before COMMAND, so that its options are not read as those of spawn, as in `tmux-janitor spawn NAME -- tail -f LOG`",
    )];
    // It may as well be a mistyped option of ours.
    let is_option = word.starts_with('-');
    if let Some(ContextValue::String(meant)) = error.remove(ContextKind::SuggestedArg) {
        if is_option {
            tips.insert(0, StyledStr::from(format!("a similar argument exists: '{meant}'")));
        }
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
}

/// What a word stands behind in commands that take none.
const OPTIONS: [(&str, &str); 3] = [
    (
        " probe ",
        "`-L LABEL`, `-S PATH` or `--session NAME` says what is meant, as in `tmux-janitor probe -L build`",
    ),
    (" list ", "`tmux-janitor list --label GLOB` shows only those labels"),
    (
        " sweep ",
        "`tmux-janitor sweep` removes every dead socket of yours; with `-S PATH` only the one that is named",
    ),
];

/// Leads from a word, or from tmux's `-L`, to the option that was meant.
fn hint_at_option(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return };
    if error.kind() != ErrorKind::UnknownArgument || (word.starts_with('-') && word != "-L") {
        return;
    }
    let usage = error.get(ContextKind::Usage).map_or_else(String::new, ToString::to_string);
    if let Some((_, meant)) = OPTIONS.iter().find(|(command, _)| usage.contains(command)) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*meant)]));
    }
}
