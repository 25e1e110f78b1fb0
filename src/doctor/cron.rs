//! What cron runs, as far as this user may read it (crontab(5)).

use super::Patient;
use crate::host::apart;
use std::path::{Path, PathBuf};

/// Longest file that is read, in bytes.
const LONGEST: u64 = 256 * 1024;

/// Folders of tables, and folders of programs that are run every hour, day, week, month.
const TABLES: &str = "/etc/cron.d";
const PROGRAMS: [&str; 4] = ["/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly"];

/// A table of jobs.
#[derive(Debug)]
pub(super) struct Table {
    /// Its file; none: what `crontab -l` prints, the user's own.
    pub(super) path: Option<PathBuf>,
    /// What stands in it.
    pub(super) text: String,
}

/// The tables: the user's own and the machine's.
pub(super) fn tables(patient: &Patient<'_>) -> Vec<Table> {
    let own = patient.systemd.run("crontab", &["-l"]).map(|text| Table { path: None, text });
    let machines = [PathBuf::from("/etc/crontab")].into_iter().chain(names_in(Path::new(TABLES)));
    let machines = machines.filter_map(|path| Some(Table { text: read(&path)?, path: Some(path) }));
    own.into_iter().chain(machines).collect()
}

/// The programs that run-parts(8) finds.
pub(super) fn programs() -> Vec<PathBuf> {
    let is_run = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt as _;
        apart::answers(path)
            && std::fs::metadata(path)
                .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    PROGRAMS.iter().flat_map(|folder| names_in(Path::new(folder))).filter(is_run).collect()
}

/// The lines that are jobs.
pub(super) fn jobs(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The text of a file, as far as it is one.
pub(super) fn read(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let about = apart::answers(path).then(|| std::fs::metadata(path).ok()).flatten()?;
    let mut bytes = Vec::new();
    if !about.is_file() {
        return None;
    }
    std::fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    (!bytes.contains(&0)).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// What cron looks at in a folder: no file of a package manager's or an editor's.
fn names_in(folder: &Path) -> Vec<PathBuf> {
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let entries = apart::answers(folder).then(|| std::fs::read_dir(folder)).into_iter().flatten();
    let entries = entries.flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_plain))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}
