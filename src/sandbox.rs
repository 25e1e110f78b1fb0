//! What a unit's sandbox hides from us, as the list of our own mounts tells it.
//!
//! In a private `/tmp` no socket is found and every server looks like a ghost; with a hidden home the
//! list of what to keep goes unread. Neither may pass for "nothing to do" or for "no configuration".

use std::path::{Path, PathBuf};

/// Where systemd makes the private `/tmp` of units (systemd.exec(5), `PrivateTmp=`).
const PRIVATE: &str = "/systemd-private-";

/// What systemd mounts over what a unit may not see (systemd.exec(5), `InaccessiblePaths=`).
const INACCESSIBLE: &str = "/systemd/inaccessible/dir";

/// The folders that `ProtectHome=` covers (systemd.exec(5)).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Our mounts.
#[derive(Debug, Default)]
pub struct Mounts(String);

/// One mount: what of a file system is shown where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
}

impl Mounts {
    /// Reads them; none where there is no `/proc`.
    pub fn read() -> Self {
        let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        Self(String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether `/tmp` is not the machine's: the unit has `PrivateTmp=`.
    pub fn has_private_tmp(&self) -> bool {
        // The last one at a place is what we see.
        let tmp = self.iter().filter(|mount| mount.point == "/tmp").last();
        tmp.is_some_and(|mount| mount.root.contains(PRIVATE))
    }

    /// Whether a file in a home is hidden with that home: the unit has `ProtectHome=yes` or `tmpfs`.
    pub fn hides_home(&self, home: &Path) -> bool {
        let covers = |mount: &Mount<'_>| HOMES.contains(&mount.point) && home.starts_with(mount.point);
        // Nothing else mounts a tmpfs on all of them.
        let is_covered = |point| self.iter().any(|mount| mount.point == point && mount.kind == "tmpfs");
        self.iter().filter(covers).last().is_some_and(|mount| {
            mount.root.ends_with(INACCESSIBLE) || (HOMES.into_iter().all(is_covered) && !is_there(home))
        })
    }

    fn iter(&self) -> impl Iterator<Item = Mount<'_>> {
        self.0.lines().filter_map(parse)
    }
}

/// Whether anything of the path below its first two names is there: `/home/ann` of a file in it.
fn is_there(path: &Path) -> bool {
    path.components().take(3).collect::<PathBuf>().exists()
}

/// `ID PARENT MAJ:MIN ROOT POINT OPTIONS [FIELD...] - KIND SOURCE OPTIONS` (proc(5)). Blanks in paths are
/// escaped; the places that matter have none.
fn parse(line: &str) -> Option<Mount<'_>> {
    let (place, what) = line.split_once(" - ")?;
    let mut fields = place.split(' ').skip(3);
    Some(Mount { root: fields.next()?, point: fields.next()?, kind: what.split(' ').next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(lines: &[&str]) -> Mounts {
        Mounts(lines.join("\n"))
    }

    #[test]
    fn a_private_tmp_is_seen_by_its_root() {
        let plain = "36 29 0:32 / /tmp rw,nosuid shared:9 - tmpfs tmpfs rw";
        let private = "77 60 0:32 /systemd-private-1f-x.service-a/tmp /tmp rw - tmpfs tmpfs rw";
        let elsewhere = "77 60 0:32 /systemd-private-1f-x.service-a/tmp /var/tmp rw - tmpfs tmpfs rw";
        assert!(!mounts(&[plain, elsewhere]).has_private_tmp());
        assert!(mounts(&[plain, private]).has_private_tmp());
        assert!(!mounts(&["garbage", ""]).has_private_tmp());
    }

    #[test]
    fn a_covered_home_is_seen() {
        let inaccessible = "78 60 0:26 /systemd/inaccessible/dir /home ro - tmpfs tmpfs rw";
        let [home, root, run] =
            ["/home", "/root", "/run/user"].map(|at| format!("79 60 0:50 / {at} rw - tmpfs tmpfs rw"));
        let (ann, srv) = (Path::new("/home/nobody-has-this-one"), Path::new("/srv/ann"));
        assert!(mounts(&[inaccessible]).hides_home(ann) && mounts(&[&home, &root, &run]).hides_home(ann));
        assert!(!mounts(&[inaccessible, &home, &root, &run]).hides_home(srv));
        for real in [&["79 60 0:50 / /home ro - ext4 /dev/x rw"][..], &[&home, &root]] {
            assert!(!mounts(real).hides_home(ann), "{real:?}");
        }
    }
}
