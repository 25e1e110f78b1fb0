//! Reading metrics texts.

use super::skip::skip;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Python's `OpenMetrics` parser, which forgives nothing that the specification does not.
const PARSER: &str = "import sys; from prometheus_client.openmetrics import parser; list(parser.text_fd_to_metric_families(sys.stdin))";

/// The samples of a text: `name{labels}` and the value.
#[track_caller]
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
        (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line:?}")))
    };
    lines.map(sample).collect()
}

/// The names that samples of a text's families have.
pub(crate) fn names(text: &str) -> BTreeSet<String> {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = families.flat_map(|(family, kind)| match kind {
        "counter" => vec![format!("{family}_total"), format!("{family}_created")],
        _ => vec![family.to_owned()],
    });
    names.collect()
}

/// Fails unless this is `OpenMetrics`.
#[track_caller]
pub(crate) fn assert_open_metrics(text: &str) {
    let parser = || {
        // That of the distribution, whatever comes first in PATH.
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-I", "-c", PARSER]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        python
    };
    let run = |text: &str| {
        let mut child = parser().spawn().ok()?;
        child.stdin.take()?.write_all(text.as_bytes()).ok();
        child.wait_with_output().ok()
    };
    if !run("# EOF\n").is_some_and(|output| output.status.success()) {
        return skip("python3 with prometheus_client is not installed");
    }
    let output = run(text).expect("it ran a moment ago");
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}
