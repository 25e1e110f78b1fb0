//! How a worker's report travels to root: fields that end with NUL, made for size and for distrust.
//!
//! Pure. No name and no sentence holds a NUL. A message is `E why`, or a list of `D path error`,
//! `U path why` (not looked at), `N path why` (a stray),
//! `T since removed failed swept took`, `W why` (there is no such record), `C entries count...` (what is only counted), `S sentence` and `R directory elsewhere label uid state reason outcome error server panes pane...`, and a
//! last `.`. Sentences stand once and are pointed to by their place. Before it come parts, each `P length` and a
//! message in itself: what was removed by then, so that root has told it whatever becomes of the worker.

use crate::pass::Run;
use crate::record::Record;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;
use tmux_sockets::judge::{Reason, State, Verdict};
use tmux_sockets::kernel::escape::escaped;
use tmux_sockets::report::{DirectoryReport, Entry, Place, Report, Untold};
use tmux_sockets::report::{Failure, Outcome};

/// Both ends are one program: a place in this list is a state's name.
const STATES: [State; 7] = [
    State::Live,
    State::Starting,
    State::Dead,
    State::Ghost,
    State::Foreign,
    State::Unknown,
    State::NotASocket,
];

/// The same for outcomes; the place behind the last is a failure.
const OUTCOMES: [Outcome; 10] = [
    Outcome::Kept,
    Outcome::Removed,
    Outcome::WouldRemove,
    Outcome::Vanished,
    Outcome::Busy,
    Outcome::Resurrected,
    Outcome::Rescued,
    Outcome::WouldRescue,
    Outcome::SetAside,
    Outcome::WouldSetAside,
];

/// What a part begins with.
const PART: &[u8] = b"P\0";

/// What of these entries is to be told at once: those that were removed. Empty, if none was.
pub(crate) fn part(report: &Report, entries: &[usize]) -> Vec<u8> {
    let entries = entries.iter().map(|at| &report.entries[*at]);
    let done: Vec<Entry> = entries.filter(|entry| entry.outcome == Outcome::Removed).cloned().collect();
    if done.is_empty() {
        return Vec::new();
    }
    let directories = report.directories.clone();
    let message = write(&Run::of(Report { directories, entries: done, ..Report::default() }));
    [PART, format!("{}\0", message.len()).as_bytes(), &message].concat()
}

/// Takes the parts that have come in as a whole out of what was heard.
pub(crate) fn take_parts(heard: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut rest = heard.as_slice();
    while let Some((part, after)) = first_part(rest) {
        parts.push(part.to_vec());
        rest = after;
    }
    let taken = heard.len() - rest.len();
    heard.drain(..taken);
    parts
}

fn first_part(heard: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = heard.strip_prefix(PART)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let length = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    rest[end + 1..].split_at_checked(length)
}

/// The message that there is no report, and why.
pub(crate) fn refusal(why: &str) -> Vec<u8> {
    let mut message = Message::default();
    message.put(b"E");
    message.put(why.as_bytes());
    message.end()
}

/// The message for a report.
pub(crate) fn write(run: &Run) -> Vec<u8> {
    let Run { report, record, rows: _ } = run;
    let mut message = Message::default();
    for directory in &report.directories {
        message.put(b"D");
        message.put(directory.path.as_os_str().as_bytes());
        message.put(directory.error.as_deref().unwrap_or_default().as_bytes());
    }
    for (kind, places) in [(b"U", &report.unseen), (b"N", &report.strays), (b"L", &report.held)] {
        for Place { path, why } in places {
            message.put(kind);
            message.put(path.as_os_str().as_bytes());
            message.put(why.as_bytes());
        }
    }
    if let Some(Ok(Record { since_us, removed, failed, swept_us, sweep_took_us })) = record {
        message.put(b"T");
        for sum in [since_us, removed, failed, swept_us, sweep_took_us] {
            message.number(sum);
        }
    }
    if let Some(Err(why)) = record {
        message.put(b"W");
        message.put(why.as_bytes());
    }
    let mut untold = report.untold;
    if untold.entries > 0 {
        message.put(b"C");
        message.number(&untold.entries);
        for count in untold.counts.fields() {
            message.number(count);
        }
    }
    for entry in &report.entries {
        let reason = message.sentence(entry.verdict.reason.to_string());
        let error = match entry.outcome {
            Outcome::Failed(failure) => Some(message.sentence(failure.to_string())),
            _ => None,
        };
        message.put(b"R");
        message.number(&entry.directory);
        let elsewhere = entry.elsewhere.as_deref().map(|dir| dir.as_os_str().as_bytes());
        message.put(elsewhere.unwrap_or_default());
        message.put(entry.label.as_bytes());
        message.number(&entry.uid);
        message
            .number(&STATES.iter().position(|state| *state == entry.verdict.state).unwrap_or(STATES.len()));
        message.number(&reason);
        let outcome = OUTCOMES.iter().position(|outcome| *outcome == entry.outcome);
        message.number(&outcome.unwrap_or(OUTCOMES.len()));
        message.number(&error.unwrap_or(0));
        message.number(&entry.server_pid.unwrap_or(0));
        message.number(&entry.panes.len());
        for pane in &entry.panes {
            message.put(pane.as_bytes());
        }
    }
    message.end()
}

