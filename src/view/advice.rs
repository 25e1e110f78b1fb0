//! What of this program's commands helps, behind what the library says. It knows the facts, and none of our options.
//!
//! A command is one that helps as things stand, and has the pid in it.

use std::fmt::Display;
use std::path::Path;
use tmux_sockets::judge::{Bar, Plight, Reason, RescueFailure, Standing, Way};
use tmux_sockets::kernel::escape::shell_word;
use tmux_sockets::kernel::{Label, Pid};
use tmux_sockets::report::{Failure, LeftAlone, Report, Why};
use tmux_sockets::tmux::DirectoryError;
use tmux_sockets::tmux::shared::Shared;

/// What can be said with advice.
pub(crate) trait Advised: Display {
    /// The advice, with the "; " before it; empty, where there is none.
    fn advice(&self) -> String;

    /// The facts and the advice.
    fn with_advice(&self) -> String {
        format!("{self}{}", self.advice())
    }
}

/// Everything that could not be looked at, and why.
pub(crate) fn not_looked_at(report: &Report) -> impl Iterator<Item = (&Path, String)> {
    let left_alone = report.left_alone().map(|(path, why)| (path, why.with_advice()));
    left_alone.chain(report.unseen.iter().map(|place| (place.path.as_path(), place.why.with_advice())))
}

impl Advised for Reason {
    fn advice(&self) -> String {
        match self {
            Self::Ghost(plight) => plight.advice(),
            _ => String::new(),
        }
    }
}

impl Advised for Plight {
    fn advice(&self) -> String {
        let pid = self.pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
        match (self.bar, self.standing) {
            (None, Standing::NoDirectory) => format!(
                "; `tmux-janitor rescue` makes both anew; if nobody needs the server any more, `kill {pid}` ends it"
            ),
            (None, _) => "; `tmux-janitor rescue` gives it its socket back".to_owned(),
            (Some(Bar::Elsewhere(way)), standing) => elsewhere(way, standing, &pid),
            (Some(Bar::Rivals(_)), standing) => {
                let first = match standing {
                    Standing::NoDirectory => "make its directory (`mkdir -p -m 700`), then ",
                    _ => "",
                };
                format!(
                    "; `tmux-janitor list` shows what runs in them; to keep this one: {first}`kill -USR1 {pid}`"
                )
            }
            (Some(Bar::Stopped), _) => {
                format!("; let it go on (`kill -CONT {pid}`), then `tmux-janitor rescue`")
            }
            (Some(Bar::NoParent), _) => format!(
                "; `kill {pid}` ends it, and `tmux-janitor rescue` makes its folders and its socket anew"
            ),
            (Some(Bar::Directory(failure)), _) => failure.advice(),
            (Some(bar), _) => of_bar(bar).to_owned(),
        }
    }
}

/// What a person can do for a server that sees other files. SIGUSR1 makes it remove whatever stands at its path.
fn elsewhere(way: Way, standing: Standing, pid: &str) -> String {
    let first = match standing {
        Standing::Nothing => "",
        Standing::Live(_) => " when the other server has ended,",
        Standing::NoDirectory | Standing::Socket | Standing::Other(_) => " when its path is free,",
    };
    match way {
        Way::None => String::new(),
        Way::Signal => format!(";{first} `kill -USR1 {pid}` gives it its socket back"),
        Way::SignalOrInside => format!(
            ";{first} `nsenter -t {pid} -m tmux-janitor rescue` gives it its socket back, or `kill -USR1 {pid}`"
        ),
    }
}

/// What helps against the bars of which nothing else has to be known.
fn of_bar(bar: Bar) -> &'static str {
    match bar {
        Bar::Hidden => "; run `tmux-janitor rescue` in a shell",
        Bar::Unseen => "; run `tmux-janitor rescue` where it runs, or on the host",
        Bar::Held { yields: true, .. } => {
            "; `tmux-janitor rescue --aside` gives that one a second name and this one the path; or, when that one has ended, `tmux-janitor rescue`"
        }
        Bar::Held { yields: false, .. } => "; when it has ended, `tmux-janitor rescue` helps",
        Bar::Occupied(_) => "; move it away, then `tmux-janitor rescue`",
        Bar::Starting => "; `tmux-janitor rescue` again",
        Bar::Unproven => "; `tmux-janitor probe -S` of the path says why",
        Bar::NotTmux
        | Bar::Ambiguous
        | Bar::NotCatching
        | Bar::Elsewhere(_)
        | Bar::Rivals(_)
        | Bar::Stopped
        | Bar::NoParent
        | Bar::Directory(_) => "",
    }
}

impl Advised for RescueFailure {
    fn advice(&self) -> String {
        match self {
            Self::Directory(error) => error.advice(),
            Self::OwnFolder(pid) => own_folder(*pid),
            _ => String::new(),
        }
    }
}

fn own_folder(pid: Pid) -> String {
    format!(
        "; make it (`mkdir -p -m 700`), then `tmux-janitor rescue` or `kill -USR1 {pid}`; if nobody needs the server any more, `kill {pid}` ends it"
    )
}

impl Advised for Failure {
    fn advice(&self) -> String {
        match self {
            Self::Rescue(failure) => failure.advice(),
            _ => String::new(),
        }
    }
}

impl Advised for DirectoryError {
    fn advice(&self) -> String {
        match self {
            Self::Far => "; `tmux-janitor list` asks it".to_owned(),
            Self::Refused(_) | Self::Unreadable(_) => String::new(),
        }
    }
}

impl Advised for Shared {
    fn advice(&self) -> String {
        let call =
            |label: &Label| format!("`tmux-janitor sweep -S {}`", shell_word(&self.folder.join(label)));
        if self.sockets.is_empty() {
            return String::new();
        }
        let calls = self.sockets.iter().map(call).collect::<Vec<_>>().join(", ");
        format!("; of single sockets of yours in it, {calls} removes one that is dead")
    }
}

impl Advised for LeftAlone {
    fn advice(&self) -> String {
        match self {
            Self::Refused(error) => error.advice(),
            Self::Shared(shared) => shared.advice(),
            Self::Missing => "; --dir names the folder that holds the sockets".to_owned(),
            _ => String::new(),
        }
    }
}

impl Advised for Why {
    fn advice(&self) -> String {
        match self {
            Self::Unjudged(reason) => reason.advice(),
            Self::Doubtful => "; run `tmux-janitor status` in a shell".to_owned(),
            Self::Strangers(why) => why.advice(),
            _ => String::new(),
        }
    }
}
