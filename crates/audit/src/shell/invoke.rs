//! What a command's words call: a function, tmux, `rm`, or another program that runs one of these.

use super::{Around, Walker, inner_script};
use crate::call::{Judge, TmuxCall, What};
use crate::reach::{self, Reach};
use crate::text::{SPLIT, Text, UNKNOWN};
use crate::tmux_words;
use crate::variables::{Value, Variables};
use crate::wrappers::{self, Inner};
use std::collections::HashSet;
use std::rc::Rc;

impl Walker<'_, '_> {
    /// Calls what the words say.
    pub(super) fn invoke(&mut self, words: Vec<Text>, judge: Option<Judge>) {
        let Some(first) = words.first() else { return };
        let place = first.begin();
        if let Some(alias) = self.variables.alias(first.as_str()).cloned() {
            let mut expanded: Vec<Text> = alias.split(place).collect();
            expanded.extend(words.into_iter().skip(1));
            return self.program(&expanded, judge);
        }
        if first.is_known() && self.call_function(&words, place, judge) {
            return;
        }
        self.program(&words, judge);
    }

    /// Runs a program; functions and aliases are past.
    fn program(&mut self, words: &[Text], judge: Option<Judge>) {
        let Some(first) = words.first() else { return };
        let Some(name) = first.base().map(str::to_owned) else {
            return self.note_program(first, "");
        };
        if first.may_split() || !self.enter() {
            return;
        }
        match name.as_str() {
            "tmux" => self.tmux(words, judge),
            "rm" | "unlink" | "shred" => self.remove(&words[1..]),
            "tmpwatch" | "tmpreaper" => self.reap(words),
            "cd" | "pushd" => {
                let to = words.iter().skip(1).find(|word| !word.as_str().starts_with('-'));
                let to = to.map(|word| self.resolved(word)).filter(|to| to.as_str().starts_with('/'));
                self.variables.set("PWD", Some(to.map_or(Value::Unknown, Value::text)));
            }
            "grep" | "egrep" | "fgrep" | "rg" | "awk" | "gawk" | "mawk" | "sed" | "expr" | "test" => {
                for word in &words[1..] {
                    self.note_match(word);
                }
                self.note_program(first, &name);
            }
            "find" => self.find(words, judge),
            "eval" => {
                let mut line = Text::default();
                for word in &words[1..] {
                    line.append(word);
                    line.push(" ", word.place(0));
                }
                self.nested(&line.as_script(), judge);
            }
            "trap" => {
                let handler = words.iter().skip(1).find(|word| word.as_str() != "--");
                if let Some(handler) = handler.filter(|handler| !handler.as_str().starts_with('-')) {
                    let is_function = self.functions.contains_key(handler.as_str());
                    if is_function {
                        let variables = self.variables.clone();
                        let call = vec![handler.clone()];
                        self.inside(variables, |walker| walker.invoke(call, None));
                    } else {
                        self.nested(&handler.as_script(), None);
                    }
                }
            }
            "alias" => self.make_aliases(&words[1..]),
            "set" => {
                if let Some(at) = words.iter().position(|word| word.as_str() == "--") {
                    let params = words[at + 1..].to_vec();
                    let is_known = !params.iter().any(Text::may_split);
                    self.variables.params = is_known.then(|| Rc::new(params));
                }
            }
            "shift" => {
                let by = words.get(1).map_or(Some(1), |count| count.as_str().parse::<usize>().ok());
                let params = self.variables.params.take();
                self.variables.params = params
                    .zip(by)
                    .map(|(params, by)| Rc::new(params.get(by..).map(<[Text]>::to_vec).unwrap_or_default()));
            }
            "read" | "mapfile" | "readarray" | "getopts" | "printf" => {
                for word in &words[1..] {
                    let name = word.as_str();
                    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                    if is_name
                        && (name != "printf" || words[1].as_str() == "-v")
                        && self.variables.get(name).is_some()
                    {
                        self.variables.set(name, Some(Value::Unknown));
                    }
                }
            }
            _ => self.wrapped(&name, words, judge),
        }
        self.leave();
    }