#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
    sentences: HashMap<String, usize>,
}

impl Message {
    fn put(&mut self, field: &[u8]) {
        self.bytes.extend(field.iter().filter(|byte| **byte != 0));
        self.bytes.push(0);
    }

    fn number(&mut self, number: &impl ToString) {
        self.put(number.to_string().as_bytes());
    }

    /// The place of a sentence, which is written where it is new.
    fn sentence(&mut self, sentence: String) -> usize {
        if let Some(place) = self.sentences.get(&sentence) {
            return *place;
        }
        self.put(b"S");
        self.put(sentence.as_bytes());
        let place = self.sentences.len();
        self.sentences.insert(sentence, place);
        place
    }

    fn end(mut self) -> Vec<u8> {
        self.put(b".");
        self.bytes
    }
}

/// Why a message is no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoReport {
    /// The worker says why.
    Refused(String),
    /// It makes no sense, or its end is missing.
    Garbled,
}

/// Reads messages. What they say in words is kept until the end of the process: a reason is `Copy`,
/// and a process that reads messages makes one report and ends.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    known: HashMap<String, &'static str>,
}

impl Reader {
    /// The report in a message of the user `uid`'s worker.
    pub(crate) fn read(&mut self, message: &[u8], uid: u32) -> Result<Run, NoReport> {
        let mut fields =
            Fields(message.strip_suffix(b"\0").ok_or(NoReport::Garbled)?.split(|byte| *byte == 0));
        let (mut report, mut record) = (Report::default(), None);
        let mut sentences: Vec<&'static str> = Vec::new();
        loop {
            match fields.next()? {
                b"." => {
                    return if fields.0.next().is_none() {
                        Ok(Run { report, record, ..Run::default() })
                    } else {
                        Err(NoReport::Garbled)
                    };
                }
                b"E" => return Err(NoReport::Refused(fields.text()?)),
                b"D" => {
                    let path = PathBuf::from(fields.name()?);
                    let error = Some(fields.text()?).filter(|error| !error.is_empty());
                    report.directories.push(DirectoryReport { path, error });
                }
                b"U" => report.unseen.push(fields.place()?),
                b"N" => report.strays.push(fields.place()?),
                b"L" => report.held.push(fields.place()?),
                b"T" => {
                    let [since_us, removed, failed, swept_us, sweep_took_us] = fields.numbers()?;
                    record = Some(Ok(Record { since_us, removed, failed, swept_us, sweep_took_us }));
                }
                b"C" => report.untold = fields.untold(uid)?,
                b"W" => record = Some(Err(fields.text()?)),
                b"S" => {
                    let sentence = fields.text()?;
                    sentences.push(self.keep(sentence));
                }
                b"R" => {
                    let entry = entry(&mut fields, &sentences)?;
                    let is_somewhere =
                        entry.elsewhere.is_some() || entry.directory < report.directories.len();
                    if !is_somewhere || !is_theirs(&entry, uid) {
                        return Err(NoReport::Garbled);
                    }
                    report.entries.push(entry);
                }
                _ => return Err(NoReport::Garbled),
            }
        }
    }

    fn keep(&mut self, sentence: String) -> &'static str {
        self.known.entry(sentence).or_insert_with_key(|sentence| Box::leak(sentence.clone().into_boxed_str()))
    }
}

struct Fields<I>(I);

