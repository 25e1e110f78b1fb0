//! That no command which the program prints does harm when it is run as it stands, by root too.
//!
//! Every sentence of the program is a string in its source. Each is read, and each command in it that could take
//! something away from somebody has to be of a form that cannot.

use super::{REPOSITORY, none};
use std::fs;
use std::path::{Path, PathBuf};

/// The sources. What reads scripts (crates/audit) names the commands of others, which are the harmful ones.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("it is read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The strings of a source, but those of its tests and comments.
fn strings(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = lines.join("\n");
    let mut strings = Vec::new();
    let mut rest = code.as_str();
    while let Some(at) = rest.find('"') {
        // A quote as a character.
        if rest[..at].ends_with('\'') || rest[..at].ends_with("b'") || rest[..at].ends_with('\\') {
            rest = &rest[at + 1..];
            continue;
        }
        let mut text = String::new();
        let mut end = rest.len();
        let mut characters = rest[at + 1..].char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1 + place + 1;
                    break;
                }
                '\\' => match characters.next() {
                    Some((_, '\n')) | None => {}
                    Some((_, escaped)) => text.push(escaped),
                },
                other => text.push(other),
            }
        }
        strings.push(text);
        rest = &rest[end..];
    }
    strings
}

/// The commands in a sentence that begin with a word: up to where a command ends.
fn commands<'a>(sentence: &'a str, word: &str) -> Vec<&'a str> {
    let is_begin = |at: usize| {
        let before = sentence[..at].trim_end_matches(' ');
        at == 0 || (sentence[..at].ends_with(['`', ' ', '(', '\'', '}']) && !before.ends_with(['-', '=']))
    };
    let places = sentence
        .match_indices(word)
        .filter(|(at, _)| is_begin(*at) && sentence[at + word.len()..].starts_with([' ', '`']));
    places
        .map(|(at, _)| sentence[at..].split(['`', ';', '&', '|']).next().unwrap_or_default().trim_end())
        .collect()
}

/// What is looked for in other people's scripts, and printed nowhere.
const LOOKED_FOR: [&str; 3] = ["rm -rf /tmp/*", "rm -fr /tmp/*", "rm -r /tmp/*"];

/// Why a command might do harm; `None`: it cannot.
fn harm(sentence: &str) -> Option<String> {
    let is = |command: &str, forms: &[&str]| forms.iter().any(|form| command.starts_with(form));
    for (word, forms) in [
        // A tmux-UID is one user's alone.
        // `doctor` says the last two only of a folder of one's own that nobody else has anything in.
        (
            "chmod",
            &[
                "chmod o-rwx",
                "chmod u+rwx {",
                "chmod 700 ",
                "chmod 0700 ",
                "chmod {closing} {word}",
                "chmod -R u+rwX,go-w {word}",
            ][..],
        ),
        ("chown", &[]),
        // A folder of sockets, out of which nothing can be removed.
        ("chattr", &["chattr -a {word}"]),
        // One name, which is seen first; no option of it can come from a name.
        (
            "rm",
            if sentence.contains("flock --nonblock {word} rm") {
                &["rm -f -- {word}"]
            } else if sentence.starts_with("find /tmp -mindepth 1 -maxdepth 1{excluded} ") {
                // What a line of cron has already, with tmux's folders taken out of it.
                &["rm -rf {{}} +"]
            } else {
                &["rm -- {"]
            },
        ),
        ("mv", &["mv -- {", "mv -T -- {"]),
        ("rmdir", &["rmdir -- {"]),
        ("unlink", &[]),
        // Only to one process, and but for an end that is asked for only what tmux lives on after.
        // A client of a server that is ending and waits for it: nothing less ends one that hangs, and nothing is in it.
        (
            "kill",
            if sentence.ends_with("` lets it end") {
                &["kill -9 {}"]
            } else {
                &["kill -CONT {pid}", "kill -USR1 {pid}", "kill {pid}", "kill -CONT PID", "kill -USR1 PID"]
            },
        ),
        ("pkill", &[]),
        ("killall", &[]),
        ("umount", &[]),
        ("shutdown", &[]),
        ("reboot", &[]),
        ("truncate", &[]),
        ("dd", &[]),
    ] {
        // "people kill them" is none.
        let is_prose = |command: &str| {
            word == "kill"
                && !command["kill".len()..]
                    .trim_start()
                    .starts_with(|next: char| "-{$\"P0123456789".contains(next))
        };
        let found = commands(sentence, word);
        if let Some(command) = found.into_iter().find(|command| !is(command, forms) && !is_prose(command)) {
            return Some(command.to_owned());
        }
    }
    let ends_units = |command: &&str| {
        command
            .split(' ')
            .any(|word| ["stop", "disable", "mask", "kill", "isolate", "reboot", "poweroff"].contains(&word))
    };
    let ends_servers = |command: &&str| {
        command.contains("kill-server") && !(command.contains(" -L ") || command.contains(" -S "))
    };
    let systemctl = commands(sentence, "systemctl").into_iter().find(ends_units);
    let tmux = commands(sentence, "tmux").into_iter().find(ends_servers);
    systemctl.or(tmux).map(str::to_owned)
}

#[test]
fn no_printed_command_does_harm() {
    let mut files = Vec::new();
    sources(&Path::new(REPOSITORY).join("src"), &mut files);
    sources(&Path::new(REPOSITORY).join("crates/sockets/src"), &mut files);
    let mut read = 0;
    let mut wrong = Vec::new();
    for file in files {
        for sentence in strings(&fs::read_to_string(&file).expect("it is read")) {
            if LOOKED_FOR.contains(&&*sentence) {
                continue;
            }
            read += usize::from(sentence.contains('`'));
            if let Some(command) = harm(&sentence) {
                wrong.push(format!("{}: {command:?} in {sentence:?}", file.display()));
            }
        }
    }
    assert!(read > 50, "only {read} sentences with a command were found");
    none(&wrong);
}

/// A number after the text of an error tells nobody anything; `words::errno_text` leaves it out.
#[test]
fn no_sentence_has_the_number_of_an_error() {
    let mut files = Vec::new();
    sources(&Path::new(REPOSITORY).join("src"), &mut files);
    sources(&Path::new(REPOSITORY).join("crates/sockets/src"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let texts = strings(&fs::read_to_string(&file).expect("it is read"));
        let numbered = texts.iter().filter(|text| text.contains("{errno}"));
        wrong.extend(numbered.map(|text| format!("{}: {text:?}", file.display())));
    }
    none(&wrong);
}

#[test]
fn a_harmful_command_is_recognised() {
    for harmful in [
        "left alone; `chmod go-w` mends it",
        "`chmod -R 700 /tmp` mends it",
        "then: sudo rm -rf {dir}",
        "rm {word}",
        "`kill -9 {pid}` ends it",
        "pkill tmux",
        "`tmux kill-server` helps",
        "`systemctl stop {unit}`",
    ] {
        assert!(harm(harmful).is_some(), "{harmful}");
    }
    for harmless in [
        "`chmod o-rwx` mends it",
        "when no server is starting: sudo rm -- {word}",
        "`kill -USR1 {pid}` gives it its socket back",
        "`tmux -L LABEL kill-server` ends one",
        "its kill-server ends everybody's sessions",
        "systemctl --user enable --now tmux-janitor.timer",
    ] {
        assert_eq!(harm(harmless), None, "{harmless}");
    }
    assert_eq!(
        strings("a(\"x \\\n   y\", '\"', \"z\\\"\") // \"no\"\n#[cfg(test)] \"t\""),
        ["x    y", "z\"", "no"]
    );
}
