//! A transcript: commands, and what they are expected to say. Pure.
//!
//! `…` is any text, on a line of its own any lines. 4700 to 4799 are the numbers of processes: each stands for
//! one number, the same one in the whole transcript. Blanks in a row count as one.

use std::collections::BTreeMap;

/// A command and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) command: String,
    pub(crate) expected: Vec<String>,
}

/// Reads the text of a `console` block: `$ command`, `> more of it`, and the lines it prints.
pub(crate) fn parse(text: &str) -> Result<Vec<Exchange>, String> {
    let mut exchanges: Vec<Exchange> = vec![];
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            exchanges.push(Exchange { command: command.to_owned(), expected: vec![] });
            continue;
        }
        let Some(last) = exchanges.last_mut() else {
            return Err(format!("{line:?} stands before any command"));
        };
        match line.strip_prefix("> ") {
            Some(more) if last.expected.is_empty() => last.command = format!("{}\n{more}", last.command),
            _ => last.expected.push(line.to_owned()),
        }
    }
    if exchanges.is_empty() { Err("no command".to_owned()) } else { Ok(exchanges) }
}

/// What a number of the transcript stands for.
pub(crate) type Numbers = BTreeMap<String, String>;

/// Whether a command said what is expected; learns the numbers.
pub(crate) fn says(expected: &[String], said: &str, numbers: &mut Numbers) -> bool {
    let said: Vec<String> = said.lines().map(plain).collect();
    let expected: Vec<String> = expected.iter().map(|line| plain(line)).collect();
    match lines(&expected, &said, numbers.clone()) {
        Some(learned) => {
            *numbers = learned;
            true
        }
        None => false,
    }
}

fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines(expected: &[String], said: &[String], numbers: Numbers) -> Option<Numbers> {
    let Some((first, rest)) = expected.split_first() else {
        return said.is_empty().then_some(numbers);
    };
    if first == "…" {
        return (0..=said.len()).find_map(|skipped| lines(rest, &said[skipped..], numbers.clone()));
    }
    let (line, more) = said.split_first()?;
    lines(rest, more, within(first, line, numbers)?)
}

fn within(expected: &str, said: &str, mut numbers: Numbers) -> Option<Numbers> {
    if let Some(rest) = expected.strip_prefix('…') {
        let mut ends = said.char_indices().map(|(at, _)| at).chain([said.len()]);
        return ends.find_map(|at| within(rest, &said[at..], numbers.clone()));
    }
    let digits = expected.len() - expected.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    if digits == 4 && expected.starts_with("47") {
        let length = said.len() - said.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (number, rest) = said.split_at(length);
        let name = &expected[..digits];
        let known = numbers.entry(name.to_owned()).or_insert_with(|| number.to_owned());
        return (known == number && length > 0).then(|| within(&expected[digits..], rest, numbers)).flatten();
    }
    if digits > 0 {
        let rest = said.strip_prefix(&expected[..digits])?;
        return within(&expected[digits..], rest, numbers);
    }
    match expected.chars().next() {
        None => said.is_empty().then_some(numbers),
        Some(letter) => within(&expected[letter.len_utf8()..], said.strip_prefix(letter)?, numbers),
    }
}

#[test]
fn a_transcript_is_read_and_compared() {
    let read = parse("$ a \\\n> b\nc\n$ d\n").unwrap();
    assert_eq!(read[0], Exchange { command: "a \\\nb".into(), expected: vec!["c".into()] });
    assert_eq!(read[1], Exchange { command: "d".into(), expected: vec![] });
    assert!(parse("c\n").is_err() && parse("").is_err());

    let said = |expected: &str, text: &str| {
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        says(&expected, text, &mut Numbers::new())
    };
    assert!(said("a  b", "a b\n") && said("a …", "a x y") && said("…\nb", "a\nb") && said("…", ""));
    assert!(said("pid 4711 4712 4711", "pid 5 66 5") && said("14711", "14711"));
    for (expected, text) in
        [("a", "b"), ("a", ""), ("", "a"), ("a …", "b x"), ("4711 4711", "5 6"), ("4711", "x")]
    {
        assert!(!said(expected, text), "{expected:?} {text:?}");
    }
}
