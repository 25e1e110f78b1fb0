//! Standard error, which is never waited for.
//!
//! Who reads it may have stopped: a pipe into a pager, a supervisor's logger that hangs, a terminal after Ctrl-S. So
//! lines are kept here up to a limit and written by a thread of their own. What does not fit is dropped and
//! counted, and the count is told when there is room again. A file takes everything and is written at once.

use super::queue::{Item, Queue};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use std::io::Stderr;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What a pipe that says it is writable takes without waiting: `PIPE_BUF` of limits.h.
const ATOMIC: usize = 4096;

/// How long a result waits for the lines before it, so that both are read in their order.
const ORDER: Duration = Duration::from_millis(100);

/// How long the end of the program waits for a reader: in all, and while it takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(500);

static STDERR: OnceLock<Writer<Stderr>> = OnceLock::new();

/// Takes text that ends with a newline. It does not wait.
pub(crate) fn write(text: &[u8]) {
    STDERR.get_or_init(|| Writer::new(std::io::stderr())).write(text);
}

/// Lets what was taken be written before a result is, where that takes no time worth speaking of.
pub(crate) fn settle() {
    if let Some(writer) = STDERR.get() {
        writer.drain(ORDER, ORDER);
    }
}

/// Lets what was taken be written before the program ends; a reader that does not read is not waited for.
pub(crate) fn finish() {
    if let Some(writer) = STDERR.get() {
        writer.drain(LAST_WORDS, SILENCE);
    }
}

/// One destination.
#[derive(Debug)]
struct Writer<T> {
    to: Arc<T>,
    /// `None`: written at once.
    queue: Option<Arc<Queue<Text>>>,
}

#[derive(Debug)]
struct Text(Vec<u8>);

impl Item for Text {
    fn bytes(&self) -> usize {
        self.0.len()
    }

    fn of_dropped(count: u64) -> Self {
        let lines = if count == 1 { "1 line was".to_owned() } else { format!("{count} lines were") };
        let told = format!("{}: warning: stderr was not read; {lines} dropped here\n", super::IDENTIFIER);
        Self(told.into_bytes())
    }

    fn count(&self) -> u64 {
        1
    }
}

impl<T: AsFd + Send + Sync + 'static> Writer<T> {
    fn new(to: T) -> Self {
        let to = Arc::new(to);
        let waits =
            !fstat(&*to).is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::RegularFile);
        let reader = Arc::clone(&to);
        let start = || Queue::start(move |queue| serve(queue, &*reader));
        let queue = waits.then(|| start().ok()).flatten();
        Self { to, queue }
    }

    fn write(&self, text: &[u8]) {
        let Some(queue) = &self.queue else {
            // A file; or there is no thread to be had, and what there is no room for is lost.
            let at_once = Timespec::default();
            let _ = text.chunks(ATOMIC).try_for_each(|part| put(&*self.to, part, Some(&at_once)));
            return;
        };
        queue.push(Text(text.to_vec()));
    }

    /// Waits until everything is written; not longer than `most` in all and `silence` without progress.
    fn drain(&self, most: Duration, silence: Duration) {
        if let Some(queue) = &self.queue {
            queue.drain(most, silence);
        }
    }
}

fn serve(queue: &Queue<Text>, to: &impl AsFd) {
    queue.serve(|text| {
        // Nothing can be told about a stderr that cannot be written.
        let _ = text.0.chunks(ATOMIC).try_for_each(|part| put(to, part, None).map(|()| queue.went_on()));
    });
}

/// Writes all of it, once there is room. `patience`: how long that may take; `None`: for ever.
fn put(to: &impl AsFd, mut part: &[u8], patience: Option<&Timespec>) -> Result<(), Errno> {
    while !part.is_empty() {
        let mut fds = [PollFd::new(to, PollFlags::OUT)];
        if poll(&mut fds, patience)? == 0 {
            return Err(Errno::AGAIN);
        }
        match rustix::io::write(to, part) {
            Ok(written) => part = &part[written..],
            // It was made not to wait by somebody else.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::super::queue::MOST;
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::time::Instant;

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for_and_what_is_lost_is_counted() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let writer = Writer::new(writer);
        let line = |number: usize| format!("{number:099}\n").into_bytes();
        let count = 2 * MOST / 100;
        let started = Instant::now();
        for number in 0..count {
            writer.write(&line(number));
        }
        writer.drain(ORDER, ORDER);
        assert!(started.elapsed() < ORDER * 5, "it waited {:?}", started.elapsed());
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut reader = File::from(reader);
            while !text.ends_with(b"the end\n") {
                let mut part = [0; 4096];
                let length = reader.read(&mut part).unwrap();
                text.extend_from_slice(&part[..length]);
            }
            String::from_utf8(text).unwrap()
        });
        writer.drain(LAST_WORDS, LAST_WORDS);
        writer.write(b"the end\n");
        let (mut kept, mut dropped) = (Vec::new(), 0);
        for line in reading.join().unwrap().lines().filter(|line| *line != "the end") {
            if let Some(told) = line.split("stderr was not read; ").nth(1) {
                let number = told.split(' ').next().unwrap().parse::<usize>().unwrap();
                // What did not come through is missing here.
                assert!(number > 0 && told.ends_with(" dropped here"), "{line}");
                dropped += number;
            } else {
                let number = line.parse::<usize>().unwrap();
                assert_eq!(number, kept.len() + dropped, "in their order, and those before it are counted");
                kept.push(number);
            }
        }
        assert!(dropped > 0 && !kept.is_empty());
        assert_eq!(kept.len() + dropped, count);
    }

    #[test]
    fn whoever_has_gone_is_no_trouble() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let writer = Writer::new(writer);
        writer.write(b"to nobody\n");
        let started = Instant::now();
        writer.drain(LAST_WORDS, LAST_WORDS);
        assert!(started.elapsed() < LAST_WORDS, "it waited {:?}", started.elapsed());
    }
}
