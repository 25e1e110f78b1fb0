//! The words of a call of tmux: `main()` of tmux.c and `cmd_find()` of cmd.c.

use super::call::{Socket, Verb};
use super::text::{Text, is_stand_in};

/// tmux's options that take a value: `getopt` in tmux.c.
const VALUED: &str = "cfLST";

/// The commands that the rules know, with their aliases. tmux takes a beginning that only one command has.
const VERBS: [(&str, &str, &str); 4] = [
    ("new-session", "new", "new-s"),
    ("start-server", "start", "sta"),
    ("kill-server", "", "kill-ser"),
    ("has-session", "has", "h"),
];

/// What was read of a call.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) socket: Socket,
    pub(super) verbs: Option<Vec<Verb>>,
    /// The server or the client stays in the foreground.
    pub(super) foreground: bool,
    /// Where the function was called that was handed the options or the command.
    pub(super) site: Option<usize>,
}

/// Reads the words behind `tmux`. Nothing: a call that asks no server, such as `tmux -V`.
pub(super) fn read(words: &[Text]) -> Option<Read> {
    let (mut label, mut path, mut sure, mut foreground) = (None, None, true, false);
    let mut at = 0;
    let mut site = None;
    'words: while let Some(word) = words.get(at) {
        let text = word.as_str();
        if text.starts_with(is_stand_in) {
            sure = false;
            break;
        }
        if !text.starts_with('-') || text == "-" {
            break;
        }
        at += 1;
        site = site.or(word.site);
        if text == "--" {
            break;
        }
        for (index, letter) in text.char_indices().skip(1) {
            if letter == 'V' || letter == 'h' {
                return None;
            }
            if is_stand_in(letter) {
                sure = false;
                break 'words;
            }
            foreground |= letter == 'D' || letter == 'C';
            if VALUED.contains(letter) {
                let mut value = Text::default();
                value.push_part(word, index + 1, text.len());
                if value.as_str().is_empty() {
                    let Some(next) = words.get(at) else { break 'words };
                    if next.may_split() && !"LS".contains(letter) {
                        sure = false;
                        break 'words;
                    }
                    value = next.clone();
                    at += 1;
                }
                match letter {
                    'L' => label = Some(value),
                    'S' => path = Some(value),
                    _ => {}
                }
                break;
            }
        }
    }
    let socket = match (path, label) {
        (Some(path), _) => Socket::Path(path),
        (None, Some(label)) => Socket::Label(label),
        (None, None) if sure => Socket::Default,
        (None, None) => Socket::Unknown,
    };
    let verbs = sure.then(|| verbs(&words[at..]));
    Some(Read { socket, verbs, foreground, site: site.or(words.get(at).and_then(|word| word.site)) })
}

/// The commands, which `;` separates.
fn verbs(words: &[Text]) -> Vec<Verb> {
    let mut verbs: Vec<Verb> = Vec::new();
    let mut is_new = true;
    for word in words {
        let text = word.as_str();
        let (text, ends) = match text.strip_suffix(';') {
            Some(text) if !text.ends_with('\\') => (text, true),
            _ => (text, false),
        };
        if is_new && !text.is_empty() {
            verbs.push(Verb { name: full_name(text).to_owned(), arguments: Vec::new() });
        } else if let (false, Some(verb)) = (text.is_empty() && ends, verbs.last_mut()) {
            verb.arguments.push(word.clone());
        }
        is_new = ends || (is_new && text.is_empty());
    }
    if verbs.is_empty() {
        verbs.push(Verb { name: "new-session".to_owned(), arguments: Vec::new() });
    }
    verbs
}

fn full_name(name: &str) -> &str {
    let meant = |(full, alias, shortest): &&(&'static str, &str, &str)| {
        name == *alias || (full.starts_with(name) && name.starts_with(shortest))
    };
    VERBS.iter().find(meant).map_or(name, |(full, _, _)| full)
}

/// Whether `new-session` has an option without a value: `args` of cmd-new-session.c.
pub(super) fn has_flag(verb: &Verb, flag: char) -> bool {
    let mut words = verb.arguments.iter().map(Text::as_str);
    while let Some(flags) = words.next().and_then(|word| word.strip_prefix('-')).filter(|flags| *flags != "-")
    {
        let valued = flags.find(|letter| "ceFfnstxy".contains(letter));
        if flags[..valued.unwrap_or(flags.len())].contains(flag) {
            return true;
        }
        if valued.is_some_and(|at| at + 1 == flags.len()) {
            words.next();
        }
    }
    false
}

/// The value of a command's option, such as `-t`.
pub(super) fn option(verb: &Verb, letter: char) -> Option<std::borrow::Cow<'_, str>> {
    for (at, word) in verb.arguments.iter().enumerate() {
        let Some(flags) = word.as_str().strip_prefix('-') else { continue };
        if let Some(found) =
            flags.find(letter).filter(|found| flags[..*found].chars().all(char::is_alphabetic))
        {
            let value = &flags[found + letter.len_utf8()..];
            return if value.is_empty() {
                verb.arguments.get(at + 1).map(|word| word.as_str().into())
            } else {
                Some(value.to_owned().into())
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::text::{SPLIT, UNKNOWN};

    fn words(line: &str) -> Vec<Text> {
        let line = line.replace('?', &UNKNOWN.to_string()).replace('*', &SPLIT.to_string());
        let word = |word: &str| Text::made(word, 0);
        line.split(' ').filter(|text| !text.is_empty()).map(word).collect()
    }

    fn told(line: &str) -> String {
        let Some(read) = read(&words(line)) else { return "asks nobody".to_owned() };
        let socket = match read.socket {
            Socket::Label(label) => format!("L{}", label.as_str()),
            Socket::Path(path) => format!("S{}", path.as_str()),
            Socket::Default => "default".to_owned(),
            Socket::Unknown => "?".to_owned(),
        };
        let verbs = read.verbs.map(|verbs| verbs.into_iter().map(|verb| verb.name).collect::<Vec<_>>());
        format!("{socket} {}", verbs.map_or("?".to_owned(), |verbs| verbs.join(",")))
    }

    #[test]
    fn the_socket_and_the_commands_are_read_as_tmux_does() {
        for (line, expected) in [
            ("", "default new-session"),
            ("ls", "default ls"),
            ("-2u new -d", "default new-session"),
            ("-Lfoo kill-serv", "Lfoo kill-server"),
            ("-2uL foo start ; new", "Lfoo start-server,new-session"),
            ("-L a -S b has -t x", "Sb has-session"),
            ("-f x -- ls; kill-server", "default ls,kill-server"),
            ("-V", "asks nobody"),
            ("* new", "? ?"),
            ("? new", "? ?"),
            ("-f * new", "? ?"),
            ("-L a * new", "La ?"),
            ("new-window", "default new-window"),
            ("start-whatever", "default start-whatever"),
            ("kill-session -t kill-server", "default kill-session"),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn an_option_may_hang_on_others() {
        let read = read(&words("new -ds build -x 80")).unwrap();
        let verb = &read.verbs.unwrap()[0];
        assert_eq!(option(verb, 's').as_deref(), Some("build"));
        assert_eq!(option(verb, 't'), None);
        assert!(has_flag(verb, 'd') && !has_flag(verb, 'x'));
        for (line, has) in
            [("new -s d", false), ("new -s a -d", true), ("new -sd", false), ("new x -d", false)]
        {
            let verbs = super::read(&words(line)).unwrap().verbs.unwrap();
            assert_eq!(has_flag(&verbs[0], 'd'), has, "{line}");
        }
    }
}
