//! The process that reads scripts: `tmux-janitor-audit FILE...`. It answers a line for each file, in their order
//! (crates/audit-wire); `tmux-janitor audit` starts it.
//!
//! The parser is a big table and a piece of C that reads files of strangers. Neither belongs into a program that runs
//! as a service, so this is a program of its own.
//!
//! The rooms, each of which knows only those above it:
//!
//! [`text`] is text that knows its places in the file, and what in it is not known; no rule speaks of that. [`variables`]
//! holds what is known of them at a point, and [`call`] what the rules look at. [`grammar`] makes a syntax tree of a script.
//! [`tmux_words`], [`wrappers`] and [`exec_line`] read the words of a call of tmux, of a program that runs another, of a
//! unit's command; [`reach`] knows what a removal in /tmp comes to. [`mod@unit`] and [`cron`] read unit files and tables of
//! cron, [`source`] a file, and tells which of them it is. [`shell`] goes through scripts and notes the calls, [`rules`] say
//! what they have against calls, and [`look`] does all of it to one file.

mod call;
mod cron;
mod exec_line;
mod grammar;
mod look;
mod reach;
mod rules;
mod shell;
mod source;
mod text;
mod tmux_words;
mod unit;
mod variables;
mod wrappers;

use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Most memory that it may take, in bytes: what needs more is no script.
const MEMORY: u64 = 2 << 30;
/// The stack, in bytes, of what goes through nested statements; what is not used costs nothing.
const STACK: usize = 256 << 20;

/// `sysexits.h`: a bug of ours.
const BUG: u8 = 70;
/// The command line was wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let files: Vec<OsString> = std::env::args_os().skip(1).filter(|word| word != "--").collect();
    if files.is_empty() || files.iter().any(|file| file == "--help" || file == "--version") {
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(
            std::io::stderr(),
            "tmux-janitor-audit {version} is the part of tmux-janitor that reads scripts: call tmux-janitor audit FILE..."
        );
        return ExitCode::from(USAGE);
    }
    // A parser that crashes on a hostile file leaves no core, and takes no machine with it.
    for (resource, most) in [(Resource::Core, 0), (Resource::As, MEMORY)] {
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
    let work = std::thread::Builder::new().stack_size(STACK).spawn(move || answer(&files));
    match work.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        _ => ExitCode::from(BUG),
    }
}

fn answer(files: &[OsString]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for file in files {
        let mut line = serde_json::to_vec(&look::file(Path::new(file)))?;
        line.push(b'\n');
        stdout.write_all(&line)?;
        stdout.flush()?;
    }
    Ok(())
}
