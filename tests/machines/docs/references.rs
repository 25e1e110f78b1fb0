//! That the references leave nothing out: every key, every journal entry, every reason.

use super::{REPOSITORY, none, pages};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tmux_sockets::judge::{Anchor, Bar, Blindness, Plight, Reason, Standing};
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::Uid;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(REPOSITORY).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Keys of a table with their values as TOML writes them, those of a table in it with its name before them.
fn keys(table: &toml::Table, prefix: &str, found: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => keys(inner, &format!("{prefix}{key}."), found),
            value => drop(found.insert(format!("{prefix}{key}"), value.clone())),
        }
    }
}

/// The keys that the program reads: the fields of its structure `File` and of the structures in it.
fn keys_in_force() -> BTreeSet<String> {
    let source = read("src/config/file.rs");
    let fields = |name: &str| -> Option<Vec<(String, String)>> {
        let (_, body) = source.split_once(&format!("struct {name} {{\n"))?;
        let body = body.split("\n}").next().expect("it ends");
        let fields = body.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
        Some(fields.map(|(key, kind)| (key.replace('_', "-"), kind.to_owned())).collect())
    };
    let mut found = BTreeSet::new();
    for (key, kind) in fields("File").expect("the structure is there") {
        match fields(&kind) {
            Some(inner) => found.extend(inner.into_iter().map(|(name, _)| format!("{key}.{name}"))),
            None => drop(found.insert(key)),
        }
    }
    found
}

#[test]
fn the_configuration_reference_has_every_key_with_its_default() {
    let mut sample = BTreeMap::new();
    keys(&read("packaging/config.toml").parse().expect("the sample is TOML"), "", &mut sample);
    assert_eq!(keys_in_force(), sample.keys().cloned().collect(), "the sample has every key");
    let mut told = BTreeMap::new();
    for line in read("docs/configuration.md").lines() {
        let Some(code) = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')) else { continue };
        let (key, value) = code.split_once(" = ").unwrap_or_else(|| panic!("{line:?} has no default"));
        let value: toml::Table = format!("x = {value}").parse().expect("the default is TOML");
        told.insert(key.to_owned(), value["x"].clone());
    }
    assert_eq!(told, sample);
}

/// Where the record of what was done lies.
#[test]
fn the_pages_have_the_place_of_the_record() {
    let source = read("src/record/mod.rs");
    let value = |name: &str| {
        let (_, value) = source.split_once(&format!("const {name}: &str = \"")).expect("it is there");
        value.split('"').next().expect("it ends").to_owned()
    };
    let folder = format!("/tmp/tmux-UID/{}", value("NAME"));
    let page = read("packaging/man/tmux-janitor.1").replace('\\', "");
    assert!(page.contains(&format!(".I {folder}/{}\n", value("FILE"))), "{folder}");
    assert!(read("docs/uninstall.md").contains(&format!("`{folder}`")), "{folder}");
}

/// The names and message ids of the events.
fn events() -> BTreeMap<String, String> {
    let source = read("src/logging.rs");
    let constants = source.lines().filter_map(|line| line.split_once(" const ")?.1.split_once(": &str = \""));
    let is_id = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    constants
        .map(|(name, value)| (value.trim_end_matches("\";").to_owned(), name.to_owned()))
        .filter(|(value, _)| is_id(value))
        .collect()
}

/// Each event has a command that selects it, which the tests run, and each such command an event.
#[test]
fn the_operations_page_has_every_journal_entry() {
    let events = events();
    let catalog = read("packaging/catalog/tmux-janitor.catalog");
    let explained: BTreeSet<&str> =
        catalog.lines().filter_map(|line| line.strip_prefix("-- ")).map(str::trim).collect();
    assert_eq!(explained, events.keys().map(String::as_str).collect(), "the catalog has every event");
    let pages = pages();
    let page = pages.iter().find(|page| page.name == "docs/operations.md").expect("the page is there");
    let commands: Vec<&str> = page
        .blocks
        .iter()
        .filter(|block| block.language == "console")
        .flat_map(|block| block.text.lines())
        .filter(|line| line.starts_with("$ journalctl"))
        .collect();
    let selected: BTreeSet<&str> =
        commands.iter().filter_map(|line| line.split_once("MESSAGE_ID=")?.1.get(..32)).collect();
    let missing: Vec<_> = events.iter().filter(|(id, _)| !selected.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "no command selects {missing:?}");
    assert_eq!(selected, events.keys().map(String::as_str).collect());
}

