//! The flake and the module for home-manager, evaluated. There is no nixpkgs to build with here: tests/machines/packages/evaluate.nix
//! has the few functions of it that they call, and refuses all others.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::REPOSITORY;
use super::built::{copy_programs, here, run};
use super::files::installed;
use crate::units::scene::lines;

#[test]
fn the_flake_and_its_module_evaluate() {
    if !here(&["nix-instantiate"]) {
        return;
    }
    let package = &evaluate("package");
    assert_eq!(package["pname"], "tmux-janitor");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(package["src"], REPOSITORY);
    let out = built(package["postInstall"].as_str().expect("a script"));

    assert_eq!(names(&evaluate("module { }")), BTreeSet::new(), "it does nothing unasked");
    let sweep = [
        "systemd/user/default.target.wants/tmux-janitor.service",
        "systemd/user/timers.target.wants/tmux-janitor.timer",
        "systemd/user/tmux-janitor.service",
        "systemd/user/tmux-janitor.timer",
    ];
    assert_eq!(names(&evaluate("module { enable = true; }")), sweep.map(str::to_owned).into());

    let all = evaluate(
        "module { enable = true; watch = true; userNamespaces = false; settings.keep = [ \"a\" ]; }",
    );
    let more = [
        "systemd/user/default.target.wants/tmux-janitor-watch.service",
        "systemd/user/tmux-janitor-watch.service",
        "systemd/user/tmux-janitor.service.d/no-user-namespaces.conf",
        "tmux-janitor/config.toml",
    ];
    assert_eq!(names(&all), sweep.into_iter().chain(more).map(str::to_owned).collect());
    assert_eq!(all["tmux-janitor/config.toml"]["source"]["keep"][0], "a");
    links_are_of_files_and_targets_that_are_there(&all, out.path());
}

#[test]
fn the_lock_holds_what_the_flake_asks_for() {
    if !here(&["nix"]) {
        return;
    }
    let room = tempfile::tempdir().expect("a temporary folder can be made");
    let flake = room.path().join("flake");
    std::fs::create_dir(&flake).expect("a folder can be made");
    for name in ["flake.nix", "flake.lock"] {
        std::fs::copy(Path::new(REPOSITORY).join("packaging/nix").join(name), flake.join(name))
            .expect("it is there");
    }
    // What the lock does not answer nix would ask the network for, and write into it.
    let printed = run(Command::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "--offline", "--store"])
        .arg(room.path().join("store"))
        .args(["flake", "metadata", "--json", "--no-update-lock-file"])
        .arg(format!("path:{}", flake.display()))
        .env("HOME", room.path()));
    let about: Value = serde_json::from_str(&printed).expect("it prints JSON");
    let nixpkgs = &about["locks"]["nodes"]["nixpkgs"];
    // What it is asked is where it leads, and nix has not looked there.
    for what in ["type", "owner", "repo"] {
        assert_eq!(nixpkgs["locked"][what], nixpkgs["original"][what], "{nixpkgs:#}");
    }
    for what in ["rev", "narHash", "lastModified"] {
        assert!(!nixpkgs["locked"][what].is_null(), "no {what}: {nixpkgs:#}");
    }
}

#[test]
fn the_module_for_nixos_evaluates() {
    if !here(&["nix-instantiate"]) {
        return;
    }
    assert_eq!(evaluate("nixos { }"), serde_json::json!({}), "it does nothing unasked");
    let system = evaluate("nixos { enable = true; settings.keep = [ \"a\" ]; }");
    assert_eq!(system["systemd"]["packages"][0], "/nix/store/tmux-janitor");
    assert_eq!(system["environment"]["etc"]["tmux-janitor/config.toml"]["source"]["keep"][0], "a");
    assert_eq!(system["systemd"]["user"]["timers"]["tmux-janitor"], serde_json::json!({}));
    let users = evaluate("nixos { enable = true; users = true; watch = true; }");
    assert_eq!(users["systemd"]["timers"]["tmux-janitor"], serde_json::json!({}));
    // Each unit hangs where its own [Install] section says.
    for (set, manager, folder) in
        [(&system["systemd"], "system", "system"), (&users["systemd"]["user"], "user", "user")]
    {
        let mut hung = vec![];
        for (kind, suffix) in [("timers", "timer"), ("services", "service")] {
            for (name, about) in set[kind].as_object().expect("an attribute set") {
                let unit = Path::new(REPOSITORY).join(format!("systemd/{folder}/{name}.{suffix}"));
                let unit = std::fs::read_to_string(&unit).unwrap_or_else(|error| panic!("{name}: {error}"));
                let target = about["wantedBy"][0].as_str().expect("a target");
                assert!(unit.contains(&format!("\nWantedBy={target}\n")), "{manager} {name}");
                hung.push(name.clone());
            }
        }
        assert!(hung.len() >= 2, "{manager}: {hung:?}");
    }
}

/// Runs what the package does after cargo, and tells where it installed.
#[track_caller]
fn built(script: &str) -> tempfile::TempDir {
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let top = tempfile::tempdir().expect("a temporary folder can be made");
    let program = out.path().join("bin/tmux-janitor");
    copy_programs(&out.path().join("bin"));
    run(Command::new("bash")
        .args(["-euc", script])
        .current_dir(REPOSITORY)
        .env("out", out.path())
        .env("NIX_BUILD_TOP", top.path()));

    let listed = run(Command::new("find").arg(out.path()).args(["-type", "f", "-printf", "/usr/%P\n"]));
    let installed = installed();
    assert_eq!(lines(&listed), installed.keys().cloned().collect());
    let unit =
        std::fs::read_to_string(out.path().join("lib/systemd/user/tmux-janitor.service")).expect("a unit");
    assert!(unit.contains(&format!("\nExecStart={} sweep\n", program.display())), "{unit}");
    out
}

/// Each link leads to a file that is installed, and each unit hangs where its `[Install]` section says.
#[track_caller]
fn links_are_of_files_and_targets_that_are_there(linked: &Value, out: &Path) {
    for (name, about) in linked.as_object().expect("an attribute set") {
        let Some(source) = about["source"].as_str() else { continue };
        let source = source.strip_prefix("/nix/store/tmux-janitor/").expect("it lies in the package");
        let unit = std::fs::read_to_string(out.join(source));
        let unit = unit.unwrap_or_else(|error| panic!("{name} leads to {source}: {error}"));
        if let Some((target, _)) = name.trim_start_matches("systemd/user/").split_once(".wants/") {
            assert!(unit.contains(&format!("\nWantedBy={target}\n")), "{name}");
        }
    }
}

fn names(linked: &Value) -> BTreeSet<String> {
    linked.as_object().expect("an attribute set").keys().cloned().collect()
}

#[track_caller]
fn evaluate(expression: &str) -> Value {
    let file = Path::new(REPOSITORY).join("tests/machines/packages/evaluate.nix");
    let expression = format!("(import {}).{expression}", file.display());
    let state = tempfile::tempdir().expect("a temporary folder can be made");
    let printed = run(Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--store", "dummy://", "--expr", &expression])
        .env("HOME", state.path()));
    serde_json::from_str(&printed).expect("it prints JSON")
}
