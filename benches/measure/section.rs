//! A section of the page, and how much is measured for it.

use super::plot::{Pair, Plot};
use std::fmt::Write as _;
use std::time::Duration;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    tiny: bool,
}

impl Scale {
    /// A size: that of the page, or with `--tiny` one that only shows that it works.
    pub(crate) fn of(self, full: usize, tiny: usize) -> usize {
        if self.tiny { tiny } else { full }
    }
}

/// A section of the page: a table, what is to be said of it, and plots.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
    pub(crate) plots: Vec<Plot>,
}

impl Section {
    /// One with a free table.
    pub(crate) fn new(name: &'static str, head: &'static [&'static str]) -> Self {
        Self { name, head, rows: vec![], notes: vec![], plots: vec![] }
    }

    /// One that compares times.
    pub(crate) fn versus(name: &'static str, title: &'static str) -> Self {
        let mut section = Self::new(name, &["work", "tmux-janitor", "against", "", "ratio", "asked"]);
        section.plots.push(Plot::Bars { title, unit: "ms", pairs: vec![] });
        section
    }

    pub(crate) fn row(&mut self, cells: &[&str]) {
        tell(&cells.join("  "));
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
    }

    pub(crate) fn note(&mut self, text: String) {
        tell(&text);
        self.notes.push(text);
    }

    /// A row of two times, and a pair of bars in the first plot.
    pub(crate) fn compare(&mut self, work: &str, peer: &str, [ours, theirs]: [Duration; 2], asked: &str) {
        let ratio = ratio(ours, theirs);
        self.row(&[work, &milliseconds(ours), peer, &milliseconds(theirs), &ratio, asked]);
        let value = |time: Duration| time.as_secs_f64() * 1000.0;
        if let Some(Plot::Bars { pairs, .. }) = self.plots.first_mut() {
            let (work, peer) = (work.to_owned(), peer.replace("\\|", "|").replace('`', ""));
            pairs.push(Pair { work, ours: value(ours), peer, theirs: value(theirs) });
        }
    }

    /// As it stands in the page.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.head.to_vec()) + &line(vec!["---"; self.head.len()]);
        for row in &self.rows {
            text += &line(row.iter().map(String::as_str).collect());
        }
        if !self.notes.is_empty() {
            text += "\n";
        }
        for note in &self.notes {
            text = text + "- " + note + "\n";
        }
        for plot in &self.plots {
            let _ = writeln!(text, "\n![{}](plots/{}.svg)", plot.title(), self.name);
        }
        text
    }
}

/// `66 × faster`, `1.6 × its time, 4.70 ms more`.
fn ratio(ours: Duration, theirs: Duration) -> String {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    if ratio < 0.1 {
        format!("{:.0} × faster", 1.0 / ratio)
    } else if ratio < 1.0 {
        format!("{:.1} × faster", 1.0 / ratio)
    } else {
        format!("{ratio:.1} × its time, {} more", milliseconds(ours.saturating_sub(theirs)))
    }
}

pub(crate) fn milliseconds(time: Duration) -> String {
    let value = time.as_secs_f64() * 1000.0;
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.1} ms") }
}

pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Progress, for whoever waits.
pub(crate) fn tell(text: &str) {
    eprintln!("  {text}");
}

/// What makes a section.
pub(crate) type Measure = fn(Scale) -> Section;

/// `--tiny` on the command line.
pub(crate) fn scale() -> Scale {
    Scale { tiny: std::env::args().any(|argument| argument == "--tiny") }
}
