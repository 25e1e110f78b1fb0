//! Where everything goes.

use crate::exit::Error;
use crate::host::user_database;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;

/// A user's folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    pub user: Uid,
    pub home: PathBuf,
    /// Those of systemd: `~/.config/systemd/user`.
    pub units: PathBuf,
    /// The other place of units, where the manager may have been told to look instead.
    other_units: Option<PathBuf>,
    /// `~/.local/share/man`: man(1) knows no XDG variables.
    pub man: PathBuf,
    /// Under which bash-completion and fish look: `XDG_DATA_HOME`, `~/.local/share` by default.
    pub completions: PathBuf,
    /// What was made. In one place whatever the environment says, or it would not be found again.
    pub list: PathBuf,
}

impl Folders {
    /// From the environment of this process.
    ///
    /// # Errors
    /// `HOME` says nothing that could be written down.
    pub(super) fn of(user: Uid) -> Result<Self, Error> {
        let get = |name: &str| std::env::var_os(name).map(PathBuf::from);
        Self::under(user, get("HOME"), get("XDG_CONFIG_HOME"), get("XDG_DATA_HOME"))
    }

    fn under(
        user: Uid,
        home: Option<PathBuf>,
        config: Option<PathBuf>,
        data: Option<PathBuf>,
    ) -> Result<Self, Error> {
        // The list has a line for each path.
        let is_fit = |path: &PathBuf| path.is_absolute() && !path.as_os_str().as_bytes().contains(&b'\n');
        let home = home.filter(is_fit).ok_or_else(|| {
            Error::Usage("setup needs HOME to be set, to an absolute path in one line".to_owned())
        })?;
        let share = home.join(".local/share");
        Ok(Self {
            user,
            units: home.join(".config/systemd/user"),
            other_units: config.filter(is_fit).map(|config| config.join("systemd/user")),
            man: share.join("man"),
            completions: data.filter(is_fit).unwrap_or_else(|| share.clone()),
            list: share.join("tmux-janitor/installed"),
            home,
        })
    }

    /// Whether the home is this user's. Root with another one's (`sudo`) would leave files there that its owner could
    /// neither change nor remove.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn is_ours(&self) -> Result<(), Error> {
        let folders = [("HOME", &self.home), ("XDG_DATA_HOME", &self.completions)];
        for (variable, folder) in
            folders.into_iter().chain(self.other_units.iter().map(|units| ("XDG_CONFIG_HOME", units)))
        {
            // What is missing is made in the nearest that is there.
            let there = folder.ancestors().find_map(|folder| std::fs::metadata(folder).ok());
            let owner = there.map_or(self.user.raw(), |about| about.uid());
            if self.user != Uid::ROOT || owner == self.user.raw() {
                continue;
            }
            let known = user_database::user(Uid::new(owner)).ok().flatten();
            let name = known.map_or_else(|| owner.to_string(), |known| known.name);
            return Err(Error::NoPermission(format!(
                "{variable} is {}, which is {name}'s: what root writes there {name} could not change; run this as {name}, without sudo",
                escaped(folder)
            )));
        }
        Ok(())
    }

    /// Whether something can have been made there by us: below the home or where the environment has sent us.
    pub(super) fn has(&self, path: &Path) -> bool {
        let folders =
            [Some(&self.home), Some(&self.units), self.other_units.as_ref(), Some(&self.completions)];
        let is_below = folders.into_iter().flatten().any(|folder| path.starts_with(folder));
        is_below && path.components().all(|part| part != Component::ParentDir)
    }

    /// Takes the other place of units where the manager looks there and not in the usual one. A shell's
    /// `XDG_CONFIG_HOME` is seldom the manager's.
    pub(super) fn follow(&mut self, unit_path: Option<&str>) {
        let Some(unit_path) = unit_path else { return };
        let looks_in = |folder: &Path| unit_path.split(' ').any(|known| Path::new(known) == folder);
        if !looks_in(&self.units) {
            if let Some(other) = self.other_units.take_if(|other| looks_in(other)) {
                self.units = other;
            }
        }
    }

    /// `~/.local`, for people.
    pub(super) fn shown(&self) -> String {
        escaped(&self.home.join(".local")).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    fn folders(config: Option<&str>, data: Option<&str>) -> Folders {
        let path = |text: &str| PathBuf::from(text);
        Folders::under(Uid::new(7), Some("/home/ann".into()), config.map(path), data.map(path)).unwrap()
    }

    #[test]
    fn units_go_where_the_manager_looks() {
        let usual = "/home/ann/.config/systemd/user";
        for (config, unit_path, expected) in [
            (None, None, usual),
            (Some("/x"), None, usual),
            (Some("/x"), Some("/run/a /home/ann/.config/systemd/user /x/systemd/user"), usual),
            (Some("/x"), Some("/run/a /x/systemd/user"), "/x/systemd/user"),
            (Some("/x"), Some("/run/a"), usual),
            (Some("x"), Some("/run/a x/systemd/user"), usual),
        ] {
            let mut folders = folders(config, None);
            folders.follow(unit_path);
            assert_eq!(folders.units, Path::new(expected), "{config:?} {unit_path:?}");
        }
    }

    #[test]
    fn completions_follow_the_data_and_the_list_does_not() {
        let folders = folders(None, Some("/data"));
        assert_eq!(folders.completions, Path::new("/data"));
        assert_eq!(folders.list, Path::new("/home/ann/.local/share/tmux-janitor/installed"));
        for home in [None, Some("ann"), Some("/a\nb")] {
            assert!(Folders::under(Uid::new(7), home.map(PathBuf::from), None, None).is_err(), "{home:?}");
        }
    }
}
