//! What the documentation shows is so: transcripts, scripts, samples, links, and that nothing is left out.
//! CONTRIBUTING.md tells how a block is written.

mod figures;
mod harmless;
mod here;
mod on_a_machine;
mod page;
mod picture;
mod references;
mod schema;
mod site;
mod steps;
mod transcript;

use clap::error::ErrorKind;
use on_a_machine::Installed;
use page::{Block, Order, Page};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Everything that people read.
fn pages() -> Vec<Page> {
    let mut files: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| Path::new(REPOSITORY).join(name)).into();
    let docs = fs::read_dir(Path::new(REPOSITORY).join("docs")).unwrap().map(|entry| entry.unwrap().path());
    files.extend(docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(REPOSITORY).unwrap().to_str().unwrap();
        Page::parse(name, &fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{error}"))
    };
    files.iter().map(read).collect()
}

/// All blocks, with the place of each.
fn blocks(pages: &[Page]) -> impl Iterator<Item = (String, &Block)> {
    let place = |page: &Page, block: &Block| format!("{}:{}", page.name, block.line);
    pages.iter().flat_map(move |page| page.blocks.iter().map(move |block| (place(page, block), block)))
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn transcripts_and_scripts_say_here_what_they_are_said_to_say() {
    if !here::is_possible() {
        return;
    }
    let pages = pages();
    let scenes = pages.iter().flat_map(|page| steps::of(page).unwrap_or_else(|error| panic!("{error}")));
    let scenes: Vec<_> = scenes.filter(|scene| scene.order == Order::Here).collect();
    // Each has namespaces of its own, and mostly waits.
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(vec![]);
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while let Some(scene) = scenes.get(next.fetch_add(1, Relaxed)) {
                    let found = scene.wrong(&here::run(scene));
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    none(&wrong);
}

#[test]
fn those_that_need_a_machine_say_it_there_and_systemd_takes_every_unit() {
    let Some(installed) = Installed::boot() else {
        return;
    };
    let mut wrong = vec![];
    let pages = pages();
    for (place, block) in blocks(&pages).filter(|(_, block)| block.language == "ini") {
        let ended = installed.verify(&block.text);
        if ended.code != Some(0) || !ended.err.is_empty() {
            wrong.push(format!("{place}: systemd-analyze verify: {}{}", ended.out, ended.err));
        }
    }
    for page in &pages {
        let scenes = steps::of(page).unwrap_or_else(|error| panic!("{error}"));
        for scene in scenes.iter().filter(|scene| matches!(scene.order, Order::Machine { .. })) {
            wrong.extend(scene.wrong(&installed.run(scene)));
        }
    }
    none(&wrong);
}

/// A block of a kind that nothing checks has to say why.
#[test]
fn every_block_is_checked_or_says_why_not() {
    let pages = pages();
    let mut wrong = vec![];
    for (place, block) in blocks(&pages) {
        let fault = match (block.language.as_str(), &block.order) {
            ("sh", _) if !parses("bash", &["-n"], &block.text) => "bash cannot read it",
            (_, Order::NotRun(reason)) => {
                // Not eprintln!: of a test that passes, the test runner swallows it.
                let _ = writeln!(std::io::stderr(), "{place} is not run: {reason}");
                continue;
            }
            ("toml", _) if !is_configuration(&block.text) => "tmux-janitor check-config refuses it",
            ("json", _) if serde_json::from_str::<serde_json::Value>(&block.text).is_err() => "it is no JSON",
            // Run, or verified, by the tests above.
            ("console" | "sh" | "ini" | "toml" | "json", _) | ("python", Order::SavedAs(_)) => {
                continue;
            }
            _ => "nothing checks such a block; `<!-- test: not run: WHY -->` before it says why",
        };
        wrong.push(format!("{place}: {fault}:\n{}", block.text));
    }
    none(&wrong);
}

/// Whether a program that reads a text from its stdin takes it.
fn parses(program: &str, arguments: &[&str], text: &str) -> bool {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait().unwrap().success()
}

fn is_configuration(text: &str) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_tmux-janitor"));
    check.arg("check-config").arg(file.path()).stdout(Stdio::null()).status().unwrap().success()
}

/// In a sentence a command stands for all of its kind, so it is only read, not run.
#[test]
fn every_command_in_a_sentence_is_one_that_there_is() {
    let mut wrong = vec![];
    for page in pages() {
        for (line, code) in &page.inline {
            if let Err(error) = exists(code) {
                wrong.push(format!("{}:{line}: `{code}`: {error}", page.name));
            }
        }
    }
    none(&wrong);
}

fn exists(code: &str) -> Result<(), String> {
    let command = code.split(['|', ';', '>']).next().unwrap_or_default();
    let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "sudo").collect();
    match words.as_slice() {
        ["tmux-janitor", arguments @ ..] => {
            match tmux_janitor::for_tests::command_line().try_get_matches_from(&words) {
                // The bare name of a command that needs more.
                Err(error) if error.kind() == ErrorKind::MissingRequiredArgument && arguments.len() == 1 => {
                    Ok(())
                }
                Err(error) if error.exit_code() != 0 => Err(error.to_string()),
                _ => Ok(()),
            }
        }
        ["cargo", "bench" | "test", kind @ ("--bench" | "--test"), name, ..] => {
            let folder = if *kind == "--bench" { "benches" } else { "tests" };
            let at = |path: String| Path::new(REPOSITORY).join(folder).join(path).exists();
            let is_there = at(format!("{name}.rs")) || at(format!("{name}/main.rs"));
            if is_there { Ok(()) } else { Err(format!("there is no {folder}/{name}")) }
        }
        _ => Ok(()),
    }
}

#[test]
fn every_link_leads_to_something() {
    let mut wrong = vec![];
    for page in pages() {
        let folder = Path::new(REPOSITORY).join(&page.name).parent().unwrap().to_owned();
        for (line, link) in page.links.iter().filter(|(_, link)| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { Path::new(REPOSITORY).join(&page.name) } else { folder.join(path) };
            let has_anchor = || {
                let text = fs::read_to_string(&target).unwrap_or_default();
                text.lines().any(|line| line.starts_with('#') && self::anchor(line) == anchor)
            };
            if !target.exists() || !(anchor.is_empty() || has_anchor()) {
                wrong.push(format!("{}:{line}: {link} leads nowhere", page.name));
            }
        }
    }
    none(&wrong);
}

/// The name that a heading can be linked by.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}
