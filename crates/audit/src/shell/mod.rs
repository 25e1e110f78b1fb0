//! Going through a script the way a shell would: each statement once, every branch, functions where they
//! are called, with what is known of the variables at that point.

mod branches;
mod command;
mod guard;
mod invoke;
mod words;

use crate::call::{Call, Judge, Service, What};
use crate::grammar::{self, Contents, parts};
use crate::reach::Reach;
use crate::text::Text;
use crate::unit::{self, Unit, UnitCommand};
use crate::variables::{Value, Variables};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tree_sitter::Node;

/// How deep statements, words, calls and scripts in scripts may nest before they are no longer looked into.
const DEPTH: usize = 160;
/// How many statements and words of a file are gone through, the same ones again counted.
const STEPS: usize = 300_000;
/// How many words a command may have.
const WORDS: usize = 10_000;
/// How often one function is gone through.
const CALLS: usize = 50;

/// What all scripts of one file share.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) calls: Vec<Call>,
    /// Comments: where they stand, and what they say.
    pub(super) comments: Vec<(usize, String)>,
    /// Where the first thing stands that is no shell.
    pub(super) error: Option<usize>,
    /// How long this thread may have worked when the grammar gives up.
    pub(super) deadline: Duration,
    /// Not all was looked at: it took too long, or was nested too deep.
    pub(super) is_cut: bool,
    /// The whole file took too long to be understood.
    pub(super) is_unread: bool,
    /// What the next script's first command reads.
    pub(super) stdin: Option<Text>,
    /// Nothing is noted: these words are gone through a second time.
    quiet: bool,
    depth: usize,
    steps: usize,
}

impl Seen {
    /// Nothing found yet.
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            calls: Vec::new(),
            comments: Vec::new(),
            error: None,
            deadline,
            is_cut: false,
            is_unread: false,
            stdin: None,
            quiet: false,
            depth: 0,
            steps: 0,
        }
    }
}

/// Goes through one script.
#[derive(Debug)]
struct Walker<'s, 't> {
    text: &'t Text,
    /// What is known here.
    variables: Variables,
    /// What all scripts of the file share.
    seen: &'s mut Seen,
    /// The service that runs it, in a unit file.
    service: Option<Service>,
    /// It runs in a scope of its own.
    scoped: bool,
    /// Its functions; nothing where it is not known which of several it is.
    functions: HashMap<String, Option<Node<'t>>>,
    /// Functions of the script around this one: what they do is not known here.
    strangers: Rc<HashSet<String>>,
    /// What judges the exit code of the next `$(…)`.
    substitution_judge: Option<Judge>,
    /// Where the statement begins that is being looked at.
    statement: usize,
    /// What the command that is being looked at reads.
    stdin: Option<Text>,
    /// What the last find(1) of a pipeline prints of tmux's, and where it stands.
    listed: Option<(usize, Reach)>,
    /// What the stage before in a pipeline has printed of it.
    piped: Option<(usize, Reach)>,
    called: HashMap<String, usize>,
    calling: Vec<String>,
    locals: Vec<Vec<(String, Option<Value>)>>,
}

/// Goes through a script that nothing is around.
pub(super) fn script(text: &Text, variables: Variables, seen: &mut Seen) {
    inner_script(text, variables, seen, Around::default(), None);
}

/// Goes through the commands of a unit; or, where it is not the whole one, of a drop-in.
pub(super) fn unit(text: &Text, is_whole: bool, seen: &mut Seen) {
    let Unit { comments, commands } = unit::read(text, is_whole);
    seen.comments.extend(comments);
    for UnitCommand { words, variables, service } in commands {
        let nothing = Text::default();
        let around = Around { service: Some(service), ..Around::default() };
        let mut walker = Walker::new(&nothing, variables, seen, around, HashMap::new());
        walker.statement = words.first().map_or(0, Text::begin);
        walker.invoke(words, None);
    }
}

/// What is around a script.
#[derive(Debug, Default)]
struct Around {
    /// The service that runs it.
    service: Option<Service>,
    /// It runs in a scope of its own.
    scoped: bool,
    /// The functions of the script that it is part of.
    strangers: Rc<HashSet<String>>,
}

