//! How a report travels from one process of ours to another, which does not trust it.
//!
//! A message is a byte that says what it is, its length in four bytes (little endian), and that many bytes in the format of
//! postcard (<https://postcard.jamesmunns.com>): the enums themselves, of which whoever reads makes the sentences. First
//! come parts: what was removed by then, so that root has told it whatever becomes of the worker.
//!
//! What can be told wrongly by a stranger is looked at when it is read: whose entries they are, and what their text does
//! to a terminal.

use super::Run;
use crate::record::{Record, Unread};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use tmux_sockets::judge::State;
use tmux_sockets::kernel::Uid;
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::{Declined, Entry, Folder, Outcome, Report};
use tmux_sockets::sweep::Done;

/// What a message is.
const PART: u8 = b'P';
const WHOLE: u8 = b'R';

/// How many bytes stand before a message's text.
const HEAD: usize = 5;

/// What a whole message says.
#[derive(Serialize, Deserialize)]
enum Message {
    /// There is no report, and why.
    Declined(Declined),
    /// What was found and done, and the user's record, or why that is not known.
    Told(Box<Report>, Option<Result<Record, Unread>>),
}

/// Why a message is no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoReport {
    /// The worker says why.
    Declined(Declined),
    /// It makes no sense, or its end is missing.
    Garbled,
}

fn message(kind: u8, says: &Message) -> Vec<u8> {
    let head = vec![kind, 0, 0, 0, 0];
    // Writing into memory cannot fail.
    let mut bytes = postcard::to_extend(says, head).unwrap_or_default();
    let length = u32::try_from(bytes.len().saturating_sub(HEAD)).unwrap_or(u32::MAX);
    if let Some(field) = bytes.get_mut(1..HEAD) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    bytes
}