/// One of each; what is filled in is recognised.
fn reasons() -> Vec<Reason> {
    use rustix::io::Errno;
    let blind = [
        Blindness::TableUnreadable(Errno::PERM),
        Blindness::TableRefused(Errno::PERM),
        Blindness::TableTorn,
        Blindness::CanaryMissing,
        Blindness::ServersMissing(Pid::new(NUMBER)),
        Blindness::OtherNetwork(Anchor::User),
        Blindness::ManagerHidden,
        Blindness::FromOutside,
    ];
    let mut reasons = vec![
        Reason::Listening,
        Reason::ListeningElsewhere,
        Reason::Answers,
        Reason::BacklogFull,
        Reason::LockHeld,
        Reason::NobodyListens,
        Reason::OtherUser(Uid::new(NUMBER.unsigned_abs())),
        Reason::FileSystem(0x6969),
        Reason::FileSystem(u64::from(NUMBER.unsigned_abs())),
        Reason::BoundOnly,
        Reason::Twin,
        Reason::Datagram,
        Reason::ConnectSaysNothing(Errno::PERM),
        Reason::Unreadable(Errno::PERM),
        Reason::NotASocket(rustix::fs::FileType::RegularFile),
        Reason::Quarantine,
        Reason::OrphanedLock,
        Reason::KeptLabel,
        Reason::TooYoung,
        Reason::Ghost(Plight { pid: None, standing: Standing::Nothing, bar: Some(Bar::Hidden) }),
        Reason::Ghost(Plight { pid: None, standing: Standing::Nothing, bar: Some(Bar::Unseen) }),
        Reason::NotReached,
        Reason::NoSuchSocket,
    ];
    reasons.extend(blind.map(Reason::Blind));
    reasons
}

const NUMBER: i32 = 424_242;

/// The variants of an enumeration in the source.
fn variants(name: &str) -> BTreeSet<String> {
    let source = read("crates/sockets/src/judge/verdict.rs");
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).expect("the enumeration is there");
    let body = body.split("\n}").next().expect("it ends");
    let lines =
        body.lines().map(str::trim).filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    lines.map(|line| line.split(['(', ',']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn how_it_decides_has_every_reason_in_its_own_words() {
    let name = |text: String| text.split('(').next().unwrap_or_default().to_owned();
    let reasons = reasons();
    assert_eq!(
        reasons.iter().map(|reason| name(format!("{reason:?}"))).collect::<BTreeSet<_>>(),
        variants("Reason")
    );
    let blind = |reason: &Reason| match reason {
        Reason::Blind(why) => Some(name(format!("{why:?}"))),
        _ => None,
    };
    assert_eq!(reasons.iter().filter_map(blind).collect::<BTreeSet<_>>(), variants("Blindness"));

    let page = read("docs/how-it-decides.md");
    let mut wrong = vec![];
    for reason in reasons {
        // What another process said is one of the others; of a ghost the first words.
        let sentence = match reason {
            Reason::Ghost(_) => reason.to_string().split(';').next().unwrap_or_default().to_owned(),
            _ => reason.to_string(),
        };
        let sentence = sentence
            .replace("the kernel's socket table cannot be trusted here: ", "")
            .replace(&format!("{NUMBER:#x}"), "N")
            .replace(&NUMBER.to_string(), "N")
            .replace(&tmux_sockets::kernel::text::errno_text(rustix::io::Errno::PERM), "ERROR")
            .replace("a regular file", "KIND");
        if !page.contains(&format!("`{sentence}")) {
            wrong.push(sentence);
        }
    }
    none(&wrong);
}