/// Goes through a script that is the whole of `text`.
fn inner_script(text: &Text, variables: Variables, seen: &mut Seen, around: Around, judge: Option<Judge>) {
    if seen.depth >= DEPTH {
        seen.is_cut = true;
        return;
    }
    let Some(tree) = grammar::parse(text, seen.deadline) else {
        seen.is_cut = true;
        seen.is_unread = seen.depth == 0;
        return;
    };
    let Contents { comments, functions, error } = grammar::contents(&tree, text.as_str());
    for (start, end) in comments {
        let comment = text.as_str().get(start..end).unwrap_or_default();
        seen.comments.push((text.place(start), comment.to_owned()));
    }
    if let Some(error) = error.map(|error| text.place(error)) {
        seen.error = Some(seen.error.map_or(error, |known| known.min(error)));
    }
    let mut walker = Walker::new(text, variables, seen, around, functions);
    walker.run(tree.root_node(), judge);
    walker.never_called();
}

impl<'s, 't> Walker<'s, 't> {
    fn new(
        text: &'t Text,
        variables: Variables,
        seen: &'s mut Seen,
        Around { service, scoped, strangers }: Around,
        functions: HashMap<String, Option<Node<'t>>>,
    ) -> Self {
        let stdin = seen.stdin.take();
        Self {
            text,
            variables,
            seen,
            service,
            scoped,
            functions,
            strangers,
            substitution_judge: None,
            statement: text.place(0),
            stdin,
            listed: None,
            piped: None,
            called: HashMap::new(),
            calling: Vec::new(),
            locals: Vec::new(),
        }
    }
}

