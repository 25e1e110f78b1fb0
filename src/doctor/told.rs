//! Findings as they are told, to people and to programs.

use super::{Finding, Severity, is_healthy};
use crate::view::people::plural;
use serde::Serialize;
use std::fmt::Write;

/// What `doctor` prints: three lines per finding, and how many of each kind there are.
pub(crate) fn people(findings: &[Finding], ignored: &[String]) -> String {
    let mut text = String::new();
    for Finding { check, severity, what, why, cure } in findings {
        let _ =
            writeln!(text, "{check}: {}: {what}\n  why:  {why}\n  cure: {}", severity.word(), cure.text());
    }
    let counted = [Severity::Problem, Severity::Risk, Severity::Note].into_iter().filter_map(|severity| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        (count > 0).then(|| plural(count, severity.word()))
    });
    let counted = counted.collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "{}", if counted.is_empty() { "nothing found" } else { &counted });
    if !ignored.is_empty() {
        let _ = writeln!(text, "not looked at, as doctor.ignore asks: {}", ignored.join(", "));
    }
    text
}

/// The object of `doctor`.
pub(crate) fn json(findings: &[Finding], ignored: &[String]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct DoctorObject<'a> {
        version: u32,
        command: &'static str,
        healthy: bool,
        findings: Vec<FindingObject<'a>>,
        ignored: &'a [String],
    }
    #[derive(Serialize)]
    struct FindingObject<'a> {
        check: &'a str,
        severity: &'static str,
        what: &'a str,
        why: &'a str,
        cure: &'a str,
        /// The cure, where it is a shell line.
        command: Option<&'a str>,
    }
    fn told(finding: &Finding) -> FindingObject<'_> {
        FindingObject {
            check: finding.check,
            severity: finding.severity.word(),
            what: &finding.what,
            why: finding.why,
            cure: finding.cure.text(),
            command: finding.cure.line(),
        }
    }
    serde_json::to_string(&DoctorObject {
        version: 1,
        command: "doctor",
        healthy: is_healthy(findings),
        findings: findings.iter().map(told).collect(),
        ignored,
    })
}
