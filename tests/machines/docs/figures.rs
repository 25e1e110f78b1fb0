//! That a figure which was measured stands on the page that the benchmarks write, and one that is a limit in the source.

use super::{REPOSITORY, none};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What makes a number a measure.
const UNITS: [&str; 17] = [
    "×", "%", "ms", "µs", "s", "MB", "kB", "GB", "MiB", "KiB", "GiB", "times", "seconds", "minutes", "min",
    "second", "minute",
];

/// Pages of what tests have found, each with the command that finds it again.
const FOUND_BY_TESTS: [&str; 2] = ["docs/testing.md", "docs/protocol.md"];

/// Races that `cargo test --test crowds race:: -- --nocapture` counts; they stand on this page, and on others as they stand there.
const RACES: &str = "docs/comparison.md";

/// Limits that the program has: the page, the figure, and where in the source it stands.
const LIMITS: &[(&str, &str, &str, &str)] = &[
    ("docs/audit.md", "1 MiB", "crates/audit/src/source.rs", "const LONGEST: u64 = 1024 * 1024;"),
    ("docs/comparison.md", "10 minutes", "systemd/user/tmux-janitor.timer", "OnUnitActiveSec=10min"),
    ("docs/configuration.md", "10min", "src/config/mod.rs", "rescan: Some(Duration::from_secs(600))"),
    ("docs/configuration.md", "30s", "src/config/span.rs", "systemd.time(7)"),
    ("docs/configuration.md", "1 MiB", "src/host/read.rs", "const LONGEST: u64 = 1 << 20;"),
    ("docs/configuration.md", "0s", "src/config/mod.rs", "min_age: Duration::ZERO"),
    ("docs/configuration.md", "250ms", "src/config/mod.rs", "settle: Duration::from_millis(250)"),
    ("docs/configuration.md", "400ms", "src/config/mod.rs", "verify_delay: Duration::from_millis(400)"),
    ("docs/events.md", "256 KiB", "src/watch/line_writer.rs", "const MOST: usize = 256 * 1024;"),
    // The kernel's own (pipe(7)).
    ("docs/events.md", "64 KiB", "docs/events.md", "unless you chose another size"),
    ("docs/how-it-decides.md", "8 s", "src/users/mod.rs", "const SWEEP: Duration = Duration::from_secs(8)"),
    ("docs/operations.md", "256 KiB", "src/logging/queue.rs", "const MOST: usize = 256 * 1024;"),
    ("docs/spawning.md", "2 s", "src/host/client.rs", "const DEADLINE: Duration = Duration::from_secs(2)"),
    ("docs/spawning.md", "20 s", "src/spawn/create.rs", "const MOST_WAITS: u32 = 10;"),
    ("docs/spawning.md", "250 ms", "src/config/mod.rs", "settle: Duration::from_millis(250)"),
    (
        "docs/spawning.md",
        "10 s",
        "src/spawn/manager.rs",
        "(Duration::from_secs(10), Duration::from_secs(60))",
    ),
    // tmux's own.
    ("docs/spawning.md", "16 KiB", "docs/spawning.md", "`command too long`"),
    (
        "docs/threat-model.md",
        "10 s",
        "src/users/crew.rs",
        "const DEADLINE: Duration = Duration::from_secs(10)",
    ),
    ("docs/threat-model.md", "1 s", "src/users/crew.rs", "const DEATH: Duration = Duration::from_secs(1)"),
    ("docs/threat-model.md", "16 MiB", "src/users/crew.rs", "const LONGEST: usize = 16 << 20;"),
    ("docs/threat-model.md", "512 MiB", "src/users/worker.rs", "const MOST_MEMORY: u64 = 512 << 20;"),
    (
        "docs/threat-model.md",
        "40 s",
        "src/users/crew.rs",
        "const LAST_START: Duration = Duration::from_secs(40)",
    ),
    (
        "docs/threat-model.md",
        "15 s",
        "src/users/queue.rs",
        "const COURTESY: Duration = Duration::from_secs(15)",
    ),
    (
        "docs/threat-model.md",
        "20 s",
        "src/users/find.rs",
        "const DEADLINE: Duration = Duration::from_secs(20)",
    ),
    ("docs/threat-model.md", "1 MiB", "src/host/read.rs", "const LONGEST: u64 = 1 << 20;"),
    (
        "docs/threat-model.md",
        "5 s",
        "src/users/accounts.rs",
        "const PATIENCE: Duration = Duration::from_secs(5)",
    ),
    (
        "docs/threat-model.md",
        "2 s",
        "src/host/apart/send.rs",
        "const PATIENCE: Duration = Duration::from_secs(2)",
    ),
    ("docs/watch.md", "3 s", "src/watch/causes.rs", "const PATIENCE: Duration = Duration::from_secs(3);"),
    ("docs/watch.md", "10 minutes", "src/config/mod.rs", "rescan: Some(Duration::from_secs(600))"),
    (
        "docs/watch.md",
        "50 ms",
        "src/watch/schedule.rs",
        "const EMPTIED: Duration = Duration::from_millis(50)",
    ),
    ("docs/watch.md", "256 KiB", "src/watch/line_writer.rs", "const MOST: usize = 256 * 1024;"),
    (
        "docs/watch.md",
        "100 ms",
        "src/logging/journald.rs",
        "const PATIENCE: Duration = Duration::from_millis(100)",
    ),
];

