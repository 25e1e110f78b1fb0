//! What the program can say, in one list, `sentences.txt`: whoever changes a sentence sees it among the others.
//!
//! They are the literals of the sources that hold two words or more, outside of comments, tests and the reasons of attributes. What
//! clap makes of comments, the help, is read in the man page.

use super::{files, text};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const LIST: &str = "tests/house/sentences.txt";
/// With this set the list is written.
const RENEW: &str = "TMUX_JANITOR_SENTENCES";
/// Scripts for shells, which speak to no person.
const NOT_SPOKEN: [&str; 1] = ["src/cli/completions.rs"];

#[test]
fn every_sentence_stands_in_the_list() {
    let is_source = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")
    };
    let folders = ["src", "crates/sockets/src", "crates/audit/src", "crates/audit-wire/src"];
    let sources = folders.iter().flat_map(|folder| files(folder, &is_source));
    let spoken = sources.filter(|path| !NOT_SPOKEN.contains(&path.as_str()));
    let found: BTreeSet<String> = spoken.flat_map(|path| sentences(&text(&path))).collect();
    let written: String = found.iter().flat_map(|sentence| [sentence, "\n"]).collect();
    if std::env::var_os(RENEW).is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(LIST), &written).unwrap();
    }
    let listed = text(LIST);
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "{LIST} is behind the sources: read the new sentences among the others, then renew it, {RENEW}=1 cargo test --test house\n\
         new: {new:#?}\ngone: {gone:#?}"
    );
}

/// The lines of the literals that a person can read.
pub(super) fn sentences(source: &str) -> Vec<String> {
    let lines = literals(source)
        .into_iter()
        .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>());
    lines.filter(|line| has_words(line)).collect()
}

/// Two words beside each other, what is put in aside.
pub(super) fn has_words(line: &str) -> bool {
    let is_word = |word: &str| {
        let word = word.trim_matches(|letter: char| letter.is_ascii_punctuation());
        word.len() > 1 && word.chars().all(|letter| letter.is_alphabetic() || letter == '\'' || letter == '-')
    };
    line.split(' ').collect::<Vec<_>>().windows(2).any(|pair| pair.iter().all(|word| is_word(word)))
}

/// The literals of a source, as they are when it runs, without those of tests, and of attributes' reasons.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        rest = if rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(rest) = rest.strip_prefix("#[cfg(test)]") {
            behind_item(rest)
        } else if let Some(begun) = rest.strip_prefix("reason = \"") {
            literal(begun).1
        } else if let Some(raw) = raw(rest) {
            found.push(raw.0.to_owned());
            raw.1
        } else if letter == '"' {
            let (text, rest) = literal(after);
            found.push(text);
            rest
        } else if letter == '\'' {
            behind_letter(after)
        } else {
            // A name that ends with r begins no raw literal.
            let name =
                rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
            if name == 0 || rest.starts_with("r#\"") { after } else { &rest[name..] }
        };
    }
    found
}

/// A literal whose opening quote is behind us, and what follows it.
fn literal(begun: &str) -> (String, &str) {
    let (mut text, mut rest) = (String::new(), begun);
    while let Some(at) = rest.find(['"', '\\']) {
        text.push_str(&rest[..at]);
        let escaped = &rest[at + 1..];
        if rest[at..].starts_with('"') {
            return (text, escaped);
        }
        let Some(letter) = escaped.chars().next() else { break };
        rest = &escaped[letter.len_utf8()..];
        match letter {
            // The line goes on where the next one has its first word.
            '\n' => rest = rest.trim_start(),
            'n' => text.push('\n'),
            '"' | '\\' | '\'' => text.push(letter),
            other => text.extend(['\\', other]),
        }
    }
    (text, "")
}

/// `r"…"` and `r#"…"#`, and what follows it.
fn raw(source: &str) -> Option<(&str, &str)> {
    let hashes = source.strip_prefix('r')?;
    let begun = hashes.trim_start_matches('#');
    let end = format!("\"{}", &hashes[..hashes.len() - begun.len()]);
    begun.strip_prefix('"')?.split_once(&end)
}

/// Behind a letter in quotes, or behind the quote of a lifetime.
fn behind_letter(begun: &str) -> &str {
    let mut letters = begun.chars();
    match (letters.next(), letters.next()) {
        (Some('\\'), Some(_)) => letters.as_str().split_once('\'').map_or("", |(_, rest)| rest),
        (Some(_), Some('\'')) => letters.as_str(),
        _ => begun,
    }
}

/// Behind the item that an attribute stands at: its braces, or its semicolon where that comes first.
fn behind_item(item: &str) -> &str {
    let Some(begin) = item.find(['{', ';']) else { return "" };
    if item[begin..].starts_with(';') {
        return &item[begin + 1..];
    }
    // As rustfmt has it: the brace that closes stands below where the item begins.
    let line = item.trim_start_matches('\n');
    let indent = &line[..line.len() - line.trim_start().len()];
    item[begin..].split_once(&format!("\n{indent}}}\n")).map_or("", |(_, rest)| rest)
}

#[test]
fn literals_are_found_as_they_run() {
    let source = r##"
        // "a comment"
        fn f<'a>(x: &'a str) -> char { say("one two\n three \"four\""); '"' }
        #[expect(dead_code, reason = "not told")]
        const RAW: &str = r#"raw "words" too"#;
        const LONG: &str = "it goes \
            on here";
        let under_r = bar("last one");
        #[cfg(test)]
        mod tests {
            fn g() { say("in a test") }
        }
        const AFTER: &str = "and after";
    "##;
    let found =
        ["one two", "three \"four\"", "raw \"words\" too", "it goes on here", "last one", "and after"];
    let lines = literals(source)
        .into_iter()
        .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>());
    assert_eq!(lines.collect::<Vec<_>>(), found);
    let words = ["{path} is gone", "it is", "x.y {z}", "/proc/{pid}/fd"];
    assert_eq!(words.map(has_words), [true, true, false, false]);
}
