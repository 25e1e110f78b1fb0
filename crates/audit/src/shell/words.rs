//! Words: what the shell makes of quotes, `$name`, `${…}` and `$(…)`, as far as it is known.

use super::Walker;
use crate::grammar::{fields, parts};
use crate::text::{DIGITS, SPLIT, Text, UNKNOWN};
use crate::variables::{Value, Variables};
use std::rc::Rc;
use tree_sitter::Node;

#[derive(Debug, Default)]
struct Maker {
    done: Vec<Text>,
    current: Option<Text>,
    /// Bytes of the words that are done.
    size: usize,
    is_too_long: bool,
}

/// Most that an expansion may become, in bytes: hostile scripts double their variables.
pub(super) const LONGEST: usize = 256 * 1024;

impl Maker {
    /// Whether it is long enough to know nothing of it any more.
    fn is_full(&mut self) -> bool {
        let current = self.current.as_ref().map_or(0, |word| word.as_str().len());
        // A word that is empty takes memory too.
        self.is_too_long |= self.size + current + 64 * self.done.len() > LONGEST;
        self.is_too_long
    }

    /// The words, or something that may be any.
    fn finish(mut self, place: usize) -> Vec<Text> {
        if self.is_full() {
            self = Self::default();
            self.unknown(false, place);
        }
        self.end();
        self.done
    }

    /// The word that is gone on with.
    fn word(&mut self) -> &mut Text {
        self.current.get_or_insert_default()
    }

    /// A quote opens at `place`.
    fn quote(&mut self, place: usize) {
        let word = self.word();
        if word.as_str().is_empty() {
            word.quote.get_or_insert(place);
        }
    }

    fn end(&mut self) {
        self.size += self.current.as_ref().map_or(0, |word| word.as_str().len());
        self.done.extend(self.current.take());
    }

    /// Adds whole words; the first goes on with what is there, the last is gone on with.
    fn words(&mut self, words: impl IntoIterator<Item = Text>) {
        for (number, word) in words.into_iter().enumerate() {
            if number > 0 {
                self.end();
            }
            self.word().append(&word);
        }
    }

    /// Adds something unknown.
    fn stand_in(&mut self, c: char, place: usize) {
        self.word().push_stand_in(c, place);
    }

    /// Unknown text, as one word where it is quoted.
    fn unknown(&mut self, quoted: bool, place: usize) {
        self.stand_in(if quoted { UNKNOWN } else { SPLIT }, place);
    }
}

