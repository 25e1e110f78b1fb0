//! A configuration: settings that can be used and say what the text says, or where its mistake is.

use std::path::{Path, PathBuf};
use std::time::Duration;
use tmux_janitor::for_tests::{FolderGlob, Settings, parse_text};

pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match parse_text(Path::new("c"), &text) {
        Ok(settings) => {
            let written: toml::Table = toml::from_str(&text).expect("no TOML was read");
            can_be_used(&settings);
            let dirs = strings(&written, "extra-socket-dirs").map(PathBuf::from);
            let (globs, dirs): (Vec<_>, Vec<_>) = dirs.partition(|dir| FolderGlob::is_one(dir));
            assert_eq!(settings.extra_socket_dirs, dirs);
            assert_eq!(settings.extra_socket_globs.iter().map(glob).collect::<Vec<_>>(), globs);
            let printed = printed(&settings, strings(&written, "keep"));
            let again = parse_text(Path::new("c"), &printed);
            let again = again.unwrap_or_else(|error| panic!("{error} in what was printed:\n{printed}"));
            // The globs can only be seen like this.
            assert_eq!(format!("{settings:?}"), format!("{again:?}"), "printed:\n{printed}");
        }
        Err(error) => points_into(&text, &error.to_string()),
    }
}

fn glob(glob: &FolderGlob) -> PathBuf {
    PathBuf::from(glob.text())
}

/// What the contract allows, and nothing that fails or panics later.
fn can_be_used(settings: &Settings) {
    let can_be_opened = |path: &Path| path.is_absolute() && is_nameable(path);
    assert!(settings.extra_socket_dirs.len() + settings.extra_socket_globs.len() <= 256);
    assert!(settings.extra_socket_globs.iter().all(|glob| can_be_opened(Path::new(glob.text()))));
    assert!(settings.extra_socket_dirs.iter().all(|path| can_be_opened(path)), "{settings:?}");
    let watch = &settings.watch;
    assert!(watch.rescan.is_none_or(|span| span >= Duration::from_secs(1)), "{watch:?}");
    assert!(watch.metrics_file.as_deref().is_none_or(can_be_opened), "{watch:?}");
    let spawn = &settings.spawn;
    assert!(!spawn.tmux.as_os_str().is_empty() && is_nameable(&spawn.tmux), "{spawn:?}");
    assert!((1..=1000).contains(&spawn.verify_attempts), "{spawn:?}");
    assert!(spawn.verify_delay.max(spawn.settle) <= Duration::from_secs(60), "{spawn:?}");
}

fn is_nameable(path: &Path) -> bool {
    !path.as_os_str().as_encoded_bytes().contains(&0)
}

/// `c:LINE:COLUMN: what is wrong`, on one line, with a place that the text has.
fn points_into(text: &str, error: &str) {
    assert!(!error.chars().any(char::is_control), "{error:?}");
    let mut parts = error.splitn(4, ':');
    let mut next = || parts.next().unwrap_or_default();
    assert_eq!(next(), "c", "{error}");
    let (line, column): (usize, usize) = (next().parse().unwrap_or(0), next().parse().unwrap_or(0));
    assert!(next().trim().len() > 1, "{error}");
    let there = line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let there = there.unwrap_or_else(|| panic!("no such line: {error}"));
    assert!((1..=there.chars().count() + 1).contains(&column), "no such column: {error}");
}

fn strings<'a>(table: &'a toml::Table, key: &str) -> impl Iterator<Item = &'a str> {
    table.get(key).and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str)
}

/// All settings as a configuration file.
fn printed<'a>(settings: &Settings, keep: impl Iterator<Item = &'a str>) -> String {
    let (watch, spawn) = (&settings.watch, &settings.spawn);
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| quoted_path(path)).collect::<Vec<_>>().join(", ");
    let dirs = settings.extra_socket_dirs.iter().cloned();
    let dirs: Vec<PathBuf> = dirs.chain(settings.extra_socket_globs.iter().map(glob)).collect();
    let metrics = watch.metrics_file.as_deref().unwrap_or(Path::new(""));
    [
        format!("extra-socket-dirs = [{}]", paths(&dirs)),
        format!("keep = [{}]", keep.map(quoted).collect::<Vec<_>>().join(", ")),
        format!("min-age = {}", span(Some(settings.min_age).filter(|age| *age != Duration::MAX))),
        "[watch]".to_owned(),
        format!("rescan = {}", span(watch.rescan)),
        format!("rescue = {}\nprotect = {}", watch.rescue, watch.protect),
        format!("metrics-file = {}", quoted_path(metrics)),
        "[spawn]".to_owned(),
        format!("tmux = {}", quoted_path(&spawn.tmux)),
        format!("settle = {}", span(Some(spawn.settle))),
        format!("verify-attempts = {}", spawn.verify_attempts),
        format!("verify-delay = {}", span(Some(spawn.verify_delay))),
        format!("clear-registration = {}", spawn.clear_registration),
    ]
    .join("\n")
}

fn span(span: Option<Duration>) -> String {
    match span {
        Some(span) => format!("\"{}s {}ns\"", span.as_secs(), span.subsec_nanos()),
        None => "\"infinity\"".to_owned(),
    }
}

fn quoted_path(path: &Path) -> String {
    quoted(path.to_str().expect("TOML has UTF-8 only"))
}

/// A basic string of TOML 1.0.
fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}
