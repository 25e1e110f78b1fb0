//! What the sources and the papers around them promise of themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod layers;
mod messages;
mod sentences;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where `unsafe` may stand. Each of these files says why, and CONTRIBUTING.md names them.
const UNSAFE: [&str; 5] = [
    "crates/sockets/src/kernel/lease.rs",
    "crates/sockets/src/kernel/pidfd_info.rs",
    "crates/sockets/src/kernel/unstopped.rs",
    "src/host/inherited.rs",
    "src/watch/readiness.rs",
];

/// How many lines a file of Rust may have.
const MOST_LINES: usize = 400;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a folder of the repository, by their paths from its root.
fn files(folder: &str, is_wanted: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if is_wanted(&path) {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn no_file_is_longer_than_one_reads_at_once() {
    let is_source = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let sources = ["src", "crates", "tests"].iter().flat_map(|folder| files(folder, &is_source));
    let lines = sources.map(|path| (text(&path).lines().count(), path));
    let too_long: Vec<_> = lines.filter(|(lines, _)| *lines > MOST_LINES).collect();
    assert!(too_long.is_empty(), "split along what a module hides: {too_long:?}");
}

#[test]
fn unsafe_stands_in_a_few_files_that_say_why() {
    let is_source = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let folders = ["src", "crates", "tests", "benches", "fuzz"];
    let sources = folders.iter().flat_map(|folder| files(folder, &is_source));
    let mut found = BTreeSet::new();
    for path in sources.filter(|path| path != file!()) {
        let code = text(&path);
        let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        if lines.any(|line| line.contains("unsafe ") || line.contains("unsafe_code")) {
            assert!(code.contains("#![expect(unsafe_code, reason = \""), "{path} does not say why");
            found.insert(path);
        }
    }
    assert_eq!(found, BTreeSet::from(UNSAFE.map(str::to_owned)));
    let contributing = text("CONTRIBUTING.md");
    for path in UNSAFE {
        assert!(contributing.contains(&format!("`{path}`")), "CONTRIBUTING.md does not name {path}");
    }
}

/// The oldest Rust that is promised does not compile it, and a newer one has no lint for that.
#[test]
fn no_condition_joins_a_let_to_others() {
    let is_source = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let folders = ["src", "crates", "tests", "benches", "fuzz"];
    for path in folders.iter().flat_map(|folder| files(folder, &is_source)).filter(|path| path != file!()) {
        let code = text(&path);
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let is_let =
                ["if let ", "while let ", "} else if let "].iter().any(|word| pair[0].starts_with(word));
            let goes_on = is_let && !pair[0].ends_with('{') && pair[1].starts_with("&& ");
            assert!(!goes_on && !pair[0].contains("&& let "), "{path}: {}", pair[0]);
        }
    }
}

/// A tag can be moved to other code at any time.
#[test]
fn an_action_of_somebody_else_is_pinned_by_its_commit() {
    let workflows = files(".github/workflows", &|_| true);
    assert!(workflows.len() >= 2, "{workflows:?}");
    for path in workflows {
        let workflow = text(&path);
        let uses = workflow
            .lines()
            .filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses:"));
        for action in uses {
            let commit = action.split(['@', ' ']).find(|word| word.len() == 40);
            let is_pinned = commit.is_some_and(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(is_pinned, "{path}: {action}");
        }
    }
}

/// The newest version that has a date: that of Cargo.toml, and of the same day for everybody.
/// Who does not know it has twenty seconds.
#[test]
fn the_first_page_is_short() {
    let lines = text("README.md").lines().count();
    assert!(lines < 120, "README.md has {lines} lines; what is more belongs into docs/");
}

#[test]
fn each_list_of_changes_begins_with_this_version_and_its_day() {
    let version = env!("CARGO_PKG_VERSION");
    let changes = text("CHANGELOG.md");
    let mut headings = changes.lines().filter_map(|line| line.strip_prefix("## "));
    let newest = headings.find(|heading| *heading != "Unreleased").expect("there is a version");
    let date = newest.strip_prefix(&format!("{version} (")).and_then(|rest| rest.strip_suffix(')'));
    let [year, month, day] = date.expect(newest).split('-').collect::<Vec<_>>()[..] else {
        panic!("{newest}")
    };
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let month = months.split(' ').nth(month.parse::<usize>().unwrap() - 1).unwrap();
    let debian = text("packaging/deb/changelog");
    let signed = debian.lines().find(|line| line.starts_with(" -- ")).unwrap();
    assert!(signed.contains(&format!(", {day} {month} {year} ")), "{newest}: {signed}");
    let recipe = text("packaging/rpm/tmux-janitor.spec");
    let entry = recipe.lines().skip_while(|line| *line != "%changelog").nth(1).unwrap();
    assert!(entry.contains(&format!(" {month} {day} {year} ")), "{newest}: {entry}");
    assert!(entry.ends_with(&format!(" - {version}-1")), "{newest}: {entry}");
}

/// Whoever reports something wrong is asked for what it is found out with, and told what of it is private.
#[test]
fn a_report_is_asked_for_what_is_known_of_the_machine() {
    let form = text(".github/ISSUE_TEMPLATE/bug.yml");
    for part in ["tmux-janitor doctor --json", "tmux-janitor --version", "Private in it"] {
        assert!(form.contains(part), "it does not ask for {part}");
    }
}
