//! Which faults are played: from the calls of a run that nobody disturbed.

use crate::errnos;
use std::collections::BTreeMap;
use std::fmt;

/// How many calls are taken: of those that are alike, and of all with one name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) alike: usize,
    pub(crate) of_one_name: usize,
    /// At how many of one name an error begins to last.
    pub(crate) lasting: usize,
}

/// The first call that the Rust runtime makes and the dynamic loader does not.
const LOADED: &str = "sigaltstack(";

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The call fails once.
    Fails(&'static str),
    /// It fails, and so does every later one.
    FailsOn(&'static str),
    /// The program is killed before it.
    Kills,
}

/// Something happens at the n-th call of a name, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) call: String,
    pub(crate) nth: usize,
    pub(crate) what: What,
}

impl Fault {
    /// As strace wants to be told.
    pub(crate) fn injection(&self) -> String {
        let Self { call, nth, .. } = self;
        match self.what {
            What::Fails(errno) => format!("inject={call}:error={errno}:when={nth}"),
            What::FailsOn(errno) => format!("inject={call}:error={errno}:when={nth}+"),
            What::Kills => format!("inject={call}:signal=KILL:when={nth}"),
        }
    }

    /// The error it gives.
    pub(crate) fn errno(&self) -> Option<&'static str> {
        match self.what {
            What::Fails(errno) | What::FailsOn(errno) => Some(errno),
            What::Kills => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.injection())
    }
}

/// What is asked for: nothing, `all`, or names of calls with commas between.
fn asked() -> Option<String> {
    std::env::var("TMUX_JANITOR_FAULTS").ok().filter(|asked| !asked.is_empty())
}

/// The sample, or each and every call if that is asked for.
fn taken(sample: Sample) -> Sample {
    let all = Sample { alike: usize::MAX, of_one_name: usize::MAX, lasting: 8 };
    if asked().is_some() { all } else { sample }
}

/// The faults for the calls of a run, each a line of strace.
///
/// The dynamic loader's calls are only killed at: an error there is told by it, before anything of ours.
pub(crate) fn of(lines: &[String], sample: Sample) -> Vec<Fault> {
    let sample = taken(sample);
    let loaded = lines.iter().position(|line| line.starts_with(LOADED)).unwrap_or_default();
    let mut by_name: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            by_name.entry(name).or_default().push((rest, at >= loaded));
        }
    }
    // strace makes the first call itself, and the last cannot fail.
    by_name.retain(|name, _| !matches!(*name, "execve" | "exit_group"));
    if let Some(asked) = asked().filter(|asked| asked != "all") {
        by_name.retain(|name, _| asked.split(',').any(|asked| asked == *name));
    }
    let mut faults = Vec::new();
    for (name, calls) in by_name {
        let fault = |nth, what| Fault { call: name.to_owned(), nth, what };
        let errors = errnos::of(name);
        for nth in numbers(&calls, sample) {
            faults.push(fault(nth, What::Kills));
            if calls[nth - 1].1 {
                faults.extend(errors.iter().map(|errno| fault(nth, What::Fails(errno))));
            }
        }
        let ours: Vec<usize> = (1..=calls.len()).filter(|nth| calls[nth - 1].1).collect();
        for nth in spread(&ours, sample.lasting) {
            let lasting = errors.iter().filter(|errno| errnos::may_last(errno));
            faults.extend(lasting.map(|errno| fault(nth, What::FailsOn(errno))));
        }
    }
    faults
}

/// Numbers of calls: of those that differ in digits only, some.
fn numbers(calls: &[(&str, bool)], sample: Sample) -> Vec<usize> {
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, (call, _)) in calls.iter().enumerate() {
        let shape = call.rsplit_once(" = ").map_or(*call, |(call, _)| call);
        alike.entry(shape.replace(|c: char| c.is_ascii_digit(), "")).or_default().push(at + 1);
    }
    let mut taken: Vec<usize> =
        alike.into_values().flat_map(|numbers| spread(&numbers, sample.alike)).collect();
    taken.sort_unstable();
    spread(&taken, sample.of_one_name)
}

/// At most so many of them, the first and the last among them; of one only, the first.
fn spread(numbers: &[usize], most: usize) -> Vec<usize> {
    if numbers.len() <= most {
        return numbers.to_vec();
    }
    if most == 1 {
        return numbers[..1].to_vec();
    }
    (0..most).map(|at| numbers[at * (numbers.len() - 1) / (most - 1)]).collect()
}

#[test]
fn a_sample_has_the_first_and_the_last_of_what_is_alike() {
    let mut calls: Vec<(String, bool)> = (0..100).map(|at| (format!("{at}) = 0"), true)).collect();
    calls.push(("x) = 0".to_owned(), true));
    let calls: Vec<(&str, bool)> = calls.iter().map(|(call, ours)| (call.as_str(), *ours)).collect();
    let sampled = |alike, of_one_name| numbers(&calls, Sample { alike, of_one_name, lasting: 1 });
    assert_eq!(sampled(usize::MAX, usize::MAX), (1..=101).collect::<Vec<_>>());
    assert_eq!(sampled(3, 9), [1, 50, 100, 101]);
    assert_eq!(sampled(3, 2), [1, 101]);
    assert_eq!(sampled(1, 9), [1, 101]);
}

#[test]
fn the_loader_is_only_killed_and_what_lasts_begins_with_us() {
    let lines = ["read(0) = 0", "sigaltstack(0) = 0", "read(1) = 0"].map(str::to_owned);
    let faults = of(&lines, Sample { alike: 2, of_one_name: 9, lasting: 1 });
    let reads = |nth| faults.iter().filter(move |fault| fault.call == "read" && fault.nth == nth);
    assert!(reads(1).all(|fault| fault.what == What::Kills) && reads(1).count() == 1);
    assert!(reads(2).any(|fault| fault.what == What::FailsOn("EIO")));
}
