//! Results for monitoring: the health row, and what it is called there.
//!
//! Labels are states and users, never names of sockets: those are made by anybody, in any number.

use super::open_metrics::{Seconds, Text};
use super::row::Row;
use super::{DeathCounts, Record};
use rustix::io::Errno;
use std::path::Path;
use tmux_sockets::kernel::Uid;

/// How many users have rows of their own. Whoever may use other uids (subuid(5)) can make directories for
/// thousands, and each would be a set of series for ever.
const MOST_USERS: usize = 256;

/// The whole text. Rows beyond [`MOST_USERS`] are added up.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut all: Vec<Row> = rows.iter().take(MOST_USERS).cloned().collect();
    if let Some((first, rest)) = rows.get(MOST_USERS..).and_then(<[Row]>::split_first) {
        let mut others = Row { uid: None, record: None, ..first.clone() };
        for row in rest {
            others.merge(row);
        }
        all.push(others);
    }
    let mut text = Text::default();
    counts(&mut text, &all);
    let recorded: Vec<(String, Record)> =
        all.iter().filter_map(|row| Some((row.user(), row.record?))).collect();
    sums(&mut text, &recorded);
    text.gauge("tmux_janitor_build_info", "", "The program that has written this; uid: as whom.");
    let uid = Uid::ours().to_string();
    let labels = [("uid", uid.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
    text.sample("tmux_janitor_build_info", &labels, &1);
    text.end()
}

/// What there is now.
fn counts(text: &mut Text, all: &[Row]) {
    text.gauge(
        "tmux_janitor_sockets",
        "",
        "Sockets of tmux servers, by state; spared: dead, and kept by keep or min-age.",
    );
    for row in all {
        for (kind, count) in &row.sockets {
            text.sample("tmux_janitor_sockets", &[("state", kind.word()), ("uid", &row.user())], count);
        }
    }
    text.gauge(
        "tmux_janitor_live_servers",
        "",
        "Live tmux servers, by where they are bound; elsewhere: in no directory that is looked into.",
    );
    for row in all {
        for (place, count) in &row.places {
            text.sample("tmux_janitor_live_servers", &[("place", place.word()), ("uid", &row.user())], count);
        }
    }
    text.numbers(
        "tmux_janitor_ghosts",
        "Live tmux servers that nobody can reach: their socket was deleted or replaced.",
        all,
        |row| row.ghosts,
    );
    text.numbers(
        "tmux_janitor_directory_errors",
        "Socket directories that were left alone because of an error.",
        all,
        |row| Some(row.refused),
    );
    text.numbers(
        "tmux_janitor_unseen",
        "What could not be looked at, those directories among it: what is there is not known.",
        all,
        |row| row.unseen,
    );
    text.numbers(
        "tmux_janitor_held_locks",
        "Start locks that are held and not released: no server starts there.",
        all,
        |row| row.held,
    );
    text.numbers(
        "tmux_janitor_record_errors",
        "Users whose record of sweeps and removals cannot be read: the sums and times below are missing then.",
        all,
        |row| row.unread_records,
    );
}

/// What was done and happened since the record was begun.
fn sums(text: &mut Text, recorded: &[(String, Record)]) {
    let alone = |sum: u64| vec![(None, sum)];
    text.counter("tmux_janitor_removals", "Dead sockets that were removed.", recorded, |record| {
        alone(record.removed)
    });
    text.counter(
        "tmux_janitor_failures",
        "Times that a dead socket could not be removed.",
        recorded,
        |record| alone(record.failed),
    );
    text.counter(
        "tmux_janitor_server_deaths",
        "Servers that have ended, as the watcher saw it, by the cause; oom: killed for lack of memory.",
        recorded,
        |Record { deaths, .. }| {
            let DeathCounts { exit, signal, oom, unknown } = *deaths;
            let by = [("exit", exit), ("signal", signal), ("oom", oom), ("unknown", unknown)];
            by.map(|(cause, sum)| (Some(("cause", cause)), sum)).to_vec()
        },
    );
    let swept: Vec<_> = recorded.iter().filter(|(_, record)| record.swept_us > 0).collect();
    text.gauge(
        "tmux_janitor_last_sweep_timestamp_seconds",
        "seconds",
        "When everything was last swept, since 1970.",
    );
    for (user, record) in &swept {
        let at = Seconds(record.swept_us);
        text.sample("tmux_janitor_last_sweep_timestamp_seconds", &[("uid", user)], &at);
    }
    text.gauge("tmux_janitor_last_sweep_duration_seconds", "seconds", "How long that took.");
    for (user, record) in &swept {
        let took = Seconds(record.sweep_took_us);
        text.sample("tmux_janitor_last_sweep_duration_seconds", &[("uid", user)], &took);
    }
}

/// Why a metrics file cannot be written, and what to do.
pub(crate) fn not_written(path: &Path, error: &std::io::Error) -> String {
    let cure = match Errno::from_io_error(error) {
        Some(Errno::ROFS) => "; in a unit, ReadWritePaths= must name its folder",
        Some(Errno::ACCESS | Errno::PERM) => "; this user must be able to write in its folder",
        Some(Errno::NOENT) => "; its folder must be there",
        _ => "",
    };
    format!(
        "{}: {}{cure}",
        tmux_sockets::kernel::escape::escaped(path),
        tmux_sockets::kernel::text::io_text(error)
    )
}

impl Text {
    /// A number for each user of whom it is known.
    fn numbers(&mut self, family: &str, help: &str, of: &[Row], number: impl Fn(&Row) -> Option<usize>) {
        self.gauge(family, "", help);
        for (row, number) in of.iter().filter_map(|row| Some((row, number(row)?))) {
            self.sample(family, &[("uid", &row.user())], &number);
        }
    }

    /// Sums that only grow, each with a label of its own if there are several, and when they began to.
    fn counter<'l>(
        &mut self,
        family: &str,
        help: &str,
        of: &[(String, Record)],
        sums: impl Fn(&Record) -> Vec<(Option<(&'l str, &'l str)>, u64)>,
    ) {
        self.head(family, "counter", "", help);
        for (user, record) in of {
            for (label, sum) in sums(record) {
                let labels: Vec<_> = label.into_iter().chain([("uid", user.as_str())]).collect();
                self.sample(&format!("{family}_total"), &labels, &sum);
                if record.since_us > 0 {
                    self.sample(&format!("{family}_created"), &labels, &Seconds(record.since_us));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Unread;
    use crate::record::row::Kind;
    use tmux_sockets::judge::State;
    use tmux_sockets::report::{DirectoryReport, LeftAlone, Report};

    fn row(uid: Uid, dead: usize) -> Row {
        Row {
            uid: Some(uid),
            sockets: vec![(Kind::State(State::Dead), dead)],
            ghosts: Some(1),
            ..Row::default()
        }
    }

    fn samples(text: &str, name: &str) -> Vec<String> {
        text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).map(str::to_owned).collect()
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_said_to_be_zero() {
        let refused = |error| DirectoryReport { path: "/x".into(), error };
        let mut report = Report { directories: vec![refused(Some(LeftAlone::Missing))], ..Report::default() };
        let blind = text(&[Row::of(Uid::new(7), &report, None)]);
        assert!(samples(&blind, "tmux_janitor_sockets").is_empty(), "{blind}");
        assert!(samples(&blind, "tmux_janitor_ghosts").is_empty(), "{blind}");
        assert!(samples(&blind, "tmux_janitor_live_servers").is_empty(), "{blind}");
        assert!(samples(&blind, "tmux_janitor_held_locks").is_empty(), "{blind}");
        for metric in ["tmux_janitor_directory_errors", "tmux_janitor_unseen"] {
            assert_eq!(samples(&blind, metric), [format!("{metric}{{uid=\"7\"}} 1")]);
        }
        report.directories.push(refused(None));
        assert_eq!(
            samples(&text(&[Row::of(Uid::new(7), &report, None)]), "tmux_janitor_sockets").len(),
            Kind::ALL.len()
        );
        assert_eq!(
            samples(&text(&[Row::of(Uid::new(7), &Report::default(), None)]), "tmux_janitor_sockets").len(),
            Kind::ALL.len()
        );
    }

    #[test]
    fn what_is_not_known_of_the_past_is_left_out() {
        let row = |record| Row { record, ..row(Uid::new(7), 0) };
        let all = text(&[row(None)]);
        assert!(
            !all.contains("_total") && !all.contains("_created{") && !all.contains("timestamp_seconds{"),
            "{all}"
        );
        let never = text(&[row(Some(Record::default()))]);
        assert_eq!(
            samples(&never, "tmux_janitor_removals_total"),
            ["tmux_janitor_removals_total{uid=\"7\"} 0"]
        );
        assert!(!never.contains("_created{") && !never.contains("timestamp_seconds{"), "{never}");
        let swept = Record {
            since_us: 5_000_001,
            removed: 2,
            failed: 3,
            swept_us: 1_700_000_000_250_000,
            sweep_took_us: 812,
            deaths: DeathCounts { exit: 5, oom: 1, ..DeathCounts::default() },
        };
        let swept = text(&[row(Some(swept))]);
        for line in [
            "tmux_janitor_removals_total{uid=\"7\"} 2",
            "tmux_janitor_removals_created{uid=\"7\"} 5.000001",
            "tmux_janitor_failures_total{uid=\"7\"} 3",
            "tmux_janitor_server_deaths_total{cause=\"exit\",uid=\"7\"} 5",
            "tmux_janitor_server_deaths_created{cause=\"exit\",uid=\"7\"} 5.000001",
            "tmux_janitor_server_deaths_total{cause=\"signal\",uid=\"7\"} 0",
            "tmux_janitor_server_deaths_total{cause=\"oom\",uid=\"7\"} 1",
            "tmux_janitor_server_deaths_total{cause=\"unknown\",uid=\"7\"} 0",
            "tmux_janitor_last_sweep_timestamp_seconds{uid=\"7\"} 1700000000.250000",
            "tmux_janitor_last_sweep_duration_seconds{uid=\"7\"} 0.000812",
            "# UNIT tmux_janitor_last_sweep_duration_seconds seconds",
        ] {
            assert!(swept.lines().any(|found| found == line), "{line}: {swept}");
        }
        assert!(swept.ends_with("\n# EOF\n"));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_said_to_be_so() {
        let of = |record: Option<Result<Record, Unread>>| {
            let row = Row::of(Uid::new(7), &Report::default(), record.as_ref());
            samples(&text(&[row]), "tmux_janitor_record_errors")
        };
        assert_eq!(of(Some(Ok(Record::default()))), ["tmux_janitor_record_errors{uid=\"7\"} 0"]);
        assert_eq!(of(Some(Err(Unread(Errno::PERM)))), ["tmux_janitor_record_errors{uid=\"7\"} 1"]);
        assert!(of(None).is_empty(), "nobody looked");
    }

    #[test]
    fn nobody_can_make_thousands_of_series() {
        let rows: Vec<Row> = (0..3000).map(|uid| row(Uid::new(uid), 2)).collect();
        let all = text(&rows);
        let dead = samples(&all, "tmux_janitor_sockets");
        assert_eq!(dead.len(), MOST_USERS + 1);
        let rest = 2 * (3000 - MOST_USERS);
        assert_eq!(
            dead.last().cloned(),
            Some(format!("tmux_janitor_sockets{{state=\"dead\",uid=\"others\"}} {rest}"))
        );
        assert!(all.contains(&format!("tmux_janitor_ghosts{{uid=\"others\"}} {}\n", 3000 - MOST_USERS)));
    }
}
