//! Plots as SVG, readable on light and dark pages. Bars and a curve need no library.

use std::fmt::Write as _;

/// Two bars beside each other.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) work: String,
    pub(crate) ours: f64,
    pub(crate) peer: String,
    pub(crate) theirs: f64,
}

#[derive(Debug)]
pub(crate) enum Plot {
    /// Ours above theirs, for each work.
    Bars { title: &'static str, unit: &'static str, pairs: Vec<Pair> },
    /// Measured values from the smallest to the largest.
    Sorted { title: &'static str, unit: &'static str, values: Vec<f64> },
}

const WIDTH: f64 = 760.0;
/// Where bars end at most: their figures stand behind them.
const ROOM: f64 = 620.0;
const STYLE: &str = "<style>
text { font: 13px sans-serif; fill: #1f2328 } .small { font-size: 11px; fill: #59636e }
.ours { fill: #1a7f37 } .theirs { fill: #8c959f } .line { stroke: #1a7f37; stroke-width: 2; fill: none } .grid { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .small { fill: #9198a1 } .grid { stroke: #3d444d } }
</style>\n";

impl Plot {
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Bars { title, .. } | Self::Sorted { title, .. } => title,
        }
    }

    pub(crate) fn svg(&self) -> String {
        match self {
            Self::Bars { title, unit, pairs } => bars(title, unit, pairs),
            Self::Sorted { title, unit, values } => sorted(title, unit, values),
        }
    }
}

/// A scale from 0 to 1: logarithmic where the values are far apart.
struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(0.001, f64::max);
        let low = values.fold(high, f64::min).max(high / 1e6);
        Self { low: low / 2.0, high, is_logarithmic: high / low > 20.0 }
    }

    fn at(&self, value: f64) -> f64 {
        let part = if self.is_logarithmic {
            (value / self.low).max(1.0).ln() / (self.high / self.low).ln()
        } else {
            value / self.high
        };
        part.clamp(0.003, 1.0)
    }

    fn name(&self) -> &'static str {
        if self.is_logarithmic { ", logarithmic scale" } else { "" }
    }
}

fn bars(title: &str, unit: &str, pairs: &[Pair]) -> String {
    let axis = Axis::of(pairs.iter().flat_map(|pair| [pair.ours, pair.theirs]));
    let mut body = String::new();
    let mut y = 44.0;
    for Pair { work, ours, peer, theirs } in pairs {
        let _ = writeln!(body, "<text x=\"0\" y=\"{}\">{}</text>", y + 12.0, escaped(work));
        y += 18.0;
        for (class, value, who) in [("ours", *ours, "tmux-janitor"), ("theirs", *theirs, peer.as_str())] {
            let width = axis.at(value) * (ROOM - 200.0);
            let label = format!("{} {unit}, {who}", figure(value));
            let _ = writeln!(
                body,
                "<rect class=\"{class}\" x=\"0\" y=\"{y}\" width=\"{width:.1}\" height=\"14\"/>"
            );
            let _ = writeln!(
                body,
                "<text class=\"small\" x=\"{:.1}\" y=\"{}\">{}</text>",
                width + 6.0,
                y + 11.0,
                escaped(&label)
            );
            y += 17.0;
        }
        y += 10.0;
    }
    document(title, &format!("{unit}, less is better{}", axis.name()), y, &body)
}

fn sorted(title: &str, unit: &str, values: &[f64]) -> String {
    const TOP: f64 = 50.0;
    const HEIGHT: f64 = 200.0;
    let axis = Axis::of(values.iter().copied());
    let count = f64::from(u32::try_from(values.len().max(2) - 1).unwrap_or(u32::MAX));
    let x = |at: usize| 60.0 + f64::from(u32::try_from(at).unwrap_or(u32::MAX)) / count * (ROOM - 60.0);
    let y = |value: f64| TOP + HEIGHT * (1.0 - axis.at(value));
    let mut body = String::new();
    let last = values.len().saturating_sub(1);
    let mut label = f64::MAX;
    for (name, at) in [("median", values.len() / 2), ("99 %", values.len() * 99 / 100), ("longest", last)] {
        let (value, height) = (values[at], y(values[at]));
        // Close ones stand above each other.
        label = (height + 4.0).min(label - 13.0);
        let _ = writeln!(
            body,
            "<line class=\"grid\" x1=\"60\" x2=\"{ROOM}\" y1=\"{height:.1}\" y2=\"{height:.1}\"/>"
        );
        let _ = writeln!(
            body,
            "<text class=\"small\" x=\"{}\" y=\"{:.1}\">{name}: {} {unit}</text>",
            ROOM + 6.0,
            label,
            figure(value)
        );
    }
    let points: Vec<String> =
        values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value))).collect();
    let _ = writeln!(body, "<polyline class=\"line\" points=\"{}\"/>", points.join(" "));
    let bottom = TOP + HEIGHT + 18.0;
    let _ = writeln!(body, "<text class=\"small\" x=\"60\" y=\"{bottom}\">fastest</text>");
    let _ = writeln!(
        body,
        "<text class=\"small\" x=\"{ROOM}\" y=\"{bottom}\" text-anchor=\"end\">slowest of {}</text>",
        values.len()
    );
    document(title, &format!("{unit}, less is better{}", axis.name()), bottom + 10.0, &body)
}

fn document(title: &str, subtitle: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>{title}</title>\n{STYLE}<text x=\"0\" y=\"15\" font-weight=\"bold\">{title}</text>\n\
         <text class=\"small\" x=\"0\" y=\"31\">{subtitle}</text>\n{body}</svg>\n"
    )
}

fn figure(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('`', "")
}
