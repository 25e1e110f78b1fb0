//! The other program, which reads scripts. Cargo builds it with the tests of its own package only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The reader beside the program under test, as new as its sources.
#[track_caller]
pub(crate) fn reader() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

#[track_caller]
fn build() -> PathBuf {
    let reader = Path::new(env!("CARGO_BIN_EXE_tmux-janitor")).with_file_name("tmux-janitor-audit");
    // On a machine without cargo, everything was built before it came there.
    let Some(cargo) = std::env::var_os("CARGO") else { return reader };
    let folder = reader.parent().expect("it lies in a folder");
    let mut command = Command::new(cargo);
    // With its tests, as the gate builds it: the same build, found fresh, is left as it lies there while others run it.
    command.args(["test", "--quiet", "--locked", "--no-run", "--package", "tmux-janitor-audit"]);
    command.arg("--target-dir").args(folder.parent()).current_dir(env!("CARGO_MANIFEST_DIR"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let ended = command.output().expect("cargo runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(reader.exists(), "{} was not built", reader.display());
    reader
}
