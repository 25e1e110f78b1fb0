//! What is known about variables, parameters and aliases at a point of a script.

use super::text::Text;
use std::collections::HashMap;
use std::rc::Rc;

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A text, with what stands for the unknown in it.
    Text(Rc<Text>),
    /// The words of an array.
    Words(Rc<Vec<Text>>),
    /// It was given a value that is not known.
    Unknown,
}

impl Value {
    pub(super) fn text(text: Text) -> Self {
        Self::Text(Rc::new(text))
    }
}

/// What is known at a point.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    vars: Rc<HashMap<String, Value>>,
    aliases: Rc<HashMap<String, Option<Text>>>,
    /// `$1` and so on, where they are known.
    pub(super) params: Option<Rc<Vec<Text>>>,
}

impl Variables {
    /// A variable; nothing, when the script gives it no value.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.vars.get(name)
    }

    /// Gives a variable a value, or takes it away.
    pub(super) fn set(&mut self, name: &str, value: Option<Value>) {
        let vars = Rc::make_mut(&mut self.vars);
        match value {
            Some(value) => vars.insert(name.to_owned(), value),
            None => vars.remove(name),
        };
    }

    pub(super) fn alias(&self, name: &str) -> Option<&Text> {
        self.aliases.get(name)?.as_ref()
    }

    pub(super) fn set_alias(&mut self, name: &str, text: Text) {
        Rc::make_mut(&mut self.aliases).insert(name.to_owned(), Some(text));
    }

    /// Whether a variable has a text that is not empty.
    pub(super) fn is_set(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Text(text)) => !text.as_str().is_empty(),
            Some(Value::Words(words)) => !words.is_empty(),
            Some(Value::Unknown) => true,
            None => false,
        }
    }

    /// What is known where two ways meet.
    pub(super) fn merge(&mut self, other: &Self) {
        if !Rc::ptr_eq(&self.vars, &other.vars) {
            let (mine, theirs) = (&self.vars, &other.vars);
            let names = mine.keys().chain(theirs.keys().filter(|name| !mine.contains_key(*name)));
            let differ: Vec<String> =
                names.filter(|name| mine.get(*name) != theirs.get(*name)).cloned().collect();
            for name in differ {
                self.set(&name, Some(Value::Unknown));
            }
        }
        if !Rc::ptr_eq(&self.aliases, &other.aliases) {
            let aliases = Rc::make_mut(&mut self.aliases);
            for (name, text) in other.aliases.iter() {
                let same = aliases.get(name) == Some(text);
                aliases.insert(name.clone(), text.clone().filter(|_| same));
            }
        }
        if self.params != other.params {
            self.params = None;
        }
    }
}