    /// A program that runs another one.
    fn wrapped(&mut self, name: &str, words: &[Text], judge: Option<Judge>) {
        let Some(inner) = wrappers::unwrap(name, words) else {
            if let Some(first) = words.first() {
                self.note_program(first, name);
            }
            return;
        };
        if let (Some((place, reach)), "xargs", Inner::Words(inner, _)) = (self.piped, name, &inner) {
            let all = inner.iter().any(|word| reach::is_recursive(word.as_str()));
            if matches!(inner.first().and_then(Text::base), Some("rm" | "unlink")) && reach.hurts(all) {
                self.note(place, What::Clear);
            }
        }
        let mut variables = self.variables.clone();
        if name == "env" {
            for pair in words.windows(2).filter(|pair| ["-u", "--unset"].contains(&pair[0].as_str())) {
                variables.set(pair[1].as_str(), None);
            }
        }
        // What runs as somebody else or elsewhere does not have our variables.
        if ["ssh", "su", "sudo", "doas", "runuser"].contains(&name) {
            variables.set("TMUX", None);
            variables.set("TMUX_TMPDIR", None);
        }
        let before = self.scoped;
        self.scoped |= name == "systemd-run";
        match inner {
            Inner::Words(inner, sets) => {
                for set in sets {
                    if let Some((variable, value)) = set.as_str().split_once('=') {
                        let text = Text::made(value, set.place(0));
                        variables.set(variable, Some(Value::text(text)));
                    }
                }
                let calls_function = name == "command" || name == "builtin" || name == "exec";
                let is_stranger = inner[0].is_known() && self.strangers.contains(inner[0].as_str());
                // `xargs` hands on words that are not known.
                let mut inner = inner;
                if name == "xargs" {
                    let more = Text::stand_in(SPLIT, words[0].place(0));
                    inner.push(more);
                }
                if calls_function || !is_stranger {
                    self.inside(variables, |walker| walker.program(&inner, judge));
                }
            }
            Inner::Script(text) => {
                self.inside(variables, |walker| walker.nested(&text, judge));
            }
            Inner::Stdin => {
                if let Some(text) = self.stdin.take() {
                    self.inside(variables, |walker| walker.nested(&text.as_script(), judge));
                }
            }
        }
        self.scoped = before;
    }

    /// A script in a word.
    fn nested(&mut self, text: &Text, judge: Option<Judge>) {
        let mut strangers: HashSet<String> = (*self.strangers).clone();
        strangers.extend(self.functions.keys().cloned());
        let mut variables: Variables = self.variables.clone();
        variables.params = None;
        let quiet = text.as_str().trim().is_empty();
        if !quiet {
            self.seen.stdin = self.stdin.take();
            let around = Around { service: self.service, scoped: self.scoped, strangers: Rc::new(strangers) };
            inner_script(text, variables, self.seen, around, judge);
        }
    }

    fn tmux(&mut self, words: &[Text], judge: Option<Judge>) {
        let Some(read) = tmux_words::read(&words[1..]) else { return };
        let place = read.site.or(words[0].site).unwrap_or_else(|| words[0].begin());
        let private = self.variables.is_set("TMUX") || self.variables.is_set("TMUX_TMPDIR");
        let (socket, verbs, foreground) = (read.socket, read.verbs, read.foreground);
        let call = TmuxCall { socket, verbs, private, scoped: self.scoped, foreground, judge };
        self.note(place, What::Tmux(call));
    }

    fn remove(&mut self, words: &[Text]) {
        let mut are_files = false;
        for word in words {
            if !are_files && word.as_str().starts_with('-') {
                are_files = word.as_str() == "--";
            } else {
                let place = word.site.unwrap_or_else(|| word.begin());
                let path = self.resolved(word);
                let all = words.iter().any(|word| reach::is_recursive(word.as_str()));
                let is_named = path.as_str().contains("tmux-");
                if !is_named && reach::of_path(path.as_str()).hurts(all) {
                    self.note(place, What::Clear);
                }
                self.note(place, What::Remove(path));
            }
        }
    }

    /// `tmpreaper --all 7d /tmp`: without that it passes by sockets.
    fn reap(&mut self, words: &[Text]) {
        let has = |is: fn(&str) -> bool| words.iter().any(|word| is(word.as_str()));
        let all = has(|word| {
            word == "--all" || (word.starts_with('-') && !word.starts_with("--") && word.contains('a'))
        });
        let folder = words.iter().skip(1).find(|word| reach::of_path(word.as_str()).folder);
        if let Some(folder) = folder.filter(|_| all && !has(|word| word.contains("tmux-"))) {
            self.note(folder.begin(), What::Clear);
        }
    }

