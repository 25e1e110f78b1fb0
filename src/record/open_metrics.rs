//! The `OpenMetrics` text format.
//!
//! It is a subset that the Prometheus text format has too, so that `node_exporter`'s textfile collector reads it:
//! no time stamps, no types that only one of them knows; `# UNIT` and `# EOF` are comments to the other.
//! Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::fmt::{Display, Write};

/// The text as far as it is written.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn head(&mut self, family: &str, kind: &str, unit: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# TYPE {family} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT {family} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {family} {}", escaped(help));
    }

    pub(super) fn gauge(&mut self, family: &str, unit: &str, help: &str) {
        self.head(family, "gauge", unit, help);
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &impl Display) {
        let labels = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.collect::<Vec<_>>().join(","));
    }

    /// The whole of it.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

/// Microseconds, shown as seconds.
pub(super) struct Seconds(pub(super) u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A label's value or a help text, as both formats want it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_in_its_quotes() {
        let mut text = Text::default();
        text.sample("m", &[("a", "x\"} 1\n\\"), ("b", "")], &7);
        assert_eq!(text.0, "m{a=\"x\\\"} 1\\n\\\\\",b=\"\"} 7\n");
    }
}
