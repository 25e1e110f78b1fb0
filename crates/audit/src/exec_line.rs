//! Command lines of units: quoting, specifiers and variables as in systemd.service(5).

use super::text::{DIGITS, SPLIT, Text, UNKNOWN};
use super::variables::{Value, Variables};

/// A word, and whether it was written without quotes.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: Text,
    bare: bool,
}

/// The words of a value, its specifiers replaced by what stands for them.
pub(super) fn words(value: &Text) -> Vec<Word> {
    let line = value.as_str();
    let mut words: Vec<Word> = Vec::new();
    let mut current: Option<Word> = None;
    let mut quote = None;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let place = value.place(at);
        if quote.is_none() && c.is_ascii_whitespace() {
            words.extend(current.take());
            continue;
        }
        let word = current.get_or_insert_with(|| Word { text: Text::default(), bare: true });
        match (c, next) {
            ('"' | '\'', _) if quote == Some(c) => quote = None,
            ('"' | '\'', _) if quote.is_none() => {
                quote = Some(c);
                word.bare = false;
            }
            ('\\', Some(next)) => {
                chars.next();
                match next {
                    'n' => word.text.push("\n", place),
                    't' => word.text.push("\t", place),
                    's' => word.text.push(" ", place),
                    'x' | '0'..='7' | 'u' | 'U' => word.text.push_stand_in(UNKNOWN, place),
                    _ => word.text.push_part(value, at + 1, at + 1 + next.len_utf8()),
                }
            }
            ('%', Some(specifier)) => {
                chars.next();
                match specifier {
                    '%' => word.text.push("%", place),
                    'U' | 'G' => word.text.push_stand_in(DIGITS, place),
                    _ => word.text.push_stand_in(UNKNOWN, place),
                }
            }
            _ => word.text.push_part(value, at, at + c.len_utf8()),
        }
    }
    words.extend(current);
    words
}

/// The commands of a value, with what is known of their words.
pub(super) fn commands(value: &Text, variables: &Variables) -> Vec<Vec<Text>> {
    let words = words(value);
    let is_end = |word: &Word| word.bare && word.text.as_str() == ";";
    words.split(is_end).filter_map(|words| command(words, variables)).collect()
}

fn command(words: &[Word], variables: &Variables) -> Option<Vec<Text>> {
    let (first, rest) = words.split_first()?;
    let program = first.text.as_str();
    let bare = program.trim_start_matches(['-', '@', '+', '!', ':', '|']);
    let prefix = &program[..program.len() - bare.len()];
    let mut path = Text::default();
    path.push_part(&first.text, prefix.len(), program.len());
    // With `@` the next word is the name that the program is given.
    let rest = if prefix.contains('@') { rest.get(1..).unwrap_or_default() } else { rest };
    let mut command = vec![path];
    for word in rest {
        if prefix.contains(':') {
            command.push(word.text.clone());
        } else {
            command.extend(expand(word, variables));
        }
    }
    Some(command)
}

/// `$NAME` alone is split to words, `${NAME}` anywhere is text.
fn expand(word: &Word, variables: &Variables) -> Vec<Text> {
    let text = word.text.as_str();
    let place = word.text.place(0);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if word.bare {
        if let Some(name) = text.strip_prefix('$').filter(|name| is_name(name)) {
            return match variables.get(name) {
                Some(Value::Text(value)) => value.split(place).collect(),
                _ => vec![Text::stand_in(SPLIT, place)],
            };
        }
    }
    let mut made = Text::default();
    let mut at = 0;
    while let Some(found) = text[at..].find('$').map(|found| at + found) {
        made.push_part(&word.text, at, found);
        let rest = &text[found + 1..];
        let place = word.text.place(found);
        at = found + 1;
        if rest.starts_with('$') {
            made.push("$", place);
            at += 1;
        } else if let Some((name, _)) =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).filter(|(name, _)| is_name(name))
        {
            match variables.get(name) {
                Some(Value::Text(value)) => made.push(value.as_str(), place),
                _ => made.push_stand_in(UNKNOWN, place),
            }
            at += name.len() + 2;
        } else {
            made.push("$", place);
        }
    }
    made.push_part(&word.text, at, text.len());
    vec![made]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<String> {
        let mut variables = Variables::default();
        let value = Text::made("-L bot", 0);
        variables.set("ARGS", Some(Value::Text(std::rc::Rc::new(value))));
        let commands = commands(&Text::of_file(line.to_owned()), &variables);
        let shown = |text: &Text| text.as_str().replace([UNKNOWN, SPLIT], "?").replace(DIGITS, "#");
        commands.iter().map(|words| words.iter().map(shown).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn command_lines_are_read_as_systemd_does() {
        for (line, expected) in [
            ("/usr/bin/tmux new -d", &["/usr/bin/tmux|new|-d"][..]),
            ("-+/bin/tmux ls ; @/bin/sh sh -c 'a ; b'", &["/bin/tmux|ls", "/bin/sh|-c|a ; b"]),
            ("tmux $ARGS new", &["tmux|-L|bot|new"]),
            ("tmux $OTHER new", &["tmux|?|new"]),
            (":tmux $ARGS", &["tmux|$ARGS"]),
            ("sh -c \"rm ${X}/tmux-%U/%i $$s $s\"", &["sh|-c|rm ?/tmux-#/? $s $s"]),
            ("tmux new -s a\\x20b", &["tmux|new|-s|a?20b"]),
            ("", &[]),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }
}
