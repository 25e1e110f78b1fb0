//! Inode numbers that hardly any other test has.
//!
//! Those of a fresh tmpfs begin where those of every other do. A listener with the number of a dead socket, on a file
//! system that is not seen from there, keeps that socket: whether it is the same is not known. Other tests have such.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Gives out some of the numbers of the fresh tmpfs that a folder lies on, more or fewer each time.
pub(crate) fn use_up(dir: &Path) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let name = dir.join("number");
    for _ in 0..1000 + now.subsec_micros() % 20_000 {
        fs::write(&name, "").unwrap();
        fs::remove_file(&name).unwrap();
    }
}

/// The same for a shell: of the folder `$1`.
pub(crate) const USE_UP: &str = r#"
    use_up() { (cd "$1" && count=$(date +1%4N) && seq "$count" | xargs touch && seq "$count" | xargs rm); }
"#;
