//! A tmux with a known trap.

use super::{Cure, Finding, Patient, Severity};
use crate::host::child::{self, End};
use crate::host::client;
use rustix::io::Errno;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::kernel::lack::is_lack;

pub(super) fn check(patient: &Patient<'_>, findings: &mut Vec<Finding>) {
    let program = &patient.settings.spawn.tmux;
    let shown = escaped(program).to_string();
    let mut ask = client::command(&[program.into(), "-V".into()]);
    let ended = child::run(&mut ask, client::DEADLINE);
    if ended.as_ref().is_err_and(|error| Errno::from_io_error(error).is_some_and(is_lack)) {
        // Whether tmux is there was not seen, which is told of the whole examination.
        return;
    }
    let Ok(ended) = ended else {
        findings.push(Finding::new(
            Severity::Problem,
            format!("{shown} cannot be run"),
            "`tmux-janitor spawn` needs it",
            Cure::advice("install tmux, or name it: spawn.tmux in the configuration"),
        ));
        return;
    };
    let text = String::from_utf8_lossy(&ended.out);
    let Some((why, until)) = version(&text).filter(|_| ended.end == End::Code(0)).and_then(trap) else {
        return;
    };
    findings.push(Finding::new(
        Severity::Risk,
        format!("{shown} is {}", escaped(text.trim())),
        why,
        Cure::advice(format!("update tmux to {until} or newer")),
    ));
}

/// `tmux 3.0a`, `tmux next-3.4`, `tmux 3.3-rc`: its two numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.trim().strip_prefix("tmux ")?;
    let number = number.strip_prefix("next-").unwrap_or(number);
    let (major, minor) = number.split_once('.')?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major.parse().ok()?, minor[..digits].parse().ok()?))
}

/// What bites in a version, and the first one in which it is mended.
fn trap(version: (u32, u32)) -> Option<(&'static str, &'static str)> {
    match version {
        (0..=1, _) | (2, 0..=6) => Some((
            "with destroy-unattached on, a program that only connects to its socket ends the server",
            "2.7",
        )),
        (3, 0..=1) => Some((
            "a connection that is closed at once, as a probe makes it, lets a server that is starting skip its configuration",
            "3.3",
        )),
        (2, _) | (3, 2) => {
            Some(("where its socket cannot be made it prints nothing and exits with 0", "3.3"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_old_ones_have_traps() {
        for (text, expected, until) in [
            ("tmux 2.6\n", Some((2, 6)), Some("2.7")),
            ("tmux 2.9a\n", Some((2, 9)), Some("3.3")),
            ("tmux 3.1c\n", Some((3, 1)), Some("3.3")),
            ("tmux 3.3a\n", Some((3, 3)), None),
            ("tmux next-3.7\n", Some((3, 7)), None),
            ("tmux master\n", None, None),
        ] {
            assert_eq!(version(text), expected, "{text}");
            assert_eq!(version(text).and_then(trap).map(|(_, until)| until), until, "{text}");
        }
    }
}