impl<'t> Walker<'_, 't> {
    fn raw(&self, node: Node<'_>) -> &'t str {
        self.text.as_str().get(node.byte_range()).unwrap_or_default()
    }

    /// One step deeper, unless that is too deep or too late.
    fn enter(&mut self) -> bool {
        self.seen.steps += 1;
        if self.seen.steps > STEPS || self.seen.depth >= DEPTH {
            self.seen.is_cut = true;
            return false;
        }
        self.seen.depth += 1;
        true
    }

    /// One step back.
    fn leave(&mut self) {
        self.seen.depth -= 1;
    }

    /// Looks without noting anything.
    fn quietly<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.seen.quiet, true);
        let seen = look(self);
        self.seen.quiet = before;
        seen
    }

    fn note(&mut self, place: usize, what: What) {
        if !self.seen.quiet {
            let (statement, service) = (self.statement.min(place), self.service);
            self.seen.calls.push(Call { place, statement, what, service });
        }
    }

    /// Notes a text that is looked for, if it is one of tmux's.
    fn note_match(&mut self, text: &Text) {
        let lower = text.as_str().to_lowercase();
        if ["server running", "error connecting", "no such file"].iter().any(|known| lower.contains(known)) {
            self.note(text.begin(), What::Match(text.clone()));
        }
    }

    /// The same for a part of the script: a test, a pattern.
    fn note_match_of(&mut self, node: Node<'t>) {
        let mut text = Text::default();
        text.push_part(self.text, node.start_byte(), node.end_byte());
        self.note_match(&text);
    }

    /// Goes through what nobody called: its parameters are not known.
    fn never_called(&mut self) {
        let mut names: Vec<String> =
            self.functions.keys().filter(|name| !self.called.contains_key(*name)).cloned().collect();
        names.sort();
        for name in names {
            if let Some(Some(body)) = self.functions.get(&name).copied() {
                let mut variables = self.variables.clone();
                variables.params = None;
                self.inside(variables, |walker| walker.function(&name, body, None));
            }
        }
    }

    /// Goes through something that leaves no trace in the variables.
    fn inside(&mut self, variables: Variables, run: impl FnOnce(&mut Self)) -> Variables {
        let before = std::mem::replace(&mut self.variables, variables);
        run(self);
        std::mem::replace(&mut self.variables, before)
    }

    fn function(&mut self, name: &str, body: Node<'t>, judge: Option<Judge>) {
        let times = self.called.entry(name.to_owned()).or_default();
        *times += 1;
        if *times > CALLS || self.calling.iter().any(|calling| calling == name) || !self.enter() {
            return;
        }
        self.calling.push(name.to_owned());
        self.locals.push(Vec::new());
        let statement = self.statement;
        self.run(body, judge);
        self.statement = statement;
        for (local, value) in self.locals.pop().unwrap_or_default().into_iter().rev() {
            self.variables.set(&local, value);
        }
        self.calling.pop();
        self.leave();
    }

    /// Calls a function, if it is one.
    fn call_function(&mut self, words: &[Text], place: usize, judge: Option<Judge>) -> bool {
        let Some(name) = words.first().map(|name| name.as_str().to_owned()) else { return false };
        if self.strangers.contains(&name) {
            return true;
        }
        let Some(body) = self.functions.get(&name).copied() else { return false };
        let params = words[1..].iter().cloned().map(|mut word| {
            word.site = word.site.or(Some(place));
            word
        });
        let params: Vec<Text> = params.collect();
        let is_known = !params.iter().any(Text::may_split);
        let before = self.variables.params.take();
        self.variables.params = is_known.then(|| Rc::new(params));
        if let Some(body) = body {
            self.function(&name, body, judge);
        }
        self.variables.params = before;
        true
    }

    /// Gives a variable a value; `local`: until the function ends.
    fn assign(&mut self, name: &str, value: Option<Value>, local: bool) {
        if local {
            if let Some(locals) = self.locals.last_mut() {
                locals.push((name.to_owned(), self.variables.get(name).cloned()));
            }
        }
        self.variables.set(name, value);
    }

    /// Statements one after the other; the last one's exit code is that of them all.
    fn statements(&mut self, nodes: &[Node<'t>], judge: Option<Judge>) {
        for (index, node) in nodes.iter().enumerate() {
            let judge = match nodes.get(index + 1) {
                Some(next) => self.asks(*next).then_some(Judge::Asked),
                None => judge,
            };
            let before = self.statement;
            self.statement = self.text.place(node.start_byte());
            self.run(*node, judge);
            self.statement = before;
        }
    }

    /// Whether a statement looks at `$?` before anything else can have changed it.
    fn asks(&self, node: Node<'t>) -> bool {
        let head = match node.kind() {
            "if_statement" | "while_statement" => node.child_by_field_name("condition"),
            "case_statement" => node.child_by_field_name("value"),
            "list" => parts(node).first().copied(),
            "command"
            | "variable_assignment"
            | "declaration_command"
            | "test_command"
            | "redirected_statement"
            | "compound_statement" => Some(node),
            _ => None,
        };
        head.is_some_and(|head| head.end_byte() - head.start_byte() < 400 && self.raw(head).contains("$?"))
    }

    /// One statement. `judge`: what makes use of its exit code.
    fn run(&mut self, node: Node<'t>, judge: Option<Judge>) {
        if !self.enter() {
            return;
        }
        match node.kind() {
            "command" => self.command(node, judge),
            "declaration_command" => self.declaration(node),
            "variable_assignment" => {
                self.substitution_judge = judge;
                self.assignment(node, false);
                self.substitution_judge = None;
            }
            "variable_assignments" => {
                for part in parts(node) {
                    self.assignment(part, false);
                }
            }
            "unset_command" => {
                for part in parts(node) {
                    let name = self.raw(part);
                    self.variables.set(name, None);
                }
            }
            "list" => self.list(node, judge),
            "pipeline" => self.pipeline(&parts(node), judge),
            "redirected_statement" => self.redirected(node, judge),
            "if_statement" => self.condition(node, judge),
            "while_statement" => self.repetition(node),
            "for_statement" => self.for_each(node),
            "case_statement" => self.case(node, judge),
            "subshell" => {
                let variables = self.variables.clone();
                self.inside(variables, |walker| walker.statements(&parts(node), judge));
            }
            "function_definition" | "comment" => {}
            "test_command" => {
                self.note_match_of(node);
                for part in parts(node) {
                    self.run(part, None);
                }
            }
            "program" | "compound_statement" | "do_group" | "else_clause" | "negated_command" | "ERROR" => {
                self.statements(&parts(node), judge);
            }
            "string"
            | "raw_string"
            | "word"
            | "concatenation"
            | "expansion"
            | "simple_expansion"
            | "command_substitution" => {
                self.words(node);
            }
            _ => {
                for part in parts(node) {
                    self.run(part, None);
                }
            }
        }
        self.leave();
    }
}
