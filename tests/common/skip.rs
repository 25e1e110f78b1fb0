//! A test that cannot run here: loud on a laptop, a failure in CI.

use std::io::Write as _;

/// Says why the calling test proves nothing on this machine; the caller then returns.
///
/// Where `TMUX_JANITOR_NO_SKIP` is set, as `.ci/run` does, a skipped test is a failed one.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    let strict = std::env::var_os("TMUX_JANITOR_NO_SKIP").is_some();
    assert!(!strict, "a skipped test is a failure here: {reason}");
    say(reason);
}

/// As `skip`, for what the running kernel lacks, or was not set up to do when it booted: no script can install that, so
/// it fails nowhere.
pub(crate) fn lacking(reason: &str) {
    say(reason);
}

fn say(reason: &str) {
    // Not eprintln!: of a test that passes, the test runner swallows it.
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {reason}");
    // tests/run repeats them at the end, where they are seen.
    if let Some(list) = std::env::var_os("TMUX_JANITOR_SKIPS") {
        let list = std::fs::OpenOptions::new().append(true).open(list);
        let _ = list.and_then(|mut list| writeln!(list, "{name}: {reason}"));
    }
}