impl<'m, I: Iterator<Item = &'m [u8]>> Fields<I> {
    fn next(&mut self) -> Result<&'m [u8], NoReport> {
        self.0.next().ok_or(NoReport::Garbled)
    }

    fn name(&mut self) -> Result<OsString, NoReport> {
        self.next().map(|bytes| OsString::from_vec(bytes.to_vec()))
    }

    fn text(&mut self) -> Result<String, NoReport> {
        let text = String::from_utf8_lossy(self.next()?).into_owned();
        // It goes to root's terminal.
        Ok(if text.contains(char::is_control) { escaped(&text).to_string() } else { text })
    }

    fn place(&mut self) -> Result<Place, NoReport> {
        Ok(Place { path: PathBuf::from(self.name()?), why: self.text()? })
    }

    fn number<N: FromStr>(&mut self) -> Result<N, NoReport> {
        let field = OsStr::from_bytes(self.next()?);
        field.to_str().and_then(|digits| digits.parse().ok()).ok_or(NoReport::Garbled)
    }

    /// As large as they are, their sums are numbers.
    fn untold(&mut self, user: u32) -> Result<Untold, NoReport> {
        let mut number = || self.number::<u32>().map(|number| number as usize);
        let mut untold = Untold { entries: number()?, users: 1, user, ..Untold::default() };
        for count in untold.counts.fields() {
            *count = number()?;
        }
        Ok(untold)
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u64; N], NoReport> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }
}

fn entry<'m>(
    fields: &mut Fields<impl Iterator<Item = &'m [u8]>>,
    sentences: &[&'static str],
) -> Result<Entry, NoReport> {
    let sentence = |place: usize| sentences.get(place).copied().ok_or(NoReport::Garbled);
    let (directory, elsewhere) = (fields.number()?, PathBuf::from(fields.name()?));
    let elsewhere = Some(elsewhere).filter(|dir| !dir.as_os_str().is_empty());
    let (label, uid) = (fields.name()?, fields.number()?);
    let state = STATES.get(fields.number::<usize>()?).copied().ok_or(NoReport::Garbled)?;
    let reason = sentence(fields.number()?)?;
    let (outcome, error, server): (usize, usize, i32) =
        (fields.number()?, fields.number()?, fields.number()?);
    let outcome = match OUTCOMES.get(outcome) {
        Some(outcome) => *outcome,
        None => Outcome::Failed(Failure::Told(sentence(error)?)),
    };
    // These mean something to the program; the others only to people.
    let known =
        [Reason::Quarantine, Reason::OrphanedLock, Reason::KeptLabel, Reason::TooYoung, Reason::NotReached];
    let reason = known.into_iter().find(|known| known.to_string() == reason).unwrap_or(Reason::Told(reason));
    let server_pid = (server > 0).then_some(server);
    let panes = (0..fields.number::<usize>()?).map(|_| fields.text()).collect::<Result<_, _>>()?;
    let verdict = Verdict::new(state, reason);
    // The socket's number is for a daemon, which has no workers.
    Ok(Entry { directory, elsewhere, label, uid, verdict, outcome, server_pid, panes, socket: None })
}

