//! `$(…)`: its commands are looked at like others, and the output of a few is known.

use super::Walker;
use crate::grammar::{fields, parts};
use crate::text::{DIGITS, Text};
use crate::variables::Variables;
use tree_sitter::Node;

impl<'t> Walker<'_, 't> {
    /// What `$(…)` prints, where that is plain; its commands are looked at in any case.
    pub(super) fn substitution(&mut self, node: Node<'t>) -> Option<Text> {
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
