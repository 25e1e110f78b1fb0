//! From the blocks of a page to what is run, and from what was said to what is wrong. Pure.

use super::page::{Block, Order, Page};
use super::transcript::{self, Numbers};

/// What is run one after the other in one place.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) page: String,
    pub(crate) order: Order,
    pub(crate) steps: Vec<Step>,
}

/// One command, or a script.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) script: String,
    pub(crate) wants: Wants,
}

/// What a step must come to.
#[derive(Debug)]
pub(crate) enum Wants {
    /// Exit code 0, whatever it says.
    Success,
    /// These lines, whatever its exit code.
    Lines(Vec<String>),
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: String,
    pub(crate) text: String,
}

/// The scenes of a page: of its blocks of commands.
pub(crate) fn of(page: &Page) -> Result<Vec<Scene>, String> {
    let mut scenes: Vec<Scene> = vec![];
    for block in &page.blocks {
        if let Order::SavedAs(file) = &block.order {
            let script = format!("cat >{file} <<'THE END OF IT'\n{}THE END OF IT", block.text);
            let save = Step { line: block.line, script, wants: Wants::Success };
            scenes.push(Scene { page: page.name.clone(), order: Order::Here, steps: vec![save] });
            continue;
        }
        if !matches!(block.language.as_str(), "console" | "sh") || matches!(block.order, Order::NotRun(_)) {
            continue;
        }
        let new = steps(block).map_err(|what| format!("{}:{}: {what}", page.name, block.line))?;
        match (&block.order, scenes.last_mut()) {
            (Order::Continued, Some(last)) => last.steps.extend(new),
            (Order::Continued, None) => {
                return Err(format!("{}:{}: there is nothing to continue", page.name, block.line));
            }
            (order, _) => {
                scenes.push(Scene { page: page.name.clone(), order: order.clone(), steps: new });
            }
        }
    }
    Ok(scenes)
}

fn steps(block: &Block) -> Result<Vec<Step>, String> {
    let mut steps = vec![];
    if !block.before.trim().is_empty() {
        let script = format!("set -e\n{}\nset +e", block.before);
        steps.push(Step { line: block.line, script, wants: Wants::Success });
    }
    if block.language == "sh" {
        let script = format!("set -e\n{}\nset +e", block.text);
        steps.push(Step { line: block.line, script, wants: Wants::Success });
    } else {
        steps.extend(transcript::parse(&block.text)?.into_iter().map(|exchange| Step {
            line: block.line,
            script: exchange.command,
            wants: Wants::Lines(exchange.expected),
        }));
    }
    Ok(steps)
}

impl Scene {
    /// What is wrong with what was said, in sentences.
    pub(crate) fn wrong(&self, said: &[Said]) -> Vec<String> {
        let mut numbers = Numbers::new();
        let mut wrong = vec![];
        for (at, step) in self.steps.iter().enumerate() {
            let place = format!("{}:{}: {}", self.page, step.line, step.script);
            let Some(said) = said.get(at) else {
                wrong.push(format!("{place}\n-- was not run: a step before it ended the shell"));
                break;
            };
            match &step.wants {
                Wants::Success if said.code == "0" => {}
                Wants::Success => {
                    wrong.push(format!("{place}\n-- ended with {} and said:\n{}", said.code, said.text));
                }
                Wants::Lines(expected) if transcript::says(expected, &said.text, &mut numbers) => {}
                Wants::Lines(expected) => wrong.push(format!(
                    "{place}\n-- is to say:\n{}\n-- and said (exit code {}):\n{}",
                    expected.join("\n"),
                    said.code,
                    said.text
                )),
            }
        }
        wrong
    }
}
