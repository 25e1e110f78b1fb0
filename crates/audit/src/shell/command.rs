//! Simple commands: assignments, redirections, and the words handed to [`super::invoke`].

use super::guard;
use super::words::LONGEST;
use super::{WORDS, Walker};
use crate::call::Judge;
use crate::grammar::{fields, parts};
use crate::source;
use crate::text::Text;
use crate::variables::{Value, Variables};
use std::rc::Rc;
use tree_sitter::Node;

impl<'t> Walker<'_, 't> {
    /// A simple command.
    pub(super) fn command(&mut self, node: Node<'t>, judge: Option<Judge>) {
        let mut assignments = Vec::new();
        let mut words = Vec::new();
        let mut name = None;
        let mut is_understood = true;
        for (field, child) in fields(node) {
            match (field, child.kind()) {
                (_, "variable_assignment") => assignments.push(child),
                (Some("name"), _) => name = Some(child),
                (Some("argument"), _) => words.push(child),
                (_, "herestring_redirect") => {
                    self.stdin = parts(child).first().map(|text| self.one(*text));
                }
                (Some("redirect"), _) => self.redirect(child),
                _ => is_understood &= !child.is_error() && !child.is_missing(),
            }
        }
        let stdin = self.stdin.take();
        // The grammar takes several assignments on a line for those of the command on the next one.
        if let (Some(last), Some(first)) = (assignments.last(), name) {
            let between = self.text.as_str().get(last.end_byte()..first.start_byte()).unwrap_or_default();
            if ends_line(between) {
                for assignment in assignments.drain(..) {
                    self.assignment(assignment, false);
                }
                self.statement = self.text.place(first.start_byte());
            }
        }
        // And sometimes the words of the next line for more of this one's.
        let mut last = name;
        let is_next_line = |word: &Node<'t>| {
            let before = last.replace(*word).map(|before| before.end_byte()..word.start_byte());
            before.is_some_and(|gap| ends_line(self.text.as_str().get(gap).unwrap_or_default()))
        };
        let next = words.iter().position(is_next_line).map(|at| words.split_off(at));
        let (judge, judge_of_next) = if next.is_some() { (None, judge) } else { (judge, None) };
        let before = self.variables.clone();
        for assignment in &assignments {
            self.assignment(*assignment, false);
        }
        let environment = self.variables.clone();
        let expanded = {
            // `x=1 echo $x` expands the x of before.
            self.variables = before.clone();
            let mut expanded = name.map(|name| self.words(name)).unwrap_or_default();
            for word in words {
                expanded.extend(self.words(word));
                if expanded.len() > WORDS {
                    self.seen.is_cut = true;
                    return;
                }
            }
            expanded
        };
        if !is_understood || name.is_none() {
            return;
        }
        if assignments.is_empty() {
            self.stdin = stdin;
            self.invoke(expanded, judge);
        } else {
            self.inside(environment, |walker| {
                walker.stdin = stdin;
                walker.invoke(expanded, judge);
            });
        }
        self.stdin = None;
        if let Some(next) = next {
            self.statement = self.text.place(next[0].start_byte());
            let words: Vec<Text> = next.into_iter().flat_map(|word| self.words(word)).take(WORDS).collect();
            self.invoke(words, judge_of_next);
        }
    }

    /// `name=value`, `name+=value`, `name=(…)`.
    pub(super) fn assignment(&mut self, node: Node<'t>, local: bool) {
        let Some(target) = node.child_by_field_name("name") else { return };
        let value = node.child_by_field_name("value");
        let adds = fields(node).iter().any(|(_, child)| child.kind() == "+=");
        let name = self.raw(target);
        let mut new = match value {
            Some(value) if value.kind() == "array" => {
                let words: Vec<Text> = parts(value).into_iter().flat_map(|part| self.words(part)).collect();
                if words.len() > WORDS { Value::Unknown } else { Value::Words(Rc::new(words)) }
            }
            Some(value) => Value::Text(Rc::new(self.one(value))),
            None => Value::Text(Rc::default()),
        };
        if target.kind() == "subscript" {
            let array = name.split('[').next().unwrap_or_default();
            return self.assign(array, Some(Value::Unknown), local);
        }
        if adds {
            new = match (self.variables.get(name), new) {
                (Some(Value::Words(old)), Value::Words(more)) if old.len() + more.len() <= WORDS => {
                    Value::Words(Rc::new(old.iter().chain(more.iter()).cloned().collect()))
                }
                (Some(Value::Text(old)), Value::Text(more)) if old.as_str().len() <= LONGEST => {
                    let mut text = Text::clone(old);
                    text.append(&more);
                    Value::text(text)
                }
                _ => Value::Unknown,
            };
        }
        self.assign(name, Some(new), local);
    }

    /// `export`, `local`, `readonly`, `declare`, `typeset`.
    pub(super) fn declaration(&mut self, node: Node<'t>) {
        let keyword = node.child(0).map(|keyword| keyword.kind()).unwrap_or_default();
        let local = ["local", "declare", "typeset"].contains(&keyword);
        for part in parts(node) {
            match part.kind() {
                "variable_assignment" => self.assignment(part, local),
                "variable_name" if local => {
                    let name = self.raw(part);
                    self.assign(name, Some(Value::Text(Rc::default())), true);
                }
                _ => {}
            }
        }
    }

    /// A statement with redirections behind it, here-documents among them.
    pub(super) fn redirected(&mut self, node: Node<'t>, mut judge: Option<Judge>) {
        let mut body = None;
        let mut after = Vec::new();
        let mut documents = Vec::new();
        for (field, child) in fields(node) {
            match (field, child.kind()) {
                (Some("body"), _) => body = Some(child),
                (_, "heredoc_redirect") => {
                    documents.extend(self.here_document(child, &mut after, &mut judge));
                }
                (_, "herestring_redirect") => {
                    documents.extend(parts(child).first().map(|text| self.one(*text)));
                }
                _ => self.redirect(child),
            }
        }
        let is_read = body.is_some_and(|body| body.kind() == "command");
        let written = documents.pop();
        if is_read {
            self.stdin.clone_from(&written);
        }
        if let Some(body) = body {
            self.run(body, judge);
        }
        self.stdin = None;
        if let Some(written) = written {
            self.written_file(&written);
        }
        for (right, judge) in after {
            self.run(right, judge);
        }
    }

    /// A here-document's text; what stands behind it on its line goes to `after`.
    fn here_document(
        &mut self,
        node: Node<'t>,
        after: &mut Vec<(Node<'t>, Option<Judge>)>,
        judge: &mut Option<Judge>,
    ) -> Option<Text> {
        let mut text = None;
        let mut is_literal = false;
        let mut operator = "";
        for (field, child) in fields(node) {
            match (field, child.kind()) {
                (_, "heredoc_start") => is_literal = self.raw(child).contains(['\'', '"', '\\']),
                (_, "heredoc_body") => text = Some(self.document(child, is_literal)),
                (_, "&&" | "||") => operator = child.kind(),
                (Some("right"), _) => {
                    let used = match operator {
                        "&&" => Some(Judge::And),
                        _ if guard::ignores(self.raw(child)) => None,
                        _ => Some(Judge::Or),
                    };
                    let outer = std::mem::replace(judge, used);
                    after.push((child, outer));
                }
                (_, "pipeline") => after.push((child, judge.take())),
                (Some("redirect"), _) => self.redirect(child),
                _ => {}
            }
        }
        text
    }

    /// Where a redirection leads: a process substitution runs something.
    fn redirect(&mut self, node: Node<'t>) {
        if let Some(destination) = node.child_by_field_name("destination") {
            self.words(destination);
        }
    }

    /// A here-document that is a script or a unit file of its own.
    fn written_file(&mut self, written: &Text) {
        let text = written.as_str().trim_start();
        let first = text.lines().next().unwrap_or_default();
        if source::is_shell_line(first) {
            super::script(&written.as_script(), Variables::default(), self.seen);
        } else if source::is_unit(text) {
            super::unit(written, true, self.seen);
        }
    }
}

/// Whether what stands between two words is the end of a line.
fn ends_line(between: &str) -> bool {
    between.contains('\n') && !between.contains("\\\n")
}
