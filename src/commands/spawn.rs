//! One session on a socket of its own: what is asked for, and what is told of it.

use super::{load_settings, paths};
use crate::cli::{Global, Spawn};
use crate::exit::output::Output;
use crate::exit::{Error, Exit};
use crate::logging::journal;
use crate::spawn::{self, Done, Ending, Request};
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;

pub(super) fn spawn(global: &Global, arguments: &Spawn, output: &mut Output) -> Result<Exit, Error> {
    let settings = load_settings(global)?;
    let user = Uid::ours();
    let request = request_of(global, arguments)?;
    let spawned = match spawn::run(&settings, user, &request) {
        Done::Here(spawned) => spawned,
        Done::Outside(ended) => return spawn::result::pass_on(&ended, output),
    };
    match spawned.ending {
        Ending::Made => spawned.log(user),
        Ending::Exists if output.is_muted() => journal::said(&spawned.sentence(), true),
        Ending::Exists | Ending::Ended | Ending::Failed => {}
    }
    for (error, number) in spawned.errors.iter().zip(1..) {
        let attempt = if spawned.attempts > 1 { format!("attempt {number}: ") } else { String::new() };
        match spawned.ending {
            Ending::Failed => tracing::error!("{attempt}{}", escaped(error)),
            // The last line tells what became of COMMAND.
            Ending::Ended if number == spawned.errors.len() => tracing::error!("{}", escaped(error)),
            Ending::Ended | Ending::Made | Ending::Exists => tracing::warn!("{attempt}{}", escaped(error)),
        }
    }
    for warning in &spawned.warnings {
        tracing::warn!("{}", escaped(warning));
    }
    let told = if arguments.json {
        output.line(&spawned.json()?)
    } else if matches!(spawned.ending, Ending::Made | Ending::Exists) && !global.quiet {
        output.text(&format!("{}\n", spawned.sentence()))
    } else {
        Ok(())
    };
    // Who is not told that the session is there would ask for it again.
    told.map_err(|error| match spawned.ending {
        Ending::Made | Ending::Exists => Error::Impossible(format!("{error}; {}", spawned.sentence())),
        Ending::Ended | Ending::Failed => error,
    })?;
    Ok(match spawned.ending {
        Ending::Exists if arguments.exist_ok => Exit::Done,
        ending => ending.exit(),
    })
}

/// What `spawn` is asked for: checked, and the directory made absolute.
fn request_of(global: &Global, arguments: &Spawn) -> Result<Request, Error> {
    let arguments = arguments.clone();
    let cwd = arguments.cwd.map(|path| paths::whole("--cwd", &path)).transpose()?;
    let request = Request {
        name: arguments.name,
        socket_label: arguments.socket_label,
        cwd,
        env: arguments.env,
        width: arguments.width,
        height: arguments.height,
        scope: arguments.scope,
        join_only: arguments.join_only,
        sweep: !arguments.no_sweep,
        command: arguments.command,
        dirs: global.dir.clone(),
    };
    request.check()?;
    Ok(request)
}
