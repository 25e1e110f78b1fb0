//! The configuration file as it is written: everything optional, nothing unknown.

use super::{CHECKS, ConfigError, FolderGlob, Keep, Settings, position, span};
use serde::Deserialize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    extra_socket_dirs: Vec<Spanned<PathBuf>>,
    keep: Vec<Spanned<String>>,
    min_age: Option<Spanned<String>>,
    watch: WatchTable,
    doctor: DoctorTable,
    spawn: SpawnTable,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct WatchTable {
    rescan: Option<Spanned<String>>,
    rescue: Option<bool>,
    protect: Option<bool>,
    metrics_file: Option<Spanned<PathBuf>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct DoctorTable {
    ignore: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SpawnTable {
    tmux: Option<Spanned<PathBuf>>,
    settle: Option<Spanned<String>>,
    verify_attempts: Option<Spanned<u32>>,
    verify_delay: Option<Spanned<String>>,
    clear_registration: Option<bool>,
}

/// How many folders may be named: each is held open while a sweep lasts.
const MOST_DIRS: usize = 256;

/// A mistake in a value: where, and what is wrong with it.
struct Mistake(usize, String);

/// Reads the text of a configuration file. `path` is for messages only.
///
/// # Errors
/// The first mistake, as one printable line that begins with `PATH:LINE:COLUMN: `. Both count from 1, the column in
/// characters; just behind the end of the text where something is missing there.
pub fn parse(path: &Path, text: &str) -> Result<Settings, ConfigError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start);
        located(path, text, &Mistake(offset, error.message().to_owned()))
    })?;
    validate(file).map_err(|mistake| located(path, text, &mistake))
}

fn located(path: &Path, text: &str, Mistake(offset, what): &Mistake) -> ConfigError {
    let position::Position { line, column, key } = position::of(text, *offset);
    let path = tmux_sockets::kernel::escape::escaped(path);
    let key = if key.is_empty() {
        String::new()
    } else {
        format!("{}: ", tmux_sockets::kernel::escape::escaped(&key))
    };
    let what = what.replace('\n', "; ");
    ConfigError(format!("{path}:{line}:{column}: {key}{}", tmux_sockets::kernel::escape::escaped(&what)))
}

fn validate(file: File) -> Result<Settings, Mistake> {
    let mut settings = Settings::default();
    if let Some(beyond) = file.extra_socket_dirs.get(MOST_DIRS) {
        return Err(Mistake(beyond.span().start, format!("at most {MOST_DIRS} folders")));
    }
    for dir in file.extra_socket_dirs {
        let start = dir.span().start;
        let dir = absolute(dir)?;
        if !FolderGlob::is_one(&dir) {
            settings.extra_socket_dirs.push(dir);
            continue;
        }
        let glob = FolderGlob::parse(&dir);
        let wrong = |what| Mistake(start, format!("\"{}\" is not a glob: {what}", dir.display()));
        settings.extra_socket_globs.push(glob.map_err(wrong)?);
    }
    settings.keep = keep(file.keep)?;
    if let Some(min_age) = file.min_age {
        // `infinity`: every dead socket is too young, none is removed.
        settings.min_age = time(&min_age)?.unwrap_or(Duration::MAX);
    }
    let watch = &mut settings.watch;
    if let Some(rescan) = file.watch.rescan {
        watch.rescan = time(&rescan)?;
        if watch.rescan.is_some_and(|span| span < Duration::from_secs(1)) {
            return Err(Mistake(
                rescan.span().start,
                "a rescan more often than every second only costs; write \"infinity\" for none".into(),
            ));
        }
    }
    watch.rescue = file.watch.rescue.unwrap_or(watch.rescue);
    watch.protect = file.watch.protect.unwrap_or(watch.protect);
    if let Some(path) = file.watch.metrics_file {
        watch.metrics_file = if path.get_ref().as_os_str().is_empty() { None } else { Some(absolute(path)?) };
    }
    settings.doctor.ignore = file.doctor.ignore.into_iter().map(check).collect::<Result<_, _>>()?;
    let spawn = &mut settings.spawn;
    if let Some(tmux) = file.spawn.tmux {
        if tmux.get_ref().as_os_str().is_empty() {
            return Err(Mistake(
                tmux.span().start,
                "name the multiplexer's program, such as \"tmux\"".into(),
            ));
        }
        spawn.tmux = nameable(tmux)?.into_inner();
    }
    if let Some(attempts) = file.spawn.verify_attempts {
        if !(1..=1000).contains(attempts.get_ref()) {
            return Err(Mistake(attempts.span().start, "must be from 1 to 1000".into()));
        }
        spawn.verify_attempts = attempts.into_inner();
    }
    if let Some(settle) = file.spawn.settle {
        spawn.settle = at_most_a_minute(&settle)?;
    }
    if let Some(delay) = file.spawn.verify_delay {
        spawn.verify_delay = at_most_a_minute(&delay)?;
    }
    spawn.clear_registration = file.spawn.clear_registration.unwrap_or(spawn.clear_registration);
    Ok(settings)
}

fn at_most_a_minute(value: &Spanned<String>) -> Result<Duration, Mistake> {
    time(value)?
        .filter(|span| *span <= Duration::from_secs(60))
        .ok_or_else(|| Mistake(value.span().start, "must be at most 1min".into()))
}

