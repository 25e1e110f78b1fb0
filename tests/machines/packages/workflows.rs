//! What the workflows do before and after they build, as it stands in them: they themselves run at GitHub only.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::REPOSITORY;
use super::built::{here, run};
use crate::common::skip::skip;

#[test]
fn each_workflow_has_the_source_in_a_folder_that_is_another_users() {
    let Some(commit) = commit() else { return };
    let mut tried = 0;
    for workflow in ["gate", "release"] {
        for script in scripts(workflow).iter().filter(|script| script.contains("git init")) {
            let room = Room::new();
            room.checkout(script, &commit);
            assert!(room.0.path().join("work/Cargo.toml").is_file(), "{workflow}: {script}");
            tried += 1;
        }
    }
    // The jobs of the gate, and the one of a release.
    assert_eq!(tried, 7);
}

#[test]
fn a_release_has_its_source_a_recipe_with_its_sum_and_what_has_changed() {
    let Some(commit) = commit() else { return };
    if !here(&["makepkg"]) {
        return;
    }
    let all = scripts("release");
    let that = |words: &str| all.iter().find(|script| script.contains(words)).expect("it is a step of it");
    let room = Room::new();
    room.checkout(that("git init"), &commit);
    let dist = room.0.path().join("work/dist");
    fs::create_dir(&dist).expect("a folder can be made");
    fs::write(dist.join("tmux-janitor.deb"), "a package").expect("there is room");

    room.run(that("GITHUB_REF_NAME =="));
    let version = fs::read_to_string(room.0.path().join("variables")).expect("it is told to the other steps");
    assert_eq!(version, concat!("version=", env!("CARGO_PKG_VERSION"), "\n"));
    room.run(that("git -C .. archive"));
    let listed = run(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&dist));
    assert_eq!(listed, "");
    let sums = fs::read_to_string(dist.join("SHA256SUMS")).expect("it was just read");
    assert_eq!(sums.lines().count(), 3, "the package, the source, the recipe: {sums}");

    // makepkg's own word, which refuses to be root.
    let asked = Command::new("unshare")
        .args(["--user", "--map-user=65534", "--map-group=65534", "makepkg", "--verifysource", "--nodeps"])
        .current_dir(&dist)
        .env("SRCDEST", &dist)
        .output()
        .expect("unshare is there");
    let said = String::from_utf8_lossy(&asked.stderr) + String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success() && said.contains("Passed") && !said.contains("Skipped"), "{said}");

    room.run(that("notes.md"));
    let notes = fs::read_to_string(room.0.path().join("work/notes.md")).expect("it was just made");
    assert!(notes.contains("\n- ") && !notes.contains("\n## "), "{notes}");
}

/// A folder to work in that is another user's, as GitHub gives it to a container's root, and a home.
struct Room(tempfile::TempDir);

impl Room {
    #[track_caller]
    fn new() -> Self {
        let room = tempfile::tempdir().expect("a temporary folder can be made");
        for folder in ["work", "home"] {
            fs::create_dir(room.path().join(folder)).expect("a folder can be made");
        }
        // The history here may be another user's, too, and git is asked for it.
        let settings = format!("[safe]\n\tdirectory = {REPOSITORY}\n\tdirectory = {REPOSITORY}/.git\n");
        fs::write(room.path().join("home/.gitconfig"), settings).expect("there is room");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(room.path().join("work"), Some(1001), Some(1001)).expect("root may");
        }
        Self(room)
    }

    #[track_caller]
    fn checkout(&self, script: &str, commit: &str) {
        // The server has a folder for each repository.
        let (folder, name) = REPOSITORY.rsplit_once('/').expect("it is absolute");
        run(self
            .bash(script)
            .env("GITHUB_SERVER_URL", format!("file://{folder}"))
            .env("GITHUB_REPOSITORY", name)
            .env("GITHUB_SHA", commit));
    }

    #[track_caller]
    fn run(&self, script: &str) {
        run(self
            .bash(script)
            .env("GITHUB_REF_NAME", concat!("v", env!("CARGO_PKG_VERSION")))
            .env("GITHUB_ENV", self.0.path().join("variables"))
            .env("version", env!("CARGO_PKG_VERSION")));
    }

    /// As GitHub calls it.
    fn bash(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(self.0.path().join("work"))
            .env("HOME", self.0.path().join("home"));
        bash
    }
}

/// The commit that is checked out here; `None`, after a loud skip, in a copy without history.
#[track_caller]
fn commit() -> Option<String> {
    if !Path::new(REPOSITORY).join(".git").exists() {
        skip("not here: the repository's history");
        return None;
    }
    let told = run(Command::new("git")
        .args(["-c", &format!("safe.directory={REPOSITORY}"), "rev-parse", "HEAD"])
        .current_dir(REPOSITORY));
    Some(told.trim().to_owned())
}

/// What the steps of a workflow run.
#[track_caller]
fn scripts(workflow: &str) -> Vec<String> {
    let path = Path::new(REPOSITORY).join(format!(".github/workflows/{workflow}.yml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{workflow}: {error}"));
    let mut scripts = vec![];
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((before, script)) = line.split_once("run: ") else { continue };
        if script != "|" {
            scripts.push(script.to_owned());
            continue;
        }
        let depth = before.replace('-', " ").len();
        let mut script = String::new();
        while let Some(line) =
            lines.next_if(|line| line.trim().is_empty() || line.len() - line.trim_start().len() > depth)
        {
            script += line.get(depth + 2..).unwrap_or_default();
            script.push('\n');
        }
        scripts.push(script);
    }
    assert!(!scripts.is_empty(), "{workflow} has no step");
    scripts
}
