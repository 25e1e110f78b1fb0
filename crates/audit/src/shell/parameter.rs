//! `$name` and `${…}`: what is known of variables and parameters.

use super::Walker;
use super::expand::Maker;
use crate::grammar::fields;
use crate::text::{DIGITS, Text};
use crate::variables::Value;
use std::rc::Rc;
use tree_sitter::Node;

impl<'t> Walker<'_, 't> {
    /// `$name`.
    pub(super) fn variable(&mut self, name: &str, quoted: bool, place: usize, maker: &mut Maker) {
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
    pub(super) fn expansion(&mut self, node: Node<'t>, quoted: bool, maker: &mut Maker) {
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
}
