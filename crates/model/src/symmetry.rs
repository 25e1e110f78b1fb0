//! Worlds that differ only in numbering are one world: this makes them equal.

use crate::{
    pc::Pc,
    world::{DIR, INODES, Ino, Janitor, NONE, Start, World},
};

impl World {
    /// Makes worlds equal that differ only in which row a process has or how inodes are numbered.
    pub(crate) fn normalise(&mut self) {
        self.sort_starts();
        self.sort_janitors();
        self.renumber();
    }

    fn sort_starts(&mut self) {
        let key = |s: &Start| {
            let flags = [s.flocked, s.client_copy, s.server_copy, s.displaced, s.misled]
                .iter()
                .fold(0_u32, |bits, &flag| bits << 1 | u32::from(flag));
            (s.client as u32) << 24 | (s.server as u32) << 16 | u32::from(s.label) << 8 | flags
        };
        self.starts.sort_by_key(key);
    }

    fn sort_janitors(&mut self) {
        // Who looks at the rest names of others knows them by their row.
        let looking = |j: &Janitor| {
            let at_single = j.depth.max(j.caught) >= Janitor::ALL || j.live >> Janitor::ALL != 0;
            j.stale > 0 || at_single || (Pc::StaleLook..=Pc::StaleUnlink).contains(&j.pc)
        };
        if self.janitors.iter().any(looking) {
            return;
        }
        let key = |j: &Janitor| {
            let fds = j
                .fds
                .iter()
                .fold(0_u32, |bits, fd| bits << 2 | if fd.ino == NONE { 0 } else { fd.lease as u32 + 1 });
            (j.pc as u32) << 16 | u32::from(j.label) << 12 | u32::from(j.depth) << 8 | fds
        };
        // Rest names go with their janitor, so the rows are swapped by hand.
        for (a, b) in [(0, 1), (1, 2), (0, 1)] {
            if key(&self.janitors[b]) < key(&self.janitors[a]) {
                self.janitors.swap(a, b);
                self.rest.swap(a, b);
                self.single.swap(a, b);
                self.single_label.swap(a, b);
            }
        }
    }

    fn renumber(&mut self) {
        let mut socks = Renumber::default();
        for ino in self.sock.iter_mut().chain(self.quarantine.iter_mut().flatten()).chain(&mut self.single) {
            socks.visit(ino);
        }
        let mut locks = Renumber::default();
        for ino in self.lock.iter_mut().chain(self.rest.iter_mut().flatten()) {
            locks.visit(ino);
        }
        for start in &mut self.starts {
            socks.visit(&mut start.sock);
            socks.visit(&mut start.next_sock);
            locks.visit(&mut start.lock);
        }
        for janitor in &mut self.janitors {
            socks.visit(&mut janitor.pin);
            for fd in &mut janitor.fds {
                locks.visit(&mut fd.ino);
            }
        }
        let mut torn = [0; INODES];
        for (old, &new) in locks.map.iter().enumerate() {
            if new != NONE {
                torn[usize::from(new)] = self.torn[old];
            }
        }
        self.torn = torn;
        self.socks = socks.next;
        self.locks = locks.next;
    }
}

/// Gives inodes new numbers in the order in which they are met.
struct Renumber {
    map: [Ino; INODES],
    next: Ino,
}

impl Default for Renumber {
    fn default() -> Self {
        Self { map: [NONE; INODES], next: 0 }
    }
}

impl Renumber {
    fn visit(&mut self, ino: &mut Ino) {
        if *ino == NONE || *ino == DIR {
            return;
        }
        let new = &mut self.map[usize::from(*ino)];
        if *new == NONE {
            *new = self.next;
            self.next += 1;
        }
        *ino = *new;
    }
}