/// What of these entries is to be told at once: those that were removed. Empty, if none was.
pub(crate) fn part(report: &Report, done: &[Done<'_>]) -> Vec<u8> {
    let removed = done.iter().map(|done| done.entry).filter(|entry| entry.outcome == Outcome::Removed);
    let entries: Vec<Entry> = removed.cloned().collect();
    if entries.is_empty() {
        return Vec::new();
    }
    let directories = report.directories.clone();
    message(PART, &Message::Told(Box::new(Report { directories, entries, ..Report::default() }), None))
}

/// Takes the parts that have come in as a whole out of what was heard.
pub(crate) fn take_parts(heard: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut rest = heard.as_slice();
    while let Some((part, after)) = first(rest).filter(|_| rest[0] == PART) {
        parts.push(part.to_vec());
        rest = after;
    }
    let taken = heard.len() - rest.len();
    heard.drain(..taken);
    parts
}

/// The first message of what was heard, if it has come in as a whole, and what comes after it.
fn first(heard: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = heard.get(1..HEAD)?.try_into().ok().map(u32::from_le_bytes)?;
    heard.split_at_checked(HEAD.checked_add(usize::try_from(length).ok()?)?)
}

/// The message that there is no report, and why.
pub(crate) fn declined(why: Declined) -> Vec<u8> {
    message(WHOLE, &Message::Declined(why))
}

/// The message of a whole run.
pub(crate) fn write(run: Run) -> Vec<u8> {
    message(WHOLE, &Message::Told(Box::new(run.report), run.record))
}

/// The run in a message, or in a part of one, of a process of the user `uid`'s.
///
/// # Errors
/// It has none to tell of, or what it says makes no sense.
pub(crate) fn read(message: &[u8], uid: Uid) -> Result<Run, NoReport> {
    let (whole, rest) = first(message).ok_or(NoReport::Garbled)?;
    let (says, behind) = postcard::take_from_bytes(&whole[HEAD..]).map_err(|_| NoReport::Garbled)?;
    if !rest.is_empty() || !behind.is_empty() {
        return Err(NoReport::Garbled);
    }
    match says {
        Message::Declined(why) => Err(NoReport::Declined(why)),
        Message::Told(mut report, record) => {
            if !report.entries.iter().all(|entry| is_theirs(entry, uid) && stands(&report, entry)) {
                return Err(NoReport::Garbled);
            }
            report.entries.iter_mut().for_each(make_believable);
            report.entries.iter_mut().flat_map(|entry| &mut entry.panes).for_each(make_showable);
            if report.untold.entries > 0 {
                (report.untold.user, report.untold.users) = (Some(uid), 1);
            }
            Ok(Run { report: *report, record, ..Run::default() })
        }
    }
}

/// Whether an entry's directory is one of the report's, where it says so.
fn stands(report: &Report, entry: &Entry) -> bool {
    match &entry.folder {
        Folder::Of(number) => report.directory(*number).is_some(),
        Folder::Other(_) => true,
    }
}

/// What belongs to others may stand in a user's directory, and a worker can have done nothing to it.
fn is_theirs(entry: &Entry, uid: Uid) -> bool {
    let is_judged = matches!(entry.verdict.state, State::Live | State::Starting | State::Dead | State::Ghost);
    entry.uid == uid || !(is_judged || entry.outcome != Outcome::Kept)
}

/// The longest name of a unit, in bytes (`UNIT_NAME_MAX` of systemd; systemd.unit(5) leaves it to file names).
const LONGEST_UNIT: usize = 255;

/// The last second that is written as RFC 3339 has it, after 1970: of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// What only a live server has, and no more of it than there can be.
fn make_believable(entry: &mut Entry) {
    if !matches!(entry.verdict.state, State::Live | State::Ghost) {
        entry.details = None;
    }
    if let Some(details) = &mut entry.details {
        details.unit.take_if(|unit| unit.len() > LONGEST_UNIT);
        let is_written = |started: &SystemTime| {
            started.duration_since(UNIX_EPOCH).is_ok_and(|since| since.as_secs() <= LAST_SECOND)
        };
        details.started.take_if(|started| !is_written(started));
    }
}

/// Text of theirs goes to root's terminal.
fn make_showable(text: &mut String) {
    if text.contains(char::is_control) {
        *text = escaped(&*text).to_string();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::view::json;
    use proptest::prelude::*;
    use rustix::io::Errno;
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::PathBuf;
    use std::time::Duration;
    use tmux_sockets::judge::{Bar, Blindness, Plight, Reason, Standing, Verdict};
    use tmux_sockets::kernel::{Label, Pid};
    use tmux_sockets::report::{
        Details, DirectoryReport, Entrance, Failure, LeftAlone, Outside, Remark, Stray, Why,
    };
    use tmux_sockets::tmux::DirectoryError;
    use tmux_sockets::tmux::start_lock::LockFailure;
    use tmux_sockets::tmux::stuck::{Hold, HolderState, LockHolder};

    fn report(labels: &[Vec<u8>]) -> Report {
        let directory =
            |name: &[u8], error| DirectoryReport { path: PathBuf::from(OsStr::from_bytes(name)), error };
        let plight = |bar| Plight { pid: Some(Pid::new(4)), standing: Standing::Live(None), bar: Some(bar) };
        let verdicts = [
            (State::Dead, Reason::NobodyListens, Outcome::Removed, Some(7)),
            (State::Dead, Reason::Quarantine, Outcome::Removed, None),
            (State::Dead, Reason::NobodyListens, Outcome::Failed(Failure::Move(Errno::ROFS)), None),
            (State::NotASocket, Reason::OrphanedLock, Outcome::WouldRemove, None),
            (State::Live, Reason::Listening, Outcome::Kept, Some(i32::MAX)),
            (State::Dead, Reason::KeptLabel, Outcome::Kept, None),
            (State::Unknown, Reason::Blind(Blindness::TableRefused(Errno::NOENT)), Outcome::Kept, None),
            (State::Ghost, Reason::Ghost(plight(Bar::Rivals(3))), Outcome::Kept, Some(4)),
            (
                State::Dead,
                Reason::NobodyListens,
                Outcome::Failed(Failure::Lock(LockFailure::NoRoom { inodes: true })),
                None,
            ),
        ];
        let place = |why| Remark { path: PathBuf::from(OsStr::from_bytes(b"/p\xff")), why };
        let mut report = Report::default();
        let numbers = [
            report.add_directory(directory(b"/tmp/tmux-5", None)),
            report.add_directory(directory(b"/x\n\xff", Some(LeftAlone::Refused(DirectoryError::Far)))),
        ];
        let entries = labels.iter().zip(verdicts.into_iter().cycle()).enumerate();
        report.entries = entries
            .map(|(at, (label, (state, reason, outcome, server_pid)))| {
                let folder = match at % 3 {
                    2 => Folder::Other(OsString::from_vec(b"/else where\xff".to_vec()).into()),
                    of => Folder::Of(numbers[of]),
                };
                let label = Label::new(OsString::from_vec(label.clone()));
                let label = label.unwrap_or_else(|| Label::new("x").unwrap());
                let panes = vec!["sh".to_owned(); at % 3];
                let entrance = Entrance { namespace: at % 2 == 0, root: at % 3 == 0, user: false };
                let outside = [None, Some(Outside::Reached), Some(Outside::Behind(entrance))][at % 3];
                let details = Details {
                    started: Some(UNIX_EPOCH + Duration::from_millis(1_234_567_890)),
                    attached: Some(at % 2 == 0),
                    unit: Some("a.scope".to_owned()),
                    memory: Some(u64::MAX),
                };
                let is_live = matches!(state, State::Live | State::Ghost);
                Entry {
                    details: is_live.then(|| Box::new(details)),
                    is_executable: Some(at % 2 == 1),
                    outside,
                    server_pid: server_pid.map(Pid::new),
                    panes,
                    ..Entry::new(folder, label, Uid::new(5), Verdict::new(state, reason), outcome)
                }
            })
            .collect();
        report.unseen = vec![place(Why::Unjudged(Reason::Blind(Blindness::TableTorn)))];
        report.strays = vec![place(Why::Stray(Stray::Owner(Uid::new(7)))); labels.len() % 3];
        report.held = vec![place(held(b"tmux")); labels.len() % 2];
        report
    }

    /// A start lock that a program of this name holds.
    fn held(program: &[u8]) -> Why {
        let program = OsString::from_vec(program.to_vec());
        let holder = LockHolder { pid: Pid::new(4), program, state: HolderState::Stopped };
        Why::Held(Hold { label: Label::new("x").unwrap(), holder: Some(holder) })
    }

    fn as_json(report: &Report) -> String {
        let mut text = Vec::new();
        json::run(&mut text, report, "sweep", false, json::Listing::All).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn part_of(report: &Report, entries: &[usize]) -> Vec<u8> {
        let numbered: Vec<_> = report.numbered().collect();
        let done: Vec<Done<'_>> =
            entries.iter().map(|at| Done { number: numbered[*at].0, entry: numbered[*at].1 }).collect();
        part(report, &done)
    }

    proptest! {
        #[test]
        fn what_arrives_says_the_same(
            labels in proptest::collection::vec(proptest::collection::vec(1_u8..=255, 1..20), 0..20),
        ) {
            let mut sent = report(&labels);
            sent.sum_up(Uid::new(5), 12);
            let known = Record { since_us: u64::MAX, removed: 1, failed: 2, swept_us: 3, ..Record::default() };
            let record = [None, Some(Ok(known)), Some(Err(Unread(Errno::PERM)))][labels.len() % 3];
            let message = write(Run { report: sent.clone(), record, ..Run::default() });
            let Run { report: received, record: told, .. } = read(&message, Uid::new(5)).unwrap();
            prop_assert_eq!(told, record);
            prop_assert_eq!(as_json(&received), as_json(&sent));
            let verdicts = |report: &Report| -> Vec<(Verdict, Outcome)> {
                report.entries.iter().map(|entry| (entry.verdict, entry.outcome)).collect()
            };
            prop_assert_eq!(verdicts(&received), verdicts(&sent));
            let details = |report: &Report| -> Vec<(Option<Box<Details>>, Option<bool>)> {
                report.entries.iter().map(|entry| (entry.details.clone(), entry.is_executable)).collect()
            };
            prop_assert_eq!(details(&received), details(&sent));
            prop_assert_eq!(received.counts(), sent.counts());
            prop_assert_eq!(received.untold, sent.untold);
            prop_assert_eq!((received.health(), &received.unseen), (sent.health(), &sent.unseen));
            prop_assert_eq!(&received.strays, &sent.strays);
            prop_assert_eq!(&received.held, &sent.held);
        }

        #[test]
        fn a_torn_message_is_no_report(cut in 0_usize..1000) {
            let whole = write(Run::of(report(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()])));
            let cut = cut % whole.len();
            prop_assert!(read(&whole[..cut], Uid::new(5)).is_err());
        }

        #[test]
        fn no_message_makes_it_panic(
            mut message in proptest::collection::vec(any::<u8>(), 0..60),
            told in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = read(&message, Uid::new(5));
            message.splice(..0, [PART]);
            take_parts(&mut message);
            let length = u32::try_from(told.len()).unwrap().to_le_bytes();
            let _ = read(&[&[WHOLE], length.as_slice(), &told].concat(), Uid::new(5));
        }

        #[test]
        fn parts_arrive_wherever_they_are_torn(cut in 0_usize..2000) {
            let sent = report(&[b"a".to_vec(), b".b".to_vec(), b"P".to_vec()]);
            let whole = write(Run::of(sent.clone()));
            let parts = [part_of(&sent, &[0]), part_of(&sent, &[1, 2]), part_of(&sent, &[2])].concat();
            let all: Vec<u8> = [parts, whole.clone()].concat();
            let (first, second) = all.split_at(cut % all.len());
            let mut heard = first.to_vec();
            let mut parts = take_parts(&mut heard);
            heard.extend(second);
            parts.extend(take_parts(&mut heard));
            let labels: Vec<_> = parts
                .iter()
                .flat_map(|part| read(part, Uid::new(5)).unwrap().report.entries)
                .map(|entry| entry.label)
                .collect();
            prop_assert_eq!(labels, ["a", ".b"], "what was removed, once");
            prop_assert_eq!(heard, whole);
        }
    }

    #[test]
    fn a_deed_on_what_is_another_users_is_not_believed() {
        let message = write(Run::of(report(&[b"a".to_vec()])));
        assert_eq!(read(&message, Uid::new(6)).unwrap_err(), NoReport::Garbled);
    }

    #[test]
    fn a_label_that_leads_out_of_its_directory_is_not_believed() {
        let mut message = write(Run::of(report(&[b"only here".to_vec()])));
        let at = message.windows(9).position(|part| part == b"only here").unwrap();
        message[at..at + 9].copy_from_slice(b"../../etc");
        assert_eq!(read(&message, Uid::new(5)).unwrap_err(), NoReport::Garbled);
    }

    #[test]
    fn an_entry_in_no_directory_is_not_believed() {
        let mut without = report(&[b"a".to_vec()]);
        without.directories.clear();
        assert_eq!(read(&write(Run::of(without)), Uid::new(5)).unwrap_err(), NoReport::Garbled);
    }

    #[test]
    fn no_text_of_theirs_moves_a_cursor() {
        let mut told = report(&[b"a".to_vec()]);
        told.held = vec![Remark { path: "/x".into(), why: held(b"\x1b[2J") }];
        told.entries[0].panes = vec!["\r".to_owned()];
        told.add_directory(DirectoryReport {
            path: "/y".into(),
            error: Some(LeftAlone::Declined(Declined::Configuration("\n".to_owned()))),
        });
        let message = write(Run::of(told));
        let run = read(&message, Uid::new(5)).unwrap();
        let held = run.report.held[0].why.to_string();
        assert!(held.contains(&escaped("\x1b[2J").to_string()), "{held:?}");
        assert_eq!(run.report.entries[0].panes, [escaped("\r").to_string()]);
        let why: Vec<String> = run.report.left_alone().map(|(_, why)| why.to_string()).collect();
        assert!(why.iter().any(|why| why.ends_with(&escaped("\n").to_string())), "{why:?}");
        assert!(why.iter().all(|why| !why.contains(char::is_control)), "{why:?}");
    }

    #[test]
    fn no_detail_is_more_than_there_can_be() {
        let details = |started: u64, unit: usize| {
            let started = Some(UNIX_EPOCH + Duration::from_secs(started));
            Some(Box::new(Details { started, unit: Some("u".repeat(unit)), ..Details::default() }))
        };
        let received = |state, details: Option<Box<Details>>| {
            let mut told = report(&[b"a".to_vec()]);
            let entry = &mut told.entries[0];
            entry.verdict = Verdict::new(state, Reason::Listening);
            (entry.outcome, entry.details) = (Outcome::Kept, details);
            read(&write(Run::of(told)), Uid::new(5)).unwrap().report.entries.remove(0).details
        };
        let all = details(LAST_SECOND, LONGEST_UNIT);
        assert_eq!(received(State::Live, all.clone()), all);
        let less = received(State::Live, details(LAST_SECOND + 1, LONGEST_UNIT + 1)).unwrap();
        assert_eq!(*less, Details::default());
        assert_eq!(received(State::Dead, all), None);
        // The last year that RFC 3339 can write.
        let last = UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
        assert_eq!(humantime::format_rfc3339_seconds(last).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn a_refusal_arrives() {
        let why = Declined::CannotBecome(Uid::new(5), Errno::PERM);
        assert_eq!(read(&declined(why.clone()), Uid::new(5)).unwrap_err(), NoReport::Declined(why));
    }
}
