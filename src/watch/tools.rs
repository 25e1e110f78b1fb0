//! What a look of the daemon works with, and how what has happened is told.

use super::announce::Announcer;
use super::bookkeeping::Books;
use super::causes::{Causes, EndedProcess};
use super::deaths::Deaths;
use super::directories::Directories;
use super::duties::Duties;
use super::engine::{Name, Server};
use super::outsiders::Outsiders;
use super::warnings::Warning;
use crate::host::sandbox::{self, Tmp};
use crate::pass::Places;
use crate::view::events::{Event, EventKind};
use std::path::Path;
use std::time::{Instant, SystemTime};
use tmux_sockets::ghost::{self, Area};
use tmux_sockets::kernel::KernelTable;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::Remark;
use tmux_sockets::sweep::{Act, Target};
use tmux_sockets::witness::Witness;

/// What a look works with.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    pub(super) duties: &'a Duties,
    pub(super) directories: &'a mut Directories,
    pub(super) deaths: &'a mut Deaths,
    pub(super) announcer: &'a mut Announcer,
    pub(super) books: &'a mut Books,
    pub(super) causes: &'a mut Causes,
    pub(super) outsiders: &'a mut Outsiders,
}

impl Tools<'_> {
    /// Where ghosts are looked for, and outside of which there are outsiders.
    pub(super) fn area(&self) -> Area {
        let wanted = self.directories.wanted().iter();
        let targets: Vec<Target> =
            wanted.map(|dir| Target::whole(self.directories.path(*dir).to_owned())).collect();
        Area::new(&targets, self.duties.is_everywhere())
    }

    /// Where sockets are to be looked for; what of it cannot be looked at is told.
    pub(super) fn targets(&mut self, table: &KernelTable) -> Vec<Target> {
        let Duties { settings, given, user, .. } = self.duties;
        let places = if given.is_empty() { Places::of(settings, table, *user) } else { Places::named(given) };
        for Remark { path, why } in &places.skipped {
            tracing::debug!("{}: {why}", escaped(path));
        }
        for place in places.unseen {
            self.announcer.warn(&Warning::Unseen(place));
        }
        self.announcer.unread(places.unread);
        places.targets
    }

    /// Tells where the socket table is not to be believed at all.
    pub(super) fn tell_of_blindness(&mut self, witness: &mut Witness) {
        if let Some(why) = witness.blindness() {
            self.announcer.warn(&Warning::Blind(why));
        }
    }

    /// Tells of directories for which a table that can be believed elsewhere must not be.
    pub(super) fn tell_of_blind_folders(&mut self, witness: &mut Witness) {
        if witness.blindness().is_some() {
            return;
        }
        for dir in self.directories.wanted() {
            let path = self.directories.path(*dir);
            let is_present = self.directories.is_present(*dir);
            if let Some(why) = witness.blindness_in(path).filter(|_| is_present) {
                self.announcer.warn(&Warning::BlindIn(path.to_owned(), why));
            }
        }
    }

    /// Looks for outsiders who came, and whether those live whose ends are not waited for. The table is taken as it was read
    /// last.
    pub(super) fn look_outside(&mut self, witness: &Witness, area: &Area) {
        let user = self.duties.user;
        // Behind a private /tmp every server would be one, as for `list`.
        if !self.duties.elsewhere || sandbox::tmp(user) != Tmp::Machines {
            return;
        }
        let known = self.outsiders.known(self.deaths);
        for found in ghost::find_outside(user, witness, area, &known) {
            let met = self.outsiders.meet(self.deaths, found, |path, why| {
                self.announcer.warn(&Warning::Untied { path, why });
            });
            for event in met {
                self.enter(event, None);
            }
        }
        for gone in self.outsiders.bury_untied(self.deaths, witness) {
            self.enter(gone, None);
        }
    }

    /// The directory of an announced server is not watched any more: from now on it is an outsider.
    pub(super) fn turn_out(&mut self, name: Name, server: &Server) {
        let path = self.directories.full_path(&name);
        if let Some((gone, ended)) = self.outsiders.take_over(self.deaths, path, name, server) {
            self.enter(gone, ended);
        }
    }

    /// Whether a server that stands in a directory now was told of at this path before. One that was told of at another path
    /// has gone from there.
    pub(super) fn is_told_at(&mut self, path: &Path, server: &Server) -> bool {
        match self.outsiders.hand_over(self.deaths, server.pid, server.socket) {
            Some(gone) if gone.path == path => return true,
            Some(gone) => self.enter(gone, None),
            None => {}
        }
        false
    }

    /// Tells what need not wait any longer.
    pub(super) fn tell_waiting(&mut self) {
        for (event, time) in self.causes.take(Instant::now()) {
            self.tell(&event, time);
        }
    }

    /// Something has happened: it is told, at once where it need not wait. `ended`: the process whose end it tells.
    pub(super) fn enter(&mut self, event: Event, ended: Option<EndedProcess>) {
        if let Some((event, time)) = self.causes.enter(event, ended) {
            self.tell(&event, time);
        }
    }

    fn tell(&mut self, event: &Event, time: SystemTime) {
        // Others may follow what happens beside us; one of us keeps count.
        if event.kind == EventKind::ServerGone && self.duties.act == Act::Remove {
            self.books.died(event.cause);
        }
        self.announcer.tell(event, time);
    }
}
