//! `audit`: what in scripts and unit files endangers tmux servers.
//!
//! The parser is a big table and a piece of C that reads files of strangers. Neither belongs into a program that runs
//! as a service, so there are two: [`run`] is the janitor's side, which starts `tmux-janitor-audit` ([`reader`]),
//! believes no more of it than its [`answer`], and goes on with the next file where it crashed.
//!
//! In there: [`source`] reads a file, [`grammar`] makes a syntax tree of it, [`walk`] goes through the tree as a
//! shell would ([`branches`], [`command`]), with what [`scope`] knows of the variables and [`expand`] makes of words; [`unit`] and [`cron`] do the same
//! for unit files and tables of cron; [`reach`] knows what a removal in /tmp comes to. What they see called goes through [`invoke`] and becomes [`call`]s, and the [`rules`] look at
//! nothing else. What is not known stays unknown ([`text`]), and no rule speaks of it.

#[path = "../../crates/audit-wire/src/lib.rs"]
pub mod answer;
#[path = "../../crates/audit/src/branches.rs"]
mod branches;
#[path = "../../crates/audit/src/call.rs"]
mod call;
#[path = "../../crates/audit/src/command.rs"]
mod command;
#[path = "../../crates/audit/src/cron.rs"]
mod cron;
#[path = "../../crates/audit/src/exec_line.rs"]
mod exec_line;
#[path = "../../crates/audit/src/expand.rs"]
mod expand;
#[path = "../../crates/audit/src/grammar.rs"]
mod grammar;
#[path = "../../crates/audit/src/guard.rs"]
mod guard;
#[path = "../../crates/audit/src/invoke.rs"]
mod invoke;
#[path = "../../crates/audit/src/look.rs"]
mod look;
#[path = "../../crates/audit/src/parameter.rs"]
mod parameter;
#[path = "../../crates/audit/src/reach.rs"]
mod reach;
#[path = "../../crates/audit/src/main.rs"]
pub mod reader;
#[path = "../../crates/audit/src/rules/mod.rs"]
mod rules;
#[path = "../../crates/audit/src/scope.rs"]
mod scope;
#[path = "../../crates/audit/src/source.rs"]
mod source;
#[path = "../../crates/audit/src/substitution.rs"]
mod substitution;
#[path = "../../crates/audit/src/text.rs"]
mod text;
#[path = "../../crates/audit/src/tmux_words.rs"]
mod tmux_words;
#[path = "../../crates/audit/src/unit.rs"]
mod unit;
#[path = "../../crates/audit/src/walk.rs"]
mod walk;
#[path = "../../crates/audit/src/wrappers.rs"]
mod wrappers;

use crate::child::{self, End, Ended};
use crate::error::Error;
use answer::{Answer, Refusal, RefusalKind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The program that reads scripts.
const READER: &str = "tmux-janitor-audit";
/// How many files one process is given.
const BATCH: usize = 64;
/// How long it may take for them. It gives up on a single file long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at files; an answer for each, in their order.
pub fn run(files: &[PathBuf]) -> Result<Vec<Answer>, Error> {
    let reader = find_reader()?;
    let mut answers: Vec<Answer> = Vec::new();
    while let Some(rest) = files.get(answers.len()..).filter(|rest| !rest.is_empty()) {
        let batch = &rest[..rest.len().min(BATCH)];
        let mut command = Command::new(&reader);
        // It may not look like an option.
        command.arg("--").args(
            batch
                .iter()
                .map(|file| if file.is_absolute() { file.clone() } else { Path::new(".").join(file) }),
        );
        let ended = child::run(&mut command, PATIENCE)
            .map_err(|error| cannot_run(&reader, &crate::words::io_text(&error)))?;
        let more = answers_of(&ended);
        if more.is_empty() {
            answers.push(crashed(&ended));
        }
        answers.extend(more.into_iter().take(batch.len()));
    }
    Ok(answers)
}

/// The whole lines that it wrote.
fn answers_of(ended: &Ended) -> Vec<Answer> {
    let lines = ended.out.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.map_while(|line| serde_json::from_slice(line).ok()).collect()
}

/// It ended before it had an answer for its first file.
fn crashed(ended: &Ended) -> Answer {
    let how = match ended.end {
        End::Signal(signal) => format!("crashed on it (signal {signal})"),
        End::Code(code) => format!("ended on it with code {code}"),
        End::GivenUp => "did not come to an end with it".to_owned(),
    };
    let what = format!("cannot be audited: {READER} {how}; please report it");
    Answer { refusal: Some(Refusal { kind: RefusalKind::Bug, what }), ..Answer::default() }
}

/// Beside our own program, or where distributions put what people do not call.
fn find_reader() -> Result<PathBuf, Error> {
    let own = std::env::current_exe()
        .map_err(|error| cannot_run(Path::new(READER), &crate::words::io_text(&error)))?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let places = [
        folder.join(READER),
        folder.join("../libexec").join(READER),
        folder.join("../lib/tmux-janitor").join(READER),
    ];
    places.iter().find(|place| place.is_file()).cloned().ok_or_else(|| {
        Error::Incomplete(format!(
            "{READER} is missing, the part of tmux-janitor that reads scripts: it belongs beside {} or into {}; install it from the same build",
            crate::escape::escaped(&own),
            crate::escape::escaped(&folder.join("../libexec"))
        ))
    })
}

fn cannot_run(reader: &Path, why: &str) -> Error {
    Error::Incomplete(format!("{} cannot be run: {why}", crate::escape::escaped(reader)))
}