impl<'t> Walker<'_, 't> {
    pub(super) fn words(&mut self, node: Node<'t>) -> Vec<Text> {
        let mut maker = Maker::default();
        self.piece(node, false, &mut maker);
        maker.finish(self.text.place(node.start_byte()))
    }

    /// The one text that a value becomes: what an assignment takes.
    pub(super) fn one(&mut self, node: Node<'t>) -> Text {
        let mut maker = Maker::default();
        self.piece(node, true, &mut maker);
        let mut words = maker.finish(self.text.place(node.start_byte())).into_iter();
        let mut text = words.next().unwrap_or_default();
        for word in words {
            text.push(" ", word.place(0));
            text.append(&word);
        }
        text
    }

    fn piece(&mut self, node: Node<'t>, quoted: bool, maker: &mut Maker) {
        if maker.is_full() || !self.enter() {
            return maker.unknown(quoted, self.text.place(node.start_byte()));
        }
        let place = self.text.place(node.start_byte());
        match node.kind() {
            "concatenation" => {
                for (_, part) in fields(node) {
                    if part.is_named() {
                        self.piece(part, quoted, maker);
                    } else if self.raw(part).starts_with('$') {
                        // `/tmp/$$`: the grammar has no name for it there.
                        maker.stand_in(DIGITS, self.text.place(part.start_byte()));
                    }
                }
            }
            "word" | "number" | "extglob_pattern" | "regex" | "command_name" | "array" => {
                let inner = parts(node);
                if inner.is_empty() {
                    self.unescape(node.start_byte(), node.end_byte(), false, maker);
                }
                for part in inner {
                    self.piece(part, quoted, maker);
                }
            }
            "raw_string" => {
                maker.quote(place);
                maker.word().push_part(self.text, node.start_byte() + 1, node.end_byte() - 1);
            }
            "ansi_c_string" => self.ansi(node, maker),
            "string" | "translated_string" => {
                maker.quote(place);
                let start = node.start_byte() + self.raw(node).find('"').unwrap_or_default() + 1;
                self.gaps(node, start, node.end_byte().saturating_sub(1), maker);
            }
            "simple_expansion" => {
                let name = parts(node).first().map(|name| self.raw(*name)).unwrap_or_default();
                self.variable(name, quoted, place, maker);
            }
            "expansion" => self.expansion(node, quoted, maker),
            "command_substitution" => {
                let value = self.substitution(node);
                match value {
                    Some(text) if quoted => maker.word().append(&text),
                    Some(text) => maker.words(text.split(place)),
                    None => maker.unknown(quoted, place),
                }
            }
            "arithmetic_expansion" => maker.stand_in(DIGITS, place),
            _ => {
                for part in parts(node) {
                    self.run(part, None);
                }
                maker.unknown(quoted, place);
            }
        }
        self.leave();
    }

    /// Text with expansions in it, such as that of a string or a here-document.
    fn gaps(&mut self, node: Node<'t>, start: usize, end: usize, maker: &mut Maker) {
        let mut at = start;
        for part in parts(node) {
            if ["string_content", "heredoc_content"].contains(&part.kind()) || part.start_byte() < at {
                continue;
            }
            self.unescape(at, part.start_byte(), true, maker);
            self.piece(part, true, maker);
            at = part.end_byte();
        }
        self.unescape(at, end, true, maker);
    }

    /// A here-document's text.
    pub(super) fn document(&mut self, node: Node<'t>, is_literal: bool) -> Text {
        let mut maker = Maker::default();
        // Its first blanks are not part of the node.
        let start = self.text.as_str()[..node.start_byte()].rfind('\n').map_or(0, |at| at + 1);
        if is_literal {
            maker.word().push_part(self.text, start, node.end_byte());
        } else {
            self.gaps(node, start, node.end_byte(), &mut maker);
        }
        maker.finish(self.text.place(start)).pop().unwrap_or_default()
    }

    /// Takes backslashes away: in double quotes only before what is special there.
    fn unescape(&self, start: usize, end: usize, in_quotes: bool, maker: &mut Maker) {
        let Some(raw) = self.text.as_str().get(start..end).filter(|raw| !raw.is_empty()) else { return };
        let mut from = 0;
        let mut bytes = raw.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            if byte != b'\\' {
                continue;
            }
            let Some((_, next)) = bytes.next() else { break };
            if in_quotes && !b"$`\"\\\n".contains(&next) {
                continue;
            }
            maker.word().push_part(self.text, start + from, start + at);
            from = at + 1 + usize::from(next == b'\n');
        }
        maker.word().push_part(self.text, start + from, end);
    }

    /// `$'…'`: the escapes that stand for themselves or white space; others are not looked into.
    fn ansi(&self, node: Node<'t>, maker: &mut Maker) {
        let (start, end) = (node.start_byte() + 2, node.end_byte().saturating_sub(1));
        let raw = self.text.as_str().get(start..end).unwrap_or_default();
        let mut from = 0;
        let mut bytes = raw.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            let (b'\\', Some((_, next))) = (byte, if byte == b'\\' { bytes.next() } else { None }) else {
                continue;
            };
            maker.word().push_part(self.text, start + from, start + at);
            from = at + 2;
            let place = self.text.place(start + at);
            match next {
                b'n' => maker.word().push("\n", place),
                b't' => maker.word().push("\t", place),
                b'\\' | b'\'' | b'"' => from = at + 1,
                _ => maker.stand_in(UNKNOWN, place),
            }
        }
        maker.word().push_part(self.text, start + from, end);
    }

    /// `$name`.
    fn variable(&mut self, name: &str, quoted: bool, place: usize, maker: &mut Maker) {
        match (name, self.value(name)) {
            ("@" | "*", Some(Value::Words(words))) if !quoted => {
                maker.words(words.iter().flat_map(|word| word.split(word.place(0))).collect::<Vec<_>>());
            }
            ("*", Some(Value::Words(_))) => maker.unknown(true, place),
            ("@", Some(Value::Words(words))) => maker.words(words.iter().cloned()),
            ("@", _) => maker.unknown(false, place),
            (_, Some(Value::Text(text))) => Self::text(&text, quoted, place, maker),
            (_, Some(Value::Words(words))) => match words.first() {
                Some(first) => Self::text(first, quoted, place, maker),
                None => maker.unknown(quoted, place),
            },
            _ => maker.unknown(quoted, place),
        }
    }

    fn text(text: &Text, quoted: bool, place: usize, maker: &mut Maker) {
        if quoted {
            maker.word().append(&text.at(place));
        } else {
            maker.words(text.split(place));
        }
    }

    /// What a parameter or a variable is known to be.
    fn value(&self, name: &str) -> Option<Value> {
        let digits = || {
            let text = Text::stand_in(DIGITS, 0);
            Some(Value::text(text))
        };
        match name {
            "@" | "*" => self.variables.params.clone().map(Value::Words),
            "#" | "?" | "$" | "!" | "UID" | "EUID" => digits(),
            _ if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                let params = self.variables.params.as_ref()?;
                let index = name.parse::<usize>().ok()?.checked_sub(1)?;
                Some(Value::Text(Rc::new(params.get(index).cloned().unwrap_or_default())))
            }
            _ => self.variables.get(name).cloned(),
        }
    }

    /// `${…}`.
    fn expansion(&mut self, node: Node<'t>, quoted: bool, maker: &mut Maker) {
        let place = self.text.place(node.start_byte());
        let children = fields(node);
        let is_name =
            |node: &Node<'_>| ["variable_name", "special_variable_name", "subscript"].contains(&node.kind());
        let Some(at) = children.iter().position(|(_, child)| is_name(child)) else {
            return maker.unknown(quoted, place);
        };
        let named = children[at].1;
        let mut rest = children[at + 1..].iter().map(|(_, child)| *child);
        let operator = rest.next().map(|child| child.kind()).unwrap_or_default();
        if at > 1 {
            // `${#x}` is a number, `${!x}` anything.
            let is_length = children[1].1.kind() == "#";
            return if is_length { maker.stand_in(DIGITS, place) } else { maker.unknown(quoted, place) };
        }
        let name = self.raw(named);
        if named.kind() == "subscript" {
            let (array, index) = name.split_once('[').unwrap_or_default();
            let words = self.variables.get(array).cloned();
            return match (index, words, operator) {
                ("@]", Some(Value::Words(words)), "}") if quoted => {
                    maker.words(words.iter().map(|word| word.at(place)).collect::<Vec<_>>());
                }
                ("@]" | "*]", Some(Value::Words(words)), "}") if !quoted => {
                    maker.words(words.iter().flat_map(|word| word.split(place)).collect::<Vec<_>>());
                }
                ("@]", _, _) => maker.unknown(false, place),
                _ => maker.unknown(quoted, place),
            };
        }
        let value = self.value(name);
        let argument: Vec<Node<'t>> = rest.filter(|child| child.kind() != "}").collect();
        let is_empty = matches!(&value, Some(Value::Text(text)) if text.as_str().is_empty());
        match operator {
            "}" => self.variable(name, quoted, place, maker),
            ":-" | "-" | ":=" | "=" => {
                if value.is_some() && !is_empty {
                    return self.variable(name, quoted, place, maker);
                }
                let mut text = Text::default();
                for part in argument {
                    text.append(&self.one(part));
                }
                // An empty default leaves the value to whoever calls the script.
                if text.as_str().is_empty() && value.is_none() {
                    return maker.unknown(quoted, place);
                }
                if operator.ends_with('=') {
                    self.variables.set(name, Some(Value::Text(Rc::new(text.clone()))));
                }
                if quoted {
                    maker.word().append(&text);
                } else {
                    maker.words(text.split(place));
                }
            }
            ":?" | "?" => {
                if value.is_none() && name == "TMUX" {
                    self.variables.set(name, Some(Value::Unknown));
                }
                self.variable(name, quoted, place, maker);
            }
            _ => {
                for part in argument {
                    self.one(part);
                }
                maker.unknown(quoted, place);
            }
        }
    }

    /// What `$(…)` prints, where that is plain; its commands are looked at in any case.
    fn substitution(&mut self, node: Node<'t>) -> Option<Text> {
        let before: Variables = self.variables.clone();
        let judge = self.substitution_judge.take();
        self.statements(&parts(node), judge);
        let mut first = parts(node).first().copied()?;
        while first.kind() == "list" || first.kind() == "redirected_statement" {
            first = parts(first).first().copied()?;
        }
        let printed = self.printed(first);
        self.variables = before;
        printed
    }

    fn printed(&mut self, command: Node<'t>) -> Option<Text> {
        // What it runs itself was looked at already: a second time for each level would double the work.
        if command.kind() != "command"
            || ["$(", "`", "<("].iter().any(|more| self.raw(command).contains(more))
        {
            return None;
        }
        let words: Vec<Text> = fields(command)
            .into_iter()
            .filter(|(field, _)| matches!(field, Some("name" | "argument")))
            .flat_map(|(_, part)| self.quietly(|walker| walker.words(part)))
            .collect();
        let known: Vec<&str> = words.iter().map(Text::as_str).collect();
        match known[..] {
            ["command", "-v", program] | ["which", program] | ["type", "-p" | "-P", program] => {
                Some(Text::made(program, self.text.place(command.start_byte())))
            }
            ["id", "-u" | "-ru" | "-ur", ..] => {
                Some(Text::stand_in(DIGITS, self.text.place(command.start_byte())))
            }
            ["echo", word] if !word.starts_with('-') => words.get(1).cloned(),
            _ => None,
        }
    }
}
