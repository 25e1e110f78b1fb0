//! A folder that others can write is left alone, and the sentence says what mends it.

use crate::common::arena::Arena;
use crate::common::janitor::{Run, janitor};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

#[test]
fn exactly_the_right_that_bites_is_taken_away() {
    let arena = Arena::new();
    let dir = arena.path("with a space");
    fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    let mode = |mode| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
    let sweep = |dir: &Path| Run::of(janitor(dir).arg("sweep"));
    for (bits, who, cure) in
        [(0o775, "its group can", "g-w"), (0o702, "others can", "o-w"), (0o777, "others can", "go-w")]
    {
        mode(bits);
        let run = sweep(&dir);
        let line = format!("`chmod {cure} '{}'` mends it", dir.display());
        assert!(run.stderr.contains(who) && run.stderr.contains(&line), "{cure}: {}", run.stderr);
        assert_eq!(run.code, Some(1));
        let shell = Run::of(std::process::Command::new("sh").args(["-c", line.split('`').nth(1).unwrap()]));
        assert_eq!(shell.code, Some(0), "{}", shell.stderr);
        assert_eq!(sweep(&dir).code, Some(0), "{cure}");
    }
    // What is meant for a group, or for everybody, has the right mode.
    for bits in [0o1777, 0o2775] {
        mode(bits);
        let run = sweep(&dir);
        assert!(run.code == Some(1) && !run.stderr.contains("chmod"), "{}", run.stderr);
    }
}
