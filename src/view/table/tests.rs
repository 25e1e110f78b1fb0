#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
use super::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use tmux_sockets::judge::{Plight, Reason, Standing, Verdict};
use tmux_sockets::kernel::{Label, Pid};
use tmux_sockets::report::{Details, DirectoryReport, Folder, LeftAlone, Outcome, Outside};
use unicode_width::UnicodeWidthStr;

const NOW: Duration = Duration::from_secs(1_000_000);
const PLAIN: Palette = Palette { colored: false };

fn entry(folder: &Folder, label: &[u8], state: State, reason: Reason) -> Entry {
    let label = Label::new(OsString::from_vec(label.to_vec())).unwrap();
    Entry::new(folder.clone(), label, Uid::new(5), Verdict::new(state, reason), Outcome::Kept)
}

/// Live ones with all that can be known and with nothing, a dead one, and a ghost.
fn report() -> Report {
    let mut report = Report::default();
    let directory = DirectoryReport { path: "/tmp/tmux-5".into(), error: None };
    let folder = Folder::Of(report.add_directory(directory));
    let details = Details {
        started: Some(SystemTime::UNIX_EPOCH + NOW - Duration::from_secs(7500)),
        attached: Some(true),
        unit: Some("tmux-spawn-8d6e2f3a-aaaa-bbbb-cccc-0123456789ab.scope".to_owned()),
        memory: Some(3_600_000),
    };
    let plight = Plight { pid: Some(Pid::new(4711)), standing: Standing::Nothing, bar: None };
    report.entries = vec![
        Entry {
            server_pid: Some(Pid::new(4710)),
            details: Some(Box::new(details)),
            ..entry(&folder, b"homebase", State::Live, Reason::Listening)
        },
        entry(
            &folder,
            b"a-name-that-is-longer-than-anybody-would-give-one",
            State::Dead,
            Reason::NobodyListens,
        ),
        Entry {
            server_pid: Some(Pid::new(4711)),
            panes: vec!["sleep".to_owned()],
            ..entry(&folder, b"lost", State::Ghost, Reason::Ghost(plight))
        },
        entry(&folder, "日本\t\n\x1b[2J\u{202e}".as_bytes(), State::Live, Reason::Listening),
        entry(&folder, b"\xff", State::Live, Reason::Listening),
    ];
    report
}

