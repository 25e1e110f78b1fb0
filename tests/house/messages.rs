//! What the program says when something is wrong is on a page, and what is there is said.

use super::sentences::{has_words, sentences};
use super::{files, text};
use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = "docs/messages.md";
/// Sources whose sentences are results, or told of on another page.
const ELSEWHERE: [(&str, &str); 15] = [
    ("crates/audit/src/rules/", "docs/audit.md has every rule"),
    ("crates/sockets/src/judge/sentences.rs", "docs/how-it-decides.md has every reason"),
    ("crates/sockets/src/report/counts.rs", "numbers"),
    ("crates/sockets/src/report/outside.rs", "docs/how-it-decides.md has every reason"),
    ("src/cli", "the help"),
    ("src/commands/overview.rs", "a result"),
    ("src/commands/probe.rs", "a result"),
    ("src/doctor", "a finding has its cure with it"),
    ("src/logging/journal.rs", "docs/operations.md has every entry"),
    ("src/record/metrics.rs", "docs/fleet.md has the metrics"),
    ("src/record/open_metrics.rs", "docs/fleet.md has the metrics"),
    ("src/setup/told.rs", "a result"),
    ("src/setup/left.rs", "a result, with what is left to do"),
    ("src/spawn/answer.rs", "what tmux says: docs/errors.md"),
    ("src/view/", "results"),
];

/// Parts of sentences, results, and what is recognised in what other programs say; a line each.
const PARTS: &str = r#"
"{}" is {error}
--description=tmux server, started by tmux-janitor spawn
1 line was
No space left on device
a regular file
a symbolic link
after cleaning {}
after rescuing {}
and {count} more such places
another file
attempt {number}:
can't find
configuration read anew
configuration: ok
dead socket
error connecting
exit code {code}
fork failed
invalid option
it does not answer
it told nothing
its client
its group
looked into {dirs}, which took {:.1?}
makes a session of its own
no error number
nothing found in {}
says `exit-empty off`
server running
spared socket
spawned "{name}" on {socket}{pid}
stale socket
systemctl --user {}: {why}
the server with pid {pid}
this unit
tmux: server
tmux-janitor order
unknown flag
unknown option
{ERASE}{done} of {all} {what} looked at, {removed} removed
{IDENTIFIER}: warning: {missing}
{IDENTIFIER}: {level}{}
{and} pid {} (`{}`)
{count} entries
{count} lines were
{people} of uid {uid}
{why}; {error}
{}: looked at, {} found
{}:{line}:{column}: {rule}: {message}
"#;

/// The sentences of the sources.
fn spoken(is_wanted: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let is_source = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")
    };
    let folders = ["src", "crates/sockets/src", "crates/audit/src", "crates/audit-wire/src"];
    let sources = folders.iter().flat_map(|folder| files(folder, &is_source));
    sources.filter(|path| is_wanted(path)).flat_map(|path| sentences(&text(&path))).collect()
}

/// What of a text of the page is always the same.
fn parts(told: &str) -> Vec<&str> {
    let parts = told.split('…').map(|part| part.trim_matches([' ', '(', ')', '"']));
    parts.filter(|part| has_words(part)).collect()
}

/// The page's texts: what stands between backticks in the first column.
fn texts() -> Vec<String> {
    let page = text(PAGE);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    rows.flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn what_is_said_of_trouble_is_on_the_page() {
    for (path, why) in ELSEWHERE {
        assert!(!spoken(&|source| source.starts_with(path)).is_empty(), "{path} says nothing: {why}");
    }
    let texts = texts();
    let texts: Vec<_> = texts.iter().map(|told| parts(told)).collect();
    let said = spoken(&|path| ELSEWHERE.iter().all(|(place, _)| !path.starts_with(place)));
    let old: Vec<_> = PARTS.lines().filter(|part| !part.is_empty() && !said.contains(*part)).collect();
    assert!(old.is_empty(), "nothing says {old:#?}");
    let missing: Vec<_> = said
        .iter()
        // Those that begin so are the end of another.
        .filter(|sentence| !sentence.starts_with([';', ',', ':', '(', '`']))
        .filter(|sentence| PARTS.lines().all(|part| part != sentence.as_str()))
        .filter(|sentence| {
            let sentence = sentence.replace('`', "");
            !texts.iter().any(|parts| !parts.is_empty() && parts.iter().all(|part| sentence.contains(part)))
        })
        .collect();
    assert!(missing.is_empty(), "{PAGE} has nothing of {missing:#?}");
}

#[test]
fn what_is_on_the_page_is_said() {
    let said: Vec<String> = spoken(&|_| true).iter().map(|sentence| sentence.replace('`', "")).collect();
    let strange: Vec<_> = texts()
        .into_iter()
        .filter(|told| {
            let parts = parts(told);
            let is_said = |sentence: &String| parts.iter().all(|part| sentence.contains(part));
            parts.is_empty() || !said.iter().any(is_said)
        })
        .collect();
    assert!(strange.is_empty(), "nothing says {strange:#?}");
}
