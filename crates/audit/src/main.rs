//! The process that reads scripts: `tmux-janitor-audit FILE...`. It answers a line for each file, in their order.

use super::look;
use crate::exit::Exit;
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

/// Most memory that it may take, in bytes: what needs more is no script.
const MEMORY: rlim_t = 2 << 30;
/// The stack, in bytes, of what goes through nested statements; what is not used costs nothing.
const STACK: usize = 256 << 20;

/// Runs the program: from its arguments, the first being its name, to its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let files: Vec<OsString> = arguments.into_iter().skip(1).filter(|word| word != "--").collect();
    if files.is_empty() || files.iter().any(|file| file == "--help" || file == "--version") {
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(
            std::io::stderr(),
            "tmux-janitor-audit {version} is the part of tmux-janitor that reads scripts: call tmux-janitor audit FILE..."
        );
        return Exit::Usage;
    }
    // A parser that crashes on a hostile file leaves no core, and takes no machine with it.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY);
    let work = std::thread::Builder::new().stack_size(STACK).spawn(move || answer(&files));
    match work.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => Exit::Done,
        _ => Exit::Bug,
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
