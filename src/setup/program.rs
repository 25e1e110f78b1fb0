//! The program that the units are to start: the one that runs.

use super::folders::Folders;
use crate::host::apart;
use crate::host::user_database;
use std::path::{Path, PathBuf};
use tmux_sockets::kernel::escape::escaped;

/// Folders that are emptied by others.
const FLEETING: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Where this program lies, links resolved.
///
/// # Errors
/// One sentence: it lies nowhere.
pub(super) fn own() -> Result<PathBuf, String> {
    let path = std::fs::read_link("/proc/self/exe").map_err(|error| {
        format!("where this program lies is not known: {}", tmux_sockets::kernel::text::io_text(&error))
    })?;
    // The kernel adds a word to a name that is gone.
    if path.to_string_lossy().ends_with(" (deleted)") {
        return Err("this program was replaced or deleted since it was started; start the new one".to_owned());
    }
    Ok(path)
}

/// How units name it: as it is, or from the home on (`%h`) where it lies in there.
///
/// # Errors
/// One sentence: it lies where no unit can or should start it.
pub(super) fn in_units(program: &Path, folders: &Folders) -> Result<String, String> {
    // In units it is the account's home, whatever the environment says.
    let account = user_database::user(folders.user).ok().flatten().map(|known| known.home);
    let is_home = account.as_deref() == Some(&folders.home) && apart::answers(&folders.home);
    // /home may be a link.
    let real = std::fs::canonicalize(&folders.home).unwrap_or_else(|_| folders.home.clone());
    carried(program, &real, is_home)
}

/// `home`: the user's; `is_accounts`: the manager knows it by the same path.
fn carried(program: &Path, home: &Path, is_accounts: bool) -> Result<String, String> {
    let inside = program.strip_prefix(home).ok();
    if inside.is_none() && FLEETING.iter().any(|folder| program.starts_with(folder)) {
        return Err(format!(
            "{} lies where files are deleted by others after a while, and the units would start nothing then: move the program to ~/.local/bin, and set up from there",
            escaped(program)
        ));
    }
    let (head, rest) = match inside {
        Some(inside) if is_accounts => ("%h/", inside),
        Some(_) | None => ("", program),
    };
    let is_plain = |rest: &&str| rest.chars().all(|c| c.is_alphanumeric() || "/._+-@:,=~".contains(c));
    let rest = rest.to_str().filter(is_plain).ok_or_else(|| {
        format!(
            "{} cannot stand in a unit: it has a blank, a %, a quote or the like in it; move the program to ~/.local/bin, and set up from there",
            escaped(program)
        )
    })?;
    Ok(format!("{head}{rest}"))
}

/// Why the program may be gone one day.
pub(super) fn warning(program: &Path) -> Option<String> {
    let folder = program.parent()?.file_name()?;
    let why = if folder == "debug" || folder == "release" {
        "looks like the result of a build, which `cargo clean` or the next build takes away: `cargo install` puts the program into a place of its own"
    } else if program.starts_with("/nix/store") {
        "is what nix collects as garbage one day: its module for home-manager has units that are kept"
    } else {
        return None;
    };
    Some(format!("Beware: {} {why}.", escaped(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_what_it_can_carry() {
        let ann = Path::new("/home/ann");
        let of = |program: &str, is_accounts| carried(Path::new(program), ann, is_accounts).ok();
        for (program, named) in [
            ("/home/ann/.cargo/bin/tmux-janitor", Some("%h/.cargo/bin/tmux-janitor")),
            ("/opt/x_1.2/tmux-janitor", Some("/opt/x_1.2/tmux-janitor")),
            ("/home/anna/tmux-janitor", Some("/home/anna/tmux-janitor")),
            ("/home/ann/my bin/tmux-janitor", None),
            ("/opt/100%/tmux-janitor", None),
            ("/opt/a\"b/tmux-janitor", None),
            ("/opt/$HOME/tmux-janitor", None),
            ("/tmp/tmux-janitor", None),
            ("/var/tmp/x/tmux-janitor", None),
        ] {
            assert_eq!(of(program, true).as_deref(), named, "{program}");
        }
        assert_eq!(of("/home/ann/bin/x", false).as_deref(), Some("/home/ann/bin/x"));
        // A whole home that lies there stands and falls with it; a blank in it is the manager's.
        let carried =
            |home: &str, is_accounts| carried(&Path::new(home).join("x"), Path::new(home), is_accounts);
        assert_eq!(carried("/tmp/home", false).as_deref(), Ok("/tmp/home/x"));
        assert_eq!(carried("/home/a b", true).as_deref(), Ok("%h/x"));
        assert!(carried("/home/a b", false).is_err());
    }

    #[test]
    fn what_a_build_left_is_said_to_go() {
        let warns = |program: &str| warning(Path::new(program)).is_some();
        assert!(warns("/src/target/release/tmux-janitor") && warns("/nix/store/x/bin/tmux-janitor"));
        assert!(!warns("/home/ann/.cargo/bin/tmux-janitor"));
    }
}
