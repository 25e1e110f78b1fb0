//! The configuration: each mistake has its place, and nothing is done with a wrong one.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, bare, janitor};
use std::fs;

#[test]
fn every_configuration_mistake_is_78_with_its_place() {
    let arena = Arena::new().dead("dead");
    let config = arena.path("config.toml");
    for (text, place) in [
        ("kep = []", ":1:1: kep: "),
        ("keep = \"x\"", ":1:8: keep: "),
        ("keep = [\"[\"]", ":1:9: keep: "),
        ("min-age = \"often\"", ":1:11: min-age: "),
        ("[watch]\nrescan = 5", ":2:10: watch.rescan: "),
        ("[spawn]\nverify-attempts = 0", ":2:19: spawn.verify-attempts: "),
        ("[nonsense]", ":1:2: nonsense: "),
        ("keep = [", ":1:9: keep: "),
    ] {
        fs::write(&config, text).unwrap();
        let expected = format!("{}{place}", config.display());
        for arguments in [&["sweep"][..], &["list"], &["status"], &["probe", "-L", "dead"], &["check-config"]]
        {
            let run = Run::of(janitor(arena.dir()).arg("--config").arg(&config).args(arguments));
            assert_eq!(run.code, Some(78), "{text:?} {arguments:?}: {}", run.stderr);
            assert!(run.stderr.contains(&expected), "{text:?}: {}", run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        }
    }
    assert!(arena.has("dead"), "nothing is done with a wrong configuration");
    let run = Run::of(janitor(arena.dir()).args(["--config", "/nonexistent/x", "sweep"]));
    assert_eq!(run.code, Some(78), "a configuration that was asked for must be there");
}

#[test]
fn a_configuration_that_cannot_be_read_is_never_replaced_by_the_defaults() {
    let arena = Arena::new().dead("dead");
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("tmux-janitor/config.toml");
    // A folder where the file should be: unreadable for root too.
    fs::create_dir_all(&config).unwrap();
    let run = Run::of(janitor(arena.dir()).env("XDG_CONFIG_HOME", home.path()).arg("sweep"));
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert!(arena.has("dead"));
    fs::remove_dir(&config).unwrap();
    fs::write(&config, "keep = [\"dead\"]").unwrap();
    let run = Run::of(janitor(arena.dir()).env("XDG_CONFIG_HOME", home.path()).arg("sweep"));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(arena.has("dead"), "the user's keep list is obeyed");
    let check = Run::of(bare().env("XDG_CONFIG_HOME", home.path()).arg("check-config"));
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), "configuration: ok\n"));
}

#[test]
fn the_shipped_sample_is_valid() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml");
    assert_eq!(Run::of(bare().args(["check-config", sample])).code, Some(0));
}