/// What belongs to others may stand in a user's directory, and a worker can have done nothing to it.
fn is_theirs(entry: &Entry, uid: u32) -> bool {
    let is_judged = matches!(entry.verdict.state, State::Live | State::Starting | State::Dead | State::Ghost);
    entry.uid == uid || !(is_judged || entry.outcome != Outcome::Kept)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;
    use crate::view::json;
    use proptest::prelude::*;
    use rustix::io::Errno;

    fn report(labels: &[Vec<u8>]) -> Report {
        let directory = |name: &[u8], error: Option<&str>| DirectoryReport {
            path: PathBuf::from(OsStr::from_bytes(name)),
            error: error.map(str::to_owned),
        };
        let verdicts = [
            (State::Dead, Reason::NobodyListens, Outcome::Removed, Some(7)),
            (State::Dead, Reason::Quarantine, Outcome::Removed, None),
            (State::Dead, Reason::NobodyListens, Outcome::Failed(Failure::Move(Errno::ROFS)), None),
            (State::NotASocket, Reason::OrphanedLock, Outcome::WouldRemove, None),
            (State::Live, Reason::Listening, Outcome::Kept, Some(i32::MAX)),
            (State::Dead, Reason::KeptLabel, Outcome::Kept, None),
            (State::Dead, Reason::TooYoung, Outcome::Kept, None),
        ];
        let place =
            |why: &str| Place { path: PathBuf::from(OsStr::from_bytes(b"/p\xff")), why: why.to_owned() };
        let entries = labels.iter().zip(verdicts.into_iter().cycle()).enumerate();
        Report {
            directories: vec![directory(b"/tmp/tmux-5", None), directory(b"/x\n\xff", Some("an error"))],
            entries: entries
                .map(|(at, (label, (state, reason, outcome, server_pid)))| Entry {
                    directory: at % 2,
                    elsewhere: (at % 3 == 1).then(|| PathBuf::from("/else where")),
                    label: OsString::from_vec(label.clone()),
                    uid: 5,
                    verdict: Verdict::new(state, reason),
                    outcome,
                    server_pid,
                    panes: vec!["sh".to_owned(); at % 3],
                    socket: None,
                })
                .collect(),
            unseen: vec![place("blind")],
            strays: vec![place("theirs"); labels.len() % 3],
            held: vec![place("held"); labels.len() % 2],
            ..Report::default()
        }
    }

    fn as_json(report: &Report) -> String {
        let mut text = Vec::new();
        json::run(&mut text, report, "sweep", false, json::Listing::All).unwrap();
        String::from_utf8(text).unwrap()
    }

    proptest! {
        #[test]
        fn what_arrives_says_the_same(
            labels in proptest::collection::vec(proptest::collection::vec(1_u8..=255, 1..20), 0..12),
        ) {
            let mut sent = report(&labels);
            sent.sum_up(5, 8);
            let known = Record { since_us: u64::MAX, removed: 1, failed: 2, swept_us: 3, sweep_took_us: 4 };
            let record = [None, Some(Ok(known)), Some(Err("why".to_owned()))][labels.len() % 3].clone();
            let message = write(&Run { report: sent.clone(), record: record.clone(), ..Run::default() });
            let Run { report: received, record: told, .. } = Reader::default().read(&message, 5).unwrap();
            prop_assert_eq!(told, record);
            prop_assert_eq!(as_json(&received), as_json(&sent));
            prop_assert_eq!(received.counts(), sent.counts());
            prop_assert_eq!(received.has_failures(), sent.has_failures());
            prop_assert_eq!(received.untold, sent.untold);
            prop_assert_eq!((received.health(), &received.unseen), (sent.health(), &sent.unseen));
            prop_assert_eq!(&received.strays, &sent.strays);
            prop_assert_eq!(&received.held, &sent.held);
        }

        #[test]
        fn a_torn_message_is_no_report(cut in 0_usize..1000) {
            let whole = write(&Run::of(report(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()])));
            let cut = cut % whole.len();
            prop_assert!(Reader::default().read(&whole[..cut], 5).is_err());
        }

        #[test]
        fn no_message_makes_it_panic(mut message in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Reader::default().read(&message, 5);
            message.splice(..0, PART.iter().copied());
            take_parts(&mut message);
        }

        #[test]
        fn parts_arrive_wherever_they_are_torn(cut in 0_usize..2000) {
            let sent = report(&[b"a".to_vec(), b".".to_vec(), b"P".to_vec()]);
            let all: Vec<u8> = [part(&sent, &[0]), part(&sent, &[1, 2]), part(&sent, &[2]), write(&Run::of(sent.clone()))].concat();
            let (first, second) = all.split_at(cut % all.len());
            let mut heard = first.to_vec();
            let mut parts = take_parts(&mut heard);
            heard.extend(second);
            parts.extend(take_parts(&mut heard));
            let labels: Vec<_> = parts
                .iter()
                .flat_map(|part| Reader::default().read(part, 5).unwrap().report.entries)
                .map(|entry| entry.label)
                .collect();
            prop_assert_eq!(labels, ["a", "."], "what was removed, once");
            prop_assert_eq!(heard, write(&Run::of(sent)));
        }
    }

    #[test]
    fn a_deed_on_what_is_another_users_is_not_believed() {
        let message = write(&Run::of(report(&[b"a".to_vec()])));
        assert_eq!(Reader::default().read(&message, 6).unwrap_err(), NoReport::Garbled);
    }

    #[test]
    fn a_refusal_arrives() {
        let refused = Reader::default().read(&refusal("why\0not"), 5).unwrap_err();
        assert_eq!(refused, NoReport::Refused("whynot".into()));
    }
}
