//! The picture on the first page: what the program says on a terminal, run here, drawn as SVG.
//!
//! `TMUX_JANITOR_PICTURE=write cargo test --test machines picture` draws it anew; without that it is compared.

use super::page::Order;
use super::steps::{Scene, Step, Wants};
use super::{REPOSITORY, here};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const FILE: &str = "docs/plots/first-look.svg";

/// What is shown to be typed.
const SHOWN: [&str; 4] =
    ["tmux-janitor list", "tmux-janitor sweep --dry-run", "tmux-janitor sweep", "tmux-janitor status"];
const BEFORE: &str = "export CLICOLOR_FORCE=1; live homebase; dead agent-7 build-41";

/// Sizes in pixels.
const LETTER: f64 = 8.4;
const LINE: f64 = 20.0;
const MARGIN: f64 = 20.0;
/// Letters in a line: what is longer ends in an ellipsis, as in a narrow window.
const COLUMNS: usize = 96;

fn scene() -> Scene {
    let step = |script: &str| Step { line: 0, script: script.to_owned(), wants: Wants::Success };
    let scripts = [BEFORE].into_iter().chain(SHOWN);
    Scene { page: FILE.to_owned(), order: Order::Here, steps: scripts.map(step).collect() }
}

#[test]
fn the_picture_is_of_a_real_run() {
    if !here::is_possible() {
        return;
    }
    let said = here::run(&scene());
    assert!(said.iter().all(|said| said.code == "0"), "{said:?}");
    let mut lines = vec![];
    for (command, said) in SHOWN.iter().zip(&said[1..]) {
        lines.push(format!("\x1b[32m$\x1b[0m {command}"));
        if *command == "tmux-janitor list" {
            lines.extend(with_what_is_known(&said.text));
        } else {
            lines.extend(said.text.lines().map(str::to_owned));
        }
    }
    let drawn = drawn(&lines);
    let file = Path::new(REPOSITORY).join(FILE);
    if std::env::var_os("TMUX_JANITOR_PICTURE").is_some() {
        fs::write(&file, &drawn).unwrap();
    }
    assert!(
        fs::read_to_string(&file).is_ok_and(|there| there == drawn),
        "{FILE} is not what is said now; TMUX_JANITOR_PICTURE=write draws it anew"
    );
}

/// What is known of a server in the picture: pid, age, whether somebody is attached, unit and memory.
const KNOWN: [&str; 5] = ["4711", "2d4h", "yes", "session-2.scope", "12M"];

/// Every run has another pid, age, unit and so on: the picture has its own, in columns that are as wide as these.
fn with_what_is_known(table: &str) -> Vec<String> {
    let rows: Vec<Vec<String>> = table
        .lines()
        .map(|row| {
            let mut fields: Vec<String> = row.split_whitespace().map(str::to_owned).collect();
            // The blanks that fill a state up are coloured as it is.
            fields.retain(|field| field != "\x1b[0m");
            if fields[0].contains("live") {
                fields.truncate(2);
                fields.extend(KNOWN.map(str::to_owned));
            }
            fields
        })
        .collect();
    let seen = |field: &str| spans(field).iter().map(|(_, text)| text.chars().count()).sum::<usize>();
    let width = |column: usize| rows.iter().map(|row| seen(&row[column])).max().unwrap_or(0);
    let is_number = |column: usize| ["PID", "AGE", "MEMORY"].contains(&rows[0][column].as_str());
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, field)| {
            let pad = " ".repeat(width(column) - seen(field));
            let end = if field.starts_with('\x1b') { "\x1b[0m" } else { "" };
            if is_number(column) { pad + field } else { format!("{field}{end}{pad}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A text and the colour that it has on a terminal.
fn spans(line: &str) -> Vec<(&str, String)> {
    let mut colour = "";
    let mut spans = vec![];
    for (at, part) in line.split("\x1b[").enumerate() {
        let text = match part.split_once('m').filter(|_| at > 0) {
            Some((code, text)) => {
                colour = match code.trim_start_matches("1;") {
                    "31" => "#ff7b72",
                    "32" => "#7ee787",
                    "33" => "#e3b341",
                    "35" => "#d2a8ff",
                    "2" => "#8b949e",
                    _ => "",
                };
                text
            }
            None => part,
        };
        if !text.is_empty() {
            spans.push((colour, text.to_owned()));
        }
    }
    spans
}

/// No wider than the window.
fn cut(spans: Vec<(&str, String)>) -> Vec<(&str, String)> {
    let mut left = COLUMNS;
    let mut kept = vec![];
    for (colour, text) in spans {
        let long = text.chars().count();
        if long > left {
            kept.push((colour, text.chars().take(left.saturating_sub(1)).chain(['…']).collect()));
            break;
        }
        left -= long;
        kept.push((colour, text));
    }
    kept
}

fn drawn(lines: &[String]) -> String {
    let width = MARGIN.mul_add(2.0, LETTER * f64::from(u32::try_from(COLUMNS).unwrap()));
    let height = MARGIN.mul_add(2.0, LINE * f64::from(u32::try_from(lines.len()).unwrap()));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <g font-family=\"ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\" fill=\"#e6edf3\">\n",
        "A terminal: tmux-janitor lists a live and two dead sockets, removes the dead, and says that all is well",
    );
    let mut y = MARGIN + LINE * 0.7;
    for line in lines {
        let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"{y:.0}\" xml:space=\"preserve\">");
        for (colour, text) in cut(spans(line)) {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            let fill = if colour.is_empty() { String::new() } else { format!(" fill=\"{colour}\"") };
            let _ = write!(svg, "<tspan{fill}>{text}</tspan>");
        }
        svg += "</text>\n";
        y += LINE;
    }
    svg + "</g>\n</svg>\n"
}