fn listed(is_wanted: &dyn Fn(&Entry) -> bool, show: impl FnOnce(&Listed<'_>) -> String) -> String {
    let names = BTreeMap::from([(Uid::new(5), "ann\x1b".to_owned())]);
    show(&Listed { is_wanted, names: &names, now: SystemTime::UNIX_EPOCH + NOW })
}

fn on(report: &Report, width: usize, all_reasons: bool, users: bool) -> String {
    let screen = Screen { width, palette: PLAIN, all_reasons, users };
    listed(&|_| true, |listed| table(report, listed, screen))
}

#[test]
fn nothing_is_wider_than_the_screen() {
    for width in [20, 34, 40, 60, 80, 120, 200] {
        for (reasons, users) in [(false, false), (true, true)] {
            let text = on(&report(), width, reasons, users);
            for line in text.lines() {
                assert!(line.width() <= width, "{width}: {line:?}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }
}

#[test]
fn columns_go_in_their_order() {
    let header = |width, users| {
        let text = on(&report(), width, false, users);
        text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(header(40, false), "STATE LABEL PID AGE");
    assert_eq!(header(34, false), "STATE LABEL PID");
    assert_eq!(header(60, false), "STATE LABEL PID AGE ATTACHED");
    assert_eq!(header(80, false), "STATE LABEL PID AGE ATTACHED UNIT");
    assert_eq!(header(200, false), "STATE LABEL PID AGE ATTACHED UNIT MEMORY");
    assert_eq!(header(40, true), "STATE LABEL PID");
    assert_eq!(header(60, true), "STATE LABEL PID AGE ATTACHED USER");
    assert_eq!(header(80, true), "STATE LABEL PID AGE ATTACHED USER");
    assert_eq!(header(90, true), "STATE LABEL PID AGE ATTACHED UNIT USER");
}

#[test]
fn sixty_columns_can_be_read() {
    let text = on(&report(), 60, false, false);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "STATE  LABEL                             PID   AGE  ATTACHED",
            "live   homebase                         4710  2h5m  yes",
            "dead   a-name-that-is-longer-than-any…     -     -  -",
            "ghost  lost                             4711     -  -",
            "  a live server whose socket was deleted; `tmux-janitor",
            "  rescue` gives it its socket back; panes: sleep",
        ]
    );
    assert_eq!(lines[6], "live   日本\\t\\n\\x1b[2J\\u{202e}             -     -  -");
    assert_eq!(lines[7], "live   \\xff                                -     -  -");
}

#[test]
fn a_wide_screen_has_everything() {
    let text = on(&report(), 200, false, true);
    let line = text.lines().nth(1).unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        [
            "live",
            "homebase",
            "4710",
            "2h5m",
            "yes",
            "tmux-spawn-8d6e2f3a-aaaa-bbbb-cccc-0123456789ab.scope",
            "3.4M",
            "ann\\x1b"
        ]
    );
    assert!(text.contains("a-name-that-is-longer-than-anybody-would-give-one"), "{text}");
}

#[test]
fn of_a_path_the_end_is_kept() {
    let mut report = report();
    let other = Folder::Other("/run/user/5/tmux-5".into());
    report.entries.push(entry(&other, b"elsewhere", State::Live, Reason::Listening));
    let text = on(&report, 60, false, false);
    assert!(text.lines().next().unwrap().contains("PATH"), "{text}");
    assert!(
        text.contains("/tmp/tmux-5/homebase") && text.contains("…er-than-anybody-would-give-one"),
        "{text}"
    );
    assert!(text.contains("/run/user/5/tmux-5/elsewhere"), "{text}");
}

#[test]
fn a_reason_stands_below_what_needs_one_and_with_verbose_below_everything() {
    let reasons = |all| on(&report(), 500, all, false).lines().filter(|line| line.starts_with("  ")).count();
    assert_eq!((reasons(false), reasons(true)), (1, 5));
}

#[test]
fn a_state_is_coloured_and_as_wide_as_the_others() {
    let screen = Screen { width: 80, palette: Palette { colored: true }, all_reasons: false, users: false };
    let text = listed(&|_| true, |listed| table(&report(), listed, screen));
    assert!(text.contains("\n\x1b[32mlive \x1b[0m  homebase"), "{text}");
}

#[test]
fn fields_are_the_same_in_every_line() {
    let text = listed(&|_| true, |listed| fields(&report(), listed, PLAIN));
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((lines.len(), lines.iter().all(|fields| fields.len() == FIELDS.len())), (6, true), "{text}");
    assert_eq!(
        lines[0],
        ["STATE", "LABEL", "PID", "AGE", "ATTACHED", "UNIT", "MEMORY", "USER", "PATH", "REASON"]
    );
    assert_eq!(lines[1][..4], ["live", "homebase", "4710", "2h5m"]);
    assert_eq!(lines[2][2..9], ["-", "-", "-", "-", "-", "ann\\x1b", lines[2][8]]);
    assert!(lines[2][8].ends_with("/a-name-that-is-longer-than-anybody-would-give-one"), "nothing is cut");
    assert!(lines[3][9].ends_with("; panes: sleep"), "{text}");
    assert_eq!(lines[4][1], "日本\\t\\n\\x1b[2J\\u{202e}");
    let none = listed(&|_| false, |listed| fields(&report(), listed, PLAIN));
    assert_eq!(none.lines().count(), 1, "the header is there all the same");
}

#[test]
fn nothing_is_said_to_be_nothing() {
    let screen = Screen { width: 80, palette: PLAIN, all_reasons: false, users: false };
    let say = |report: &Report| listed(&|_| false, |listed| table(report, listed, screen));
    assert_eq!(say(&Report::default()), "no tmux sockets\n");
    assert_eq!(say(&report()), "nothing matches; `tmux-janitor list` shows all 5\n");
    let mut unseen = Report::default();
    unseen.directories.push(DirectoryReport { path: "/x".into(), error: Some(LeftAlone::Missing) });
    assert_eq!(say(&unseen), "no tmux sockets seen\n");
}

#[test]
fn spans_and_sizes_are_short() {
    let ages = [0, 59, 60, 61, 3599, 3600, 3660, 86_399, 86_400, 90_000, 86_400 * 400];
    let shown = ages.map(|seconds| age(Duration::from_secs(seconds)));
    assert_eq!(shown, ["0s", "59s", "1m", "1m1s", "59m59s", "1h", "1h1m", "23h59m", "1d", "1d1h", "400d"]);
    let sizes = [0, 1023, 1024, 1536, 10_239, 10_240, 3_600_000, 1 << 30, u64::MAX];
    let shown = sizes.map(memory);
    assert_eq!(shown, ["0B", "1023B", "1.0K", "1.5K", "9.9K", "10K", "3.4M", "1.0G", "15E"]);
}

#[test]
fn what_cannot_be_reached_is_marked_and_says_why() {
    let mut report = report();
    let folder = Folder::Other("/tmp/tmux-5".into());
    let apart = Entry {
        server_pid: Some(Pid::new(4713)),
        outside: Some(Outside::Unproven),
        ..entry(&folder, b"apart", State::Live, Reason::Listening)
    };
    report.entries = vec![apart];
    let text = on(&report, 100, false, false);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("STATE  PATH"), "{text}");
    assert!(lines[1].starts_with("live   /tmp/tmux-5/apart !  "), "{text}");
    assert!(text.contains("in another mount namespace"), "{text}");
    let fields = listed(&|_| true, |listed| fields(&report, listed, PLAIN));
    assert!(!fields.contains('!') && fields.contains("\t/tmp/tmux-5/apart\t"), "{fields}");
}