/// The figures in a line: a number with a unit, and `N of M`.
fn figures(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(|character: char| character.is_ascii_digit()) {
        let is_part =
            rest[..at].ends_with(|before: char| before.is_alphanumeric() || "._-,".contains(before));
        let (number, after) = number(&rest[at..]);
        if !is_part {
            let unit = after.trim_start_matches(' ');
            let gap = after.len() - unit.len();
            let word: String = unit.chars().take_while(|next| next.is_alphanumeric()).collect();
            let word = if word.is_empty() { unit.chars().take(1).collect() } else { word };
            if gap < 2 && UNITS.contains(&&*word) {
                found.push(format!("{number}{}{word}", " ".repeat(gap)));
            } else if let Some(of) =
                after.strip_prefix(" of ").filter(|of| of.starts_with(|next: char| next.is_ascii_digit()))
            {
                found.push(format!("{number} of {}", self::number(of).0));
            }
        }
        rest = after;
    }
    found
}

/// The number that a text begins with, and the rest.
fn number(text: &str) -> (&str, &str) {
    let end =
        text.find(|next: char| !next.is_ascii_digit() && next != ',' && next != '.').unwrap_or(text.len());
    let number = text[..end].trim_end_matches([',', '.']);
    (number, &text[number.len()..])
}

/// The lines of a page that are no code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().zip(1..).filter_map(move |(line, at)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((at, line))
    })
}

/// What the benchmarks have written, and what was measured by hand and says so.
fn measured() -> BTreeSet<String> {
    let page = fs::read_to_string(Path::new(REPOSITORY).join("docs/benchmarks.md")).expect("it is there");
    let page = page.replace("<!-- by hand: ", "<!-- measured: ");
    let parts = page.split("<!-- measured: ").skip(1).filter_map(|part| part.split_once("<!-- end: "));
    parts.flat_map(|(part, _)| part.lines().flat_map(figures).collect::<Vec<_>>()).collect()
}

#[test]
fn every_figure_is_a_limit_or_was_measured_by_the_benchmarks() {
    let measured = measured();
    assert!(measured.len() > 20, "{measured:?}");
    let read = |name: &str| fs::read_to_string(Path::new(REPOSITORY).join(name)).unwrap_or_default();
    let races: BTreeSet<String> = prose(&read(RACES)).flat_map(|(_, line)| figures(line)).collect();
    let mut wrong = Vec::new();
    let mut used: BTreeSet<&(&str, &str, &str, &str)> = BTreeSet::new();
    for page in super::pages() {
        let name = page.name.as_str();
        if name == "docs/benchmarks.md" || FOUND_BY_TESTS.contains(&name) {
            continue;
        }
        for (at, line) in prose(&read(name)) {
            for figure in figures(line) {
                let limit = LIMITS.iter().find(|(page, limit, ..)| *page == name && *limit == figure);
                used.extend(limit);
                let is_race = (figure.contains(" of ") || (name == RACES && figure.ends_with('%')))
                    && races.contains(&figure);
                if limit.is_none() && !measured.contains(&figure) && !is_race {
                    wrong.push(format!(
                        "{name}:{at}: {figure:?} is neither on docs/benchmarks.md nor a limit that tests/machines/docs/figures.rs knows"
                    ));
                }
            }
        }
    }
    for limit @ (page, figure, source, text) in LIMITS {
        if !used.contains(limit) {
            wrong.push(format!("{figure:?} is not on {page} any more"));
        }
        if !read(source).contains(text) {
            wrong.push(format!("{page} says {figure:?}, and {source} does not say {text:?} any more"));
        }
    }
    none(&wrong);
}

#[test]
fn a_figure_is_recognised() {
    for (line, found) in [
        ("69 × faster than 1,931 others", &["69 ×"][..]),
        ("1.24 ms, 99 % and 2.5 MB; `10min`", &["1.24 ms", "99 %", "2.5 MB", "10min"]),
        ("11 of 936, in this one 0 of 1,102.", &["11 of 936", "0 of 1,102"]),
        ("tmux 3.7c, uid 1000, a 64-bit sort, 3 sockets, x86_64", &[]),
    ] {
        assert_eq!(figures(line), found, "{line}");
    }
}
