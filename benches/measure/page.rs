//! The page: measured sections go into docs/benchmarks.md between their marks, plots beside it. What people wrote
//! around them stays.

use super::section::{Measure, scale};
use super::{scene, users};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Measures every section and writes it; `--out FOLDER` instead of `docs`, `--only NAME` for a single one.
pub(crate) fn main(sections: &[(&str, Measure)]) {
    if scene::played_a_part() || users::played_a_part() {
        return;
    }
    // `cargo test --benches` starts it, too.
    if !std::env::args().any(|argument| argument == "--bench") && option("--out").is_none() {
        eprintln!("`cargo bench --bench page` measures, and writes docs/benchmarks.md; nothing was done.");
        return;
    }
    let out =
        option("--out").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"), PathBuf::from);
    let page = out.join("benchmarks.md");
    let mut text = fs::read_to_string(&page).expect("the page with its marks is there");
    fs::create_dir_all(out.join("plots")).unwrap();
    let begun = Instant::now();
    let only = option("--only");
    let wanted: Vec<_> =
        sections.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)).collect();
    if only.is_none() {
        text = between(&text, "machine", &machine());
    }
    for (at, (name, measure)) in wanted.iter().enumerate() {
        eprintln!("{}/{} {name}, after {} s", at + 1, wanted.len(), begun.elapsed().as_secs());
        let section = measure(scale());
        text = between(&text, section.name, &section.markdown());
        for plot in &section.plots {
            fs::write(out.join(format!("plots/{}.svg", section.name)), plot.svg()).unwrap();
        }
        // What is measured stays, should the next one fail.
        fs::write(&page, &text).unwrap();
    }
    eprintln!("{} written after {} s", page.display(), begun.elapsed().as_secs());
}

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// Replaces what stands between the marks of a section.
fn between(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- measured: {name} -->\n"), format!("<!-- end: {name} -->\n"));
    let (head, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no {begin}"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("the page has no {end}"));
    format!("{head}{begin}{text}{end}{tail}")
}

/// On what it was measured.
fn machine() -> String {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "Measured on {cores} cores, Linux {}, {}, {}, load {} at the beginning.\n",
        said("uname", "-r").split('-').next().unwrap_or_default(),
        said("tmux", "-V"),
        said("systemctl", "--version"),
        load.split(' ').next().unwrap_or_default()
    )
}
