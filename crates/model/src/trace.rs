//! A line per state, for the way to a failure.

use crate::{
    pc::Pc,
    world::{DIR, Ino, LABELS, NONE, World},
};

/// Per label the inode of NAME, its quarantine names and its lock; then who runs.
impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ino = |i: Ino| match i {
            NONE => "-".to_owned(),
            DIR => "d".to_owned(),
            i => i.to_string(),
        };
        for label in 0..LABELS {
            write!(
                f,
                "[{} q{} l{}] ",
                ino(self.sock[label]),
                self.quarantine[label].map(ino).join(","),
                ino(self.lock[label])
            )?;
        }
        for s in &self.starts {
            write!(
                f,
                "| {:?}/{:?} lock {}{} sock {} ",
                s.client,
                s.server,
                ino(s.lock),
                if s.flocked { "*" } else { "" },
                ino(s.sock)
            )?;
        }
        for ((j, rest), &w_single) in self.janitors.iter().zip(&self.rest).zip(&self.single) {
            if j.pc == Pc::Off {
                continue;
            }
            write!(f, "| {:?} {}.{} pin {}", j.pc, j.label, j.depth, ino(j.pin))?;
            if w_single != NONE {
                write!(f, " single {}", ino(w_single))?;
            }
            for (fd, &name) in j.fds.iter().zip(rest) {
                if fd.ino != NONE || name != NONE {
                    write!(f, " fd {} {:?} rest {}", ino(fd.ino), fd.lease, ino(name))?;
                }
            }
        }
        Ok(())
    }
}
