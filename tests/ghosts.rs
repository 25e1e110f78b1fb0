//! Ghosts: live servers whose socket was deleted or replaced, found and rescued. Real tmux.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod common;

use common::arena::{self, Arena};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use tmux_janitor::config::Settings;
use tmux_janitor::ghost::{self, Ghost, Scope};
use tmux_janitor::outcome::Outcome;
use tmux_janitor::socket::sight::Witness;
use tmux_janitor::sweep::Target;

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

fn ghosts(dir: &Path) -> Vec<Ghost> {
    let mut witness = Witness::new(user());
    witness.refresh();
    ghost::find(user(), &mut witness, &Scope::new(&[Target::whole(dir.to_owned())], false))
}

fn rescue(ghost: &Ghost) -> Outcome {
    ghost::rescue(&Settings::default(), user(), &mut Witness::new(user()), ghost).outcome
}

#[test]
fn a_deleted_socket_is_given_back_to_the_same_server() {
    let arena = Arena::new().live("a").live("b");
    assert_eq!(ghosts(arena.dir()), []);
    fs::remove_file(arena.path("a")).unwrap();
    let found = ghosts(arena.dir());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].pid, &found[0].path), (Some(arena.server("a").pid), &arena.path("a")));
    assert_eq!(rescue(&found[0]), Outcome::Rescued);
    assert_eq!(ghosts(arena.dir()), []);
    arena.assert_reachable("a");
    assert_eq!(arena.names(), ["a", "b"], "nothing else is left behind");
}

#[test]
fn a_whole_directory_is_made_anew() {
    let arena = Arena::new();
    let dir = arena.path(format!("tmux-{}", user()));
    fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    let servers = ["a", "b"].map(|label| arena::start(&dir.join(label)));
    fs::remove_dir_all(&dir).unwrap();
    let found = ghosts(&dir);
    assert_eq!(
        found.iter().map(|ghost| ghost.pid.unwrap()).collect::<Vec<_>>(),
        [servers[0].pid, servers[1].pid]
    );
    for ghost in &found {
        assert_eq!(rescue(ghost), Outcome::Rescued);
    }
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(arena::pid_of(&dir.join("b")), servers[1].pid);
}