    /// A path of which the working directory is known, in full.
    fn resolved(&self, word: &Text) -> Text {
        let is_relative = !word.as_str().starts_with(['/', SPLIT, UNKNOWN]);
        match self.variables.get("PWD") {
            Some(Value::Text(folder)) if is_relative && folder.is_known() => {
                let mut path = Text::default();
                path.push(folder.as_str().trim_end_matches('/'), word.place(0));
                path.push("/", word.place(0));
                path.append(word);
                path
            }
            _ => word.clone(),
        }
    }

    /// In a service, what else its command line runs.
    fn note_program(&mut self, first: &Text, name: &str) {
        if self.service.is_some() {
            self.note(first.begin(), What::Program(name.to_owned()));
        }
    }

    /// `find DIR… -delete`, `find DIR… -exec rm {} +`.
    fn find(&mut self, words: &[Text], judge: Option<Judge>) {
        let is_test = |word: &&Text| word.as_str().starts_with(['-', '(', '!']);
        let start =
            1 + words[1..].iter().take_while(|word| matches!(word.as_str(), "-H" | "-L" | "-P")).count();
        let end = words[start..].iter().position(|word| is_test(&word)).map_or(words.len(), |at| start + at);
        let exec = words.iter().position(|word| ["-exec", "-execdir", "-ok"].contains(&word.as_str()));
        let program = exec.and_then(|at| words.get(at + 1)).and_then(Text::base);
        let removes =
            words.iter().any(|word| word.as_str() == "-delete") || matches!(program, Some("rm" | "unlink"));
        // A name that is excluded is not meant.
        let is_meant = |at: usize| {
            ["-name", "-path"].contains(&words[at].as_str())
                && !["!", "-not"].contains(&words[at - 1].as_str())
        };
        let names = (1..words.len().saturating_sub(1)).filter(|at| is_meant(*at)).map(|at| &words[at + 1]);
        let names: Vec<&Text> = names.collect();
        let here = Text::made(".", words[0].place(0));
        let folders: Vec<Text> = match &words[start..end] {
            [] => vec![self.resolved(&here)],
            folders => folders.iter().map(|folder| self.resolved(folder)).collect(),
        };
        let mut is_of_tmp = false;
        for (at, folder) in folders.iter().enumerate() {
            let place = words.get(start + at).filter(|_| end > start).map_or(words[0].begin(), Text::begin);
            let found = reach::of_find(folder.as_str(), &words[end..]);
            if found.printed != Reach::default() {
                self.listed = Some((place, found.printed));
            }
            let is_named = names.iter().any(|name| name.as_str().contains("tmux-"));
            is_of_tmp |=
                reach::of_path(folder.as_str()) != Reach::default() && !folder.as_str().contains("tmux-");
            if found.removed.hurts(found.with_contents) && !is_named {
                self.note(place, What::Clear);
            }
        }
        if removes && !(is_of_tmp && words.iter().any(|word| word.as_str() == "-prune")) {
            for (at, folder) in folders.iter().enumerate() {
                let place =
                    words.get(start + at).filter(|_| end > start).map_or(words[0].begin(), Text::begin);
                for name in if names.is_empty() { vec![folder] } else { names.clone() } {
                    let mut path = folder.clone();
                    if !std::ptr::eq(name, folder) {
                        path.push("/", folder.place(0));
                        path.append(name);
                    }
                    self.note(place, What::Remove(path));
                }
            }
        } else if let Some(at) = exec {
            let command = words[at + 1..].iter().take_while(|word| !matches!(word.as_str(), ";" | "+"));
            let command: Vec<Text> = command.cloned().collect();
            self.program(&command, judge);
        }
    }

    fn make_aliases(&mut self, words: &[Text]) {
        for word in words {
            if let Some(at) = word.as_str().find('=') {
                let mut text = Text::default();
                text.push_part(word, at + 1, word.as_str().len());
                self.variables.set_alias(&word.as_str()[..at], text);
            }
        }
    }
}
