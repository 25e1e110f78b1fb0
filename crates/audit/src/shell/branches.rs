//! Where a script branches: lists, pipelines, conditions and loops. Every way is gone, and where ways meet only
//! what they agree on is known.

use super::Walker;
use super::guard;
use crate::call::Judge;
use crate::grammar::{each, fields, parts};
use crate::text::{Text, UNKNOWN};
use crate::variables::Value;
use tree_sitter::Node;

/// How many values of a `for` are gone through.
const VALUES: usize = 8;

impl<'t> Walker<'_, 't> {
    /// `a && b || c`, which the grammar nests on the left.
    pub(super) fn list(&mut self, node: Node<'t>, judge: Option<Judge>) {
        let mut rights = Vec::new();
        let mut first = node;
        while first.kind() == "list" {
            let children = fields(first);
            let operator =
                children.iter().map(|(_, child)| child.kind()).find(|kind| ["&&", "||"].contains(kind));
            let parts = parts(first);
            let (Some(left), Some(right)) = (parts.first(), parts.last()) else { return };
            rights.push((operator == Some("&&"), *right));
            first = *left;
        }
        rights.reverse();
        let judge_of = |walker: &Self, index: usize| match rights.get(index) {
            Some((true, right)) if !guard::is_verification(walker.raw(*right)) => Some(Judge::And),
            Some((false, right)) if !guard::ignores(walker.raw(*right)) => Some(Judge::Or),
            Some(_) => None,
            None => judge,
        };
        let first_judge = judge_of(self, 0);
        self.run(first, first_judge);
        let mut left = self.raw(first);
        let mut known = self.variables.clone();
        for (index, (is_and, right)) in rights.iter().enumerate() {
            let judge = judge_of(self, index + 1);
            let inside = guard::inside_tmux(left) == Some(*is_and);
            let ends = guard::ends(self.raw(*right));
            let mut variables = self.variables.clone();
            if inside {
                variables.set("TMUX", Some(Value::Unknown));
            }
            let mut after = self.inside(variables, |walker| walker.run(*right, judge));
            if inside {
                after.set("TMUX", known.get("TMUX").cloned());
            }
            if !ends {
                self.variables.merge(&after);
            } else if guard::inside_tmux(left) == Some(!*is_and) {
                self.variables.set("TMUX", Some(Value::Unknown));
            }
            left = self.raw(*right);
            known = self.variables.clone();
        }
    }

    /// All run in processes of their own; the last one's exit code counts.
    pub(super) fn pipeline(&mut self, stages: &[Node<'t>], judge: Option<Judge>) {
        for (index, stage) in stages.iter().enumerate() {
            let judge = judge.filter(|_| index + 1 == stages.len());
            let variables = self.variables.clone();
            self.piped = self.listed.take();
            self.inside(variables, |walker| walker.run(*stage, judge));
        }
        (self.piped, self.listed) = (None, None);
    }

    /// `if` and `elif`.
    pub(super) fn condition(&mut self, node: Node<'t>, judge: Option<Judge>) {
        let mut conditions = Vec::new();
        let mut body = Vec::new();
        let mut others = Vec::new();
        for (field, child) in fields(node) {
            match (field, child.kind()) {
                _ if !child.is_named() || child.kind() == "comment" => {}
                (Some("condition"), _) => conditions.push(child),
                (_, "elif_clause" | "else_clause") => others.push(child),
                // elif_clause has no field: what stands before its `then` is the condition.
                _ => body.push(child),
            }
        }
        if node.kind() == "elif_clause" {
            let then = fields(node).into_iter().find(|(_, child)| child.kind() == "then");
            let at = then.map_or(0, |(_, then)| then.start_byte());
            (conditions, body) = body.into_iter().partition(|part| part.start_byte() < at);
        }
        self.statements(&conditions, Some(Judge::If));
        let guard = conditions.last().and_then(|last| guard::inside_tmux(self.raw(*last)));
        let outside = self.variables.clone();
        let with = |inside: bool| {
            let mut variables = outside.clone();
            if inside {
                variables.set("TMUX", Some(Value::Unknown));
            }
            variables
        };
        let mut ways = Vec::new();
        let then_ends = body.last().is_some_and(|last| guard::ends(self.raw(*last)));
        let mut after = self.inside(with(guard == Some(true)), |walker| walker.statements(&body, judge));
        if guard == Some(true) {
            after.set("TMUX", outside.get("TMUX").cloned());
        }
        if !then_ends {
            ways.push(after);
        }
        let has_else = others.iter().any(|other| other.kind() == "else_clause");
        let mut rest = with(guard == Some(false));
        for other in others {
            let is_else = other.kind() == "else_clause";
            let mut after = self.inside(rest.clone(), |walker| {
                if is_else { walker.run(other, judge) } else { walker.condition(other, judge) }
            });
            if guard == Some(false) {
                after.set("TMUX", outside.get("TMUX").cloned());
            }
            ways.push(after.clone());
            if !is_else {
                rest.merge(&after);
            }
        }
        if !has_else {
            ways.push(if then_ends && guard == Some(false) { with(true) } else { outside });
        }
        let mut ways = ways.into_iter();
        if let Some(mut variables) = ways.next() {
            ways.for_each(|way| variables.merge(&way));
            self.variables = variables;
        }
    }

    /// `while` and `until`.
    pub(super) fn repetition(&mut self, node: Node<'t>) {
        let (mut conditions, mut body) = (Vec::new(), Vec::new());
        for (field, child) in fields(node).into_iter().filter(|(_, child)| child.is_named()) {
            match field {
                Some("body") => body.push(child),
                _ => conditions.push(child),
            }
        }
        self.forget_assigned(node);
        let before = self.variables.clone();
        self.statements(&conditions, Some(Judge::Loop));
        let variables = self.variables.clone();
        let after = self.inside(variables, |walker| {
            walker.statements(&body, None);
            // What was started is looked at by the condition again.
            walker.statements(&conditions, Some(Judge::Loop));
        });
        self.variables = before;
        self.variables.merge(&after);
    }

    /// `for`, with each of its values.
    pub(super) fn for_each(&mut self, node: Node<'t>) {
        let mut values = Vec::new();
        let mut name = "";
        let mut body = None;
        for (field, child) in fields(node) {
            match field {
                Some("variable") => name = self.raw(child),
                Some("value") => values.extend(self.words(child)),
                Some("body") => body = Some(child),
                _ => {}
            }
        }
        let Some(body) = body else { return };
        self.forget_assigned(body);
        let before = self.variables.clone();
        let is_known = !values.is_empty() && values.len() <= VALUES && !values.iter().any(Text::may_split);
        if !is_known {
            let unknown = Text::stand_in(UNKNOWN, self.text.place(node.start_byte()));
            values = vec![unknown];
        }
        for value in values {
            let mut variables = before.clone();
            variables.set(name, Some(Value::text(value)));
            let after = self.inside(variables, |walker| walker.run(body, None));
            self.variables.merge(&after);
        }
    }

    /// `case`: any of its ways.
    pub(super) fn case(&mut self, node: Node<'t>, judge: Option<Judge>) {
        let before = self.variables.clone();
        for (field, child) in fields(node) {
            if field == Some("value") {
                self.words(child);
            } else if child.kind() == "case_item" {
                for (_, pattern) in fields(child).into_iter().filter(|(field, _)| *field == Some("value")) {
                    self.note_match_of(pattern);
                }
                let body: Vec<_> = fields(child)
                    .into_iter()
                    .filter(|(field, part)| field.is_none() && part.is_named() && part.kind() != "comment")
                    .map(|(_, part)| part)
                    .collect();
                let after = self.inside(before.clone(), |walker| walker.statements(&body, judge));
                self.variables.merge(&after);
            }
        }
    }

    /// What a loop assigns is not known at its beginning.
    fn forget_assigned(&mut self, node: Node<'t>) {
        let mut names = Vec::new();
        each(node, &mut |node| {
            if node.kind() == "variable_assignment" {
                if let Some(name) = node.child_by_field_name("name") {
                    names.push(name);
                }
            }
        });
        for name in names {
            let name = self.raw(name);
            if self.variables.get(name).is_some() {
                self.variables.set(name, Some(Value::Unknown));
            }
        }
    }
}
