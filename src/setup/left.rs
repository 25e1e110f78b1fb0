//! What is left to do, which only the user can, or root.

use super::Scene;
use super::manager::State;
use crate::host::apart;
use crate::host::child::{self, End};
use crate::host::lasting;
use crate::host::program;
use crate::host::user_database;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tmux_sockets::kernel::escape::{escaped, shell_word};

/// How long a program may take to say where it looks.
const DEADLINE: Duration = Duration::from_secs(5);

/// A sentence each. `now`: the timer was to be started.
pub(super) fn to_do(scene: &Scene, now: bool, program: &Path) -> Vec<String> {
    let mut left = Vec::new();
    if scene.packaged.is_none() {
        left.extend(readers(scene));
        left.extend(not_in_path(program));
    }
    let state = scene.manager.state;
    if state == State::Asleep {
        left.push("systemd does not run here: what is enabled holds from the next boot on.".to_owned());
    }
    if matches!(state, State::Asleep | State::Missing) {
        left.push(format!(
            "Without systemd this line in `crontab -e` sweeps every 10 minutes: */10 * * * * {} sweep -q",
            shell_word(program)
        ));
        return left;
    }
    if scene.packaged.is_none() {
        left.push(
            "The message catalog is left out: only root can add to it, so `journalctl -x` has no explanations to show."
                .to_owned(),
        );
    }
    if !now && !scene.manager.timer_is_on() {
        left.push("To start the timer: systemctl --user enable --now tmux-janitor.timer".to_owned());
    }
    if state == State::Silent {
        left.push(
            "Your user manager does not run, or cannot be reached from here: in a shell of su or sudo the environment of a login is missing (XDG_RUNTIME_DIR). Log in, or `machinectl shell NAME@`."
                .to_owned(),
        );
    }
    let name = user_database::user(scene.folders.user).ok().flatten().map(|known| known.name);
    if !name.is_some_and(|name| lasting::lingers(&name)) {
        left.push(
            "Your user manager starts when you log in; to have it started at boot: loginctl enable-linger"
                .to_owned(),
        );
    }
    left
}

fn not_in_path(program: &Path) -> Option<String> {
    let folder = program.parent()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_it = |known: PathBuf| {
        known == folder
            || (apart::answers(&known) && std::fs::canonicalize(known).is_ok_and(|real| real == folder))
    };
    (!std::env::split_paths(&path).any(is_it)).then(|| {
        format!(
            "{} is not in your PATH: call the program by its full name or add the folder.",
            escaped(folder)
        )
    })
}

/// man and zsh, where they are and do not look where the files are.
fn readers(scene: &Scene) -> Vec<String> {
    let man = &scene.folders.man;
    let functions = scene.folders.completions.join("zsh/site-functions");
    let looks_in = |folders: &str, between: char, folder: &Path| {
        folders.split(between).any(|known| Path::new(known.trim_end()) == folder)
    };
    let mut left = Vec::new();
    if said(&["manpath", "-q"]).is_some_and(|folders| !looks_in(&folders, ':', man)) {
        left.push(format!(
            "man does not look into {0} by itself: in ~/.profile: export MANPATH={0}: (with the colon at its end)",
            shell_word(man)
        ));
    }
    let fpath = said(&["zsh", "-fc", "print -rl -- $fpath"]);
    if fpath.is_some_and(|folders| !looks_in(&folders, '\n', &functions)) {
        left.push(format!(
            "zsh does not look into {0} by itself: in ~/.zshrc, before compinit: fpath+=({0})",
            shell_word(&functions)
        ));
    }
    left
}

/// What a program says; `None`: it is not there, or does not say it.
fn said(words: &[&str]) -> Option<String> {
    let mut command = program::named(words[0].as_ref());
    let ended = child::run(command.args(&words[1..]), DEADLINE).ok()?;
    (ended.end == End::Code(0)).then(|| String::from_utf8_lossy(&ended.out).into_owned())
}