/// TOML can write a NUL; no system call takes it.
fn nameable(path: Spanned<PathBuf>) -> Result<Spanned<PathBuf>, Mistake> {
    if path.get_ref().as_os_str().as_bytes().contains(&0) {
        Err(Mistake(path.span().start, "no file's name can hold a NUL (\\u0000); leave it out".into()))
    } else {
        Ok(path)
    }
}

fn absolute(path: Spanned<PathBuf>) -> Result<PathBuf, Mistake> {
    let path = nameable(path)?;
    if path.get_ref().is_absolute() {
        Ok(path.into_inner())
    } else {
        Err(Mistake(
            path.span().start,
            "the path must be absolute: neither ~ nor variables are expanded here".into(),
        ))
    }
}

fn time(text: &Spanned<String>) -> Result<Option<Duration>, Mistake> {
    span::parse(text.get_ref()).map_err(|what| Mistake(text.span().start, what))
}

/// A name of a check, as the doctor's findings bear it.
fn check(name: Spanned<String>) -> Result<String, Mistake> {
    if CHECKS.contains(&name.get_ref().as_str()) {
        return Ok(name.into_inner());
    }
    let what = format!("the doctor has no check \"{}\"; it has {}", name.get_ref(), CHECKS.join(", "));
    Err(Mistake(name.span().start, what))
}

fn keep(globs: Vec<Spanned<String>>) -> Result<Keep, Mistake> {
    let read = |glob: Spanned<String>| {
        glob.get_ref()
            .parse()
            .map_err(|error| Mistake(glob.span().start, format!("\"{}\" is {error}", glob.get_ref())))
    };
    globs.into_iter().map(read).collect::<Result<_, _>>().map(Keep)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    fn error(text: &str) -> String {
        parse(Path::new("/etc/x.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn every_mistake_names_file_line_column_and_key() {
        for (text, start, part) in [
            ("kep = []", "/etc/x.toml:1:1: kep: ", "unknown field `kep`"),
            ("\nkeep = 3", "/etc/x.toml:2:8: keep: ", "invalid type"),
            ("keep = [\"[\"]", "/etc/x.toml:1:9: keep: ", "not a glob"),
            ("min-age = \"soon\"", "/etc/x.toml:1:11: min-age: ", "not a span"),
            ("[watch]\nrescan = \"1ms\"", "/etc/x.toml:2:10: watch.rescan: ", "every second"),
            ("[watch]\nmetrics-file = \"a\"", "/etc/x.toml:2:16: watch.metrics-file: ", "absolute"),
            ("extra-socket-dirs = [\"~/x\"]", "/etc/x.toml:1:22: extra-socket-dirs: ", "absolute"),
            ("extra-socket-dirs = [\"/x\", \"/*/[\"]", "/etc/x.toml:1:28: extra-socket-dirs: ", "not a glob"),
            ("extra-socket-dirs = [\"*/x\"]", "/etc/x.toml:1:22: extra-socket-dirs: ", "absolute"),
            ("[spawn]\nverify-attempts = 0", "/etc/x.toml:2:19: spawn.verify-attempts: ", "1 to 1000"),
            ("[spawn]\nverify-attempts = -1", "/etc/x.toml:2:19: spawn.verify-attempts: ", "invalid value"),
            ("[spawn]\nverify-delay = \"infinity\"", "/etc/x.toml:2:16: spawn.verify-delay: ", "at most"),
            ("[spawn]\nsettle = \"2min\"", "/etc/x.toml:2:10: spawn.settle: ", "at most"),
            ("[spawn]\ntmux = \"a\\u0000\"", "/etc/x.toml:2:8: spawn.tmux: ", "NUL"),
            ("extra-socket-dirs = [\"/\\u0000\"]", "/etc/x.toml:1:22: extra-socket-dirs: ", "NUL"),
            ("[spawn]\ntmux = \"\"", "/etc/x.toml:2:8: spawn.tmux: ", "program"),
            (
                "[doctor]\nignore = [\"lock\", \"locks\"]",
                "/etc/x.toml:2:19: doctor.ignore: ",
                "no check \"locks\"; it has",
            ),
            ("keep = [", "/etc/x.toml:1:9: keep: ", ""),
            ("\"\\u001b[31m\" = 3", "/etc/x.toml:1:1: ", "unknown field `\\x1b[31m`"),
        ] {
            let error = error(text);
            assert!(error.starts_with(start) && error.contains(part), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }

    #[test]
    fn globs_match_labels_byte_for_byte() {
        let settings = parse(Path::new("x"), "keep = [\"home*\", \"?-x\"]").unwrap();
        for label in [&b"homebase"[..], b"home", b"home/\xff\n", b"a-x"] {
            assert!(settings.keep.contains(OsStr::from_bytes(label)), "{label:?}");
        }
        assert!(!settings.keep.contains(OsStr::new("ahome")));
    }

    #[test]
    fn an_empty_text_gives_the_defaults_of_the_sample() {
        let sample = include_str!("../../packaging/config.toml");
        let (empty, sample) = (parse(Path::new("x"), "").unwrap(), parse(Path::new("x"), sample).unwrap());
        assert_eq!(empty.watch, sample.watch);
        assert_eq!(empty.spawn, sample.spawn);
        assert_eq!(empty.doctor, sample.doctor);
        assert_eq!((empty.min_age, empty.extra_socket_dirs), (sample.min_age, sample.extra_socket_dirs));
        assert!(!sample.keep.contains(OsStr::new("homebase")));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = parse(Path::new("x"), &text);
        }
    }
}
