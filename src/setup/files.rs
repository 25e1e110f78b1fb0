//! What is to be there. Pure.

use super::folders::Folders;
use std::path::PathBuf;
use tmux_sockets::kernel::escape::escaped;

/// The units, as a package has them.
const UNITS: [(&str, &str); 3] = [
    ("tmux-janitor.service", include_str!("../../systemd/user/tmux-janitor.service")),
    ("tmux-janitor.timer", include_str!("../../systemd/user/tmux-janitor.timer")),
    ("tmux-janitor-watch.service", include_str!("../../systemd/user/tmux-janitor-watch.service")),
];

/// The program that they start.
const UNIT_PROGRAM: &str = "/usr/bin/tmux-janitor";

/// For systems where the sweep's sandbox cannot be had.
const DROP_IN: (&str, &str) = (
    "tmux-janitor.service.d/no-user-namespaces.conf",
    include_str!("../../packaging/no-user-namespaces/tmux-janitor.service.conf"),
);

/// What is made of the command line's definition.
#[derive(Debug)]
pub(crate) struct Papers {
    /// Man pages by their names.
    pub pages: Vec<(&'static str, String)>,
    pub bash: String,
    pub zsh: String,
    pub fish: String,
}

/// A file with its whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub path: PathBuf,
    pub text: String,
}

impl Wanted {
    /// As `systemctl cat` shows a unit.
    pub(super) fn print(&self) -> String {
        format!("# {}\n{}", escaped(&self.path), self.text)
    }
}

/// Where the drop-in is.
pub(super) fn drop_in(folders: &Folders) -> PathBuf {
    folders.units.join(DROP_IN.0)
}

/// All of it. `program`: as the units name it.
pub(super) fn wanted(
    folders: &Folders,
    program: &str,
    papers: &Papers,
    is_less_of_a_sandbox: bool,
) -> Vec<Wanted> {
    let unit = |(name, text): &(&str, &str)| Wanted {
        path: folders.units.join(name),
        text: text.replace(UNIT_PROGRAM, program),
    };
    let page = |(name, text): &(&'static str, String)| {
        let section = name.rsplit('.').next().unwrap_or_default();
        Wanted { path: folders.man.join(format!("man{section}")).join(name), text: text.clone() }
    };
    let completion =
        |path: &str, text: &String| Wanted { path: folders.completions.join(path), text: text.clone() };
    let mut wanted: Vec<Wanted> = UNITS.iter().map(unit).collect();
    wanted.extend(is_less_of_a_sandbox.then(|| unit(&DROP_IN)));
    wanted.extend(papers.pages.iter().map(page));
    wanted.extend([
        completion("bash-completion/completions/tmux-janitor", &papers.bash),
        completion("zsh/site-functions/_tmux-janitor", &papers.zsh),
        completion("fish/vendor_completions.d/tmux-janitor.fish", &papers.fish),
    ]);
    wanted
}
