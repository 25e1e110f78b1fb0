//! What holds for every input. The modules beside this one are what `fuzz/` searches with, for as long as one lets it;
//! here the inputs that it kept are tried again, and some thousands that differ from them a little. docs/testing.md

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
#![allow(unreachable_pub, reason = "the fuzz targets have these modules, too")]

mod config;
mod escape;
mod label;
mod quarantine;
mod span;
mod wire;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use std::fmt;
use std::path::{Path, PathBuf};

/// Changed inputs for each property.
const CASES: u32 = 20_000;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 6] = [
    ("config", config::check),
    ("escape", escape::check),
    ("label", label::check),
    ("quarantine", quarantine::check),
    ("span", span::check),
    ("wire", wire::check),
];

#[test]
fn every_configuration_is_taken_as_printed_or_refused_with_its_place() {
    holds("config");
}

#[test]
fn every_name_becomes_one_harmless_line() {
    holds("escape");
}

#[test]
fn every_session_has_the_label_that_the_rule_says() {
    holds("label");
}

#[test]
fn every_quarantine_name_leads_back_to_its_label() {
    holds("quarantine");
}

#[test]
fn every_span_is_what_systemd_meant_by_it() {
    holds("span");
}

#[test]
fn every_answer_of_the_kernel_is_read_exactly_or_given_up() {
    holds("wire");
}

#[test]
fn every_fuzz_target_is_tried_here_and_its_corpus_is_small() {
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap()).unwrap();
    let mut targets: Vec<_> =
        manifest["bin"].as_array().unwrap().iter().filter_map(|bin| bin["name"].as_str()).collect();
    targets.sort_unstable();
    assert_eq!(targets, TARGETS.map(|(name, _)| name));
    let bytes: usize = targets.iter().flat_map(|target| corpus(target)).map(|input| input.0.len()).sum();
    assert!(bytes < 100_000, "{bytes} bytes: minimise it with cargo fuzz cmin");
}

/// Replays what was kept, then tries inputs that are near.
fn holds(target: &str) {
    let check = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    let corpus = corpus(target);
    for Input(bytes, path) in &corpus {
        let holds = std::panic::catch_unwind(|| check(bytes)).is_ok();
        assert!(holds, "{} no longer holds", path.display());
    }
    // A failure is printed; to keep it, make it a file of the corpus.
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let near = near(corpus.into_iter().map(|input| input.0).collect());
    TestRunner::new(config)
        .run(&near, |Changed(bytes)| {
            check(&bytes);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

struct Input(Vec<u8>, PathBuf);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn corpus(target: &str) -> Vec<Input> {
    let entries = std::fs::read_dir(fuzz().join("corpus").join(target)).expect("the target has a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort_unstable();
    assert!(!paths.is_empty(), "{target}: nothing was kept");
    paths.into_iter().map(|path| Input(std::fs::read(&path).unwrap(), path)).collect()
}

#[derive(Clone)]
struct Changed(Vec<u8>);

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One change to an input, as fuzzers make them.
#[derive(Debug, Clone)]
enum Edit {
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, usize),
    /// A piece of another input.
    Borrow(Index, Index, Index, usize),
}

fn near(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Changed> {
    let at = any::<Index>;
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at(), 1..16_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (at(), at(), at(), 1..40_usize)
            .prop_map(|(at, other, from, length)| Edit::Borrow(at, other, from, length)),
    ];
    (at(), prop::collection::vec(edit, 0..6)).prop_map(move |(input, edits)| {
        let mut bytes = corpus[input.index(corpus.len())].clone();
        for edit in edits {
            apply(edit, &mut bytes, &corpus);
        }
        Changed(bytes)
    })
}

fn apply(edit: Edit, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    // Behind the end counts as a place.
    let place = |at: Index, bytes: &[u8]| at.index(bytes.len() + 1);
    match edit {
        Edit::Put(at, byte) => {
            let at = place(at, bytes);
            bytes.splice(at..(at + 1).min(bytes.len()), [byte]);
        }
        Edit::Insert(at, new) => {
            let at = place(at, bytes);
            bytes.splice(at..at, new);
        }
        Edit::Cut(at, length) => {
            let at = place(at, bytes);
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Edit::Borrow(at, other, from, length) => {
            let other = &corpus[other.index(corpus.len())];
            let from = place(from, other);
            let piece = &other[from..(from + length).min(other.len())];
            let at = place(at, bytes);
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}
