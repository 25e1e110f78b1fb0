//! The packages, built by `packaging/build` with the program of the release profile: once for all tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::{PROGRAM, REPOSITORY};
use crate::common::skip::skip;
use crate::machine::Machine;

const LATER: &str = "99.0.0-1";

/// The .deb of this version; `None`, after a loud skip, where it cannot be built.
#[track_caller]
pub(crate) fn deb() -> Option<&'static Path> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    (brought().is_some() || here(&["cargo-deb", "dpkg-shlibdeps", "dpkg-deb"]))
        .then(|| BUILT.get_or_init(|| deb_of(None)).as_path())
}

/// The .deb of a later version, with the same files.
#[track_caller]
pub(crate) fn later_deb() -> PathBuf {
    deb_of(Some(LATER))
}

/// The .rpm of this version; `None`, after a loud skip, where it cannot be built.
#[track_caller]
pub(crate) fn rpm() -> Option<&'static Path> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    here(&["cargo-generate-rpm", "rpm"]).then(|| BUILT.get_or_init(|| build(&["rpm"])).as_path())
}

/// The .rpm of a later version, with the same files.
#[track_caller]
pub(crate) fn later_rpm() -> PathBuf {
    build(&["rpm", "--version", LATER])
}

/// Whether these programs are here, else a loud skip.
#[track_caller]
pub(crate) fn here(programs: &[&str]) -> bool {
    let found = |program: &str| {
        // cargo finds its subcommands where no PATH leads to.
        let ask = match program.strip_prefix("cargo-") {
            Some(subcommand) => format!("cargo {subcommand} --version"),
            None => format!("command -v {program}"),
        };
        let asked =
            Command::new("sh").args(["-c", &ask]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !found(program)).copied().collect();
    if !missing.is_empty() {
        skip(&format!("not here: {}", missing.join(", ")));
    }
    missing.is_empty()
}

/// Where the .debs are, if they were built elsewhere: `tests/distros` does it for releases without Rust.
fn brought() -> Option<PathBuf> {
    std::env::var_os("TMUX_JANITOR_PACKAGES").map(PathBuf::from)
}

#[track_caller]
fn deb_of(version: Option<&str>) -> PathBuf {
    let Some(folder) = brought() else {
        let arguments: Vec<_> = version.map(|version| ["--version", version]).into_iter().flatten().collect();
        return build(&[&["deb"], arguments.as_slice()].concat());
    };
    let begins = format!("tmux-janitor_{}", version.unwrap_or(env!("CARGO_PKG_VERSION")));
    let mut inside =
        folder.read_dir().expect("it was just filled").map(|entry| entry.expect("an entry").path());
    let fits =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begins));
    inside.find(fits).expect("tests/distros has built it")
}

#[track_caller]
fn build(arguments: &[&str]) -> PathBuf {
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let output = output.to_str().expect("it is UTF-8");
    let script = Path::new(REPOSITORY).join("packaging/build");
    let printed = run(Command::new(script).args(arguments).args(["--output", output]));
    let path = PathBuf::from(printed.trim_end());
    assert!(path.is_file(), "it prints the path of the package: {printed}");
    path
}

/// What a command prints. It must succeed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program was looked for");
    let printed = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}\n{printed}\n{}", String::from_utf8_lossy(&stderr));
    printed
}

/// The programs as cargo leaves them in a folder, which is made; of the test's own build.
#[track_caller]
pub(crate) fn copy_programs(folder: &Path) {
    crate::common::reader::reader();
    std::fs::create_dir_all(folder).expect("a folder can be made");
    let built = Path::new(PROGRAM).parent().expect("it lies in a folder");
    for entry in built.read_dir().expect("it can be read") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("tmux-janitor") && path.extension().is_none() {
            std::fs::copy(&path, folder.join(name)).expect("there is room");
        }
    }
}

/// Puts a file into the machine's `/run/packages` and tells its path there.
#[track_caller]
pub(crate) fn bring(machine: &Machine, file: &Path) -> String {
    let name = file.file_name().and_then(|name| name.to_str()).expect("packages have names in ASCII");
    let (process, _) = machine.seen_from_the_host();
    let folder = process.join("root/run/packages");
    std::fs::create_dir_all(&folder).expect("/run of the machine can be written");
    std::fs::copy(file, folder.join(name)).expect("there is room");
    format!("/run/packages/{name}")
}
