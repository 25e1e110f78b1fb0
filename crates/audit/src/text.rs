//! Text whose every byte knows where in the audited file it stands: a file, a word of a command, or a
//! script inside a word.

/// Stands for text inside one word that is not known.
pub(super) const UNKNOWN: char = '\u{10fffd}';
/// Stands for unknown text that may be no word, one, or several.
pub(super) const SPLIT: char = '\u{10fffc}';
/// Stands for a number that is not known, such as the user's id.
pub(super) const DIGITS: char = '\u{10fffb}';

/// Whether a character stands for something.
pub(super) fn is_stand_in(c: char) -> bool {
    matches!(c, UNKNOWN | SPLIT | DIGITS)
}

/// From `at` on, the text stands at `place` of the file; `moves`: and goes on there byte by byte.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: usize,
    place: usize,
    moves: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    content: String,
    runs: Vec<Run>,
    /// Where the function was called that this text was handed to, if it was.
    pub(super) site: Option<usize>,
    /// Where its opening quote stands, if it begins with one.
    pub(super) quote: Option<usize>,
}

impl Text {
    /// A whole file.
    pub(super) fn of_file(text: String) -> Self {
        Self { content: text, runs: vec![Run { at: 0, place: 0, moves: true }], ..Self::default() }
    }

    /// Text that came about at `place`.
    pub(super) fn made(text: &str, place: usize) -> Self {
        let mut made = Self::default();
        made.push(text, place);
        made
    }

    /// What is not known, at `place`: one of the characters that stand for something.
    pub(super) fn stand_in(c: char, place: usize) -> Self {
        let mut text = Self::default();
        text.push_stand_in(c, place);
        text
    }

    pub(super) fn as_str(&self) -> &str {
        &self.content
    }

    /// Where in the file the byte at `offset` stands.
    pub(super) fn place(&self, offset: usize) -> usize {
        let after = self.runs.partition_point(|run| run.at <= offset);
        let Some(run) = self.runs[..after].last() else { return 0 };
        if run.moves { run.place + (offset - run.at) } else { run.place }
    }

    /// Where it begins, quotes included.
    pub(super) fn begin(&self) -> usize {
        self.quote.unwrap_or_else(|| self.place(0))
    }

    /// Adds text that stands at `place` and the bytes behind it.
    #[cfg(test)]
    pub(super) fn push_moving(&mut self, text: &str, place: usize) {
        self.runs.push(Run { at: self.content.len(), place, moves: true });
        self.content.push_str(text);
    }

    /// Adds text that came about at `place`.
    pub(super) fn push(&mut self, text: &str, place: usize) {
        self.runs.push(Run { at: self.content.len(), place, moves: false });
        self.content.push_str(text);
    }

    /// Adds a character that stands for what is not known.
    pub(super) fn push_stand_in(&mut self, c: char, place: usize) {
        self.push(c.encode_utf8(&mut [0; 4]), place);
    }

    /// Adds what stands between two offsets of another text.
    pub(super) fn push_part(&mut self, from: &Self, start: usize, end: usize) {
        let inner = from.runs.partition_point(|run| run.at <= start);
        let mut at = start;
        for run in from.runs[inner..].iter().filter(|run| run.at < end) {
            self.push_one(from, at, run.at);
            at = run.at;
        }
        self.push_one(from, at, end);
    }

    fn push_one(&mut self, from: &Self, start: usize, end: usize) {
        if start < end {
            let after = from.runs.partition_point(|run| run.at <= start);
            let moves = from.runs[..after].last().is_some_and(|run| run.moves);
            self.runs.push(Run { at: self.content.len(), place: from.place(start), moves });
            self.content.push_str(from.content.get(start..end).unwrap_or_default());
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.push_part(other, 0, other.content.len());
        self.site = self.site.or(other.site);
    }

    /// Whether all of it is known.
    pub(super) fn is_known(&self) -> bool {
        !self.content.contains(is_stand_in)
    }

    /// Whether it may be no word or several.
    pub(super) fn may_split(&self) -> bool {
        self.content.contains(SPLIT)
    }

    /// The file name of a path, where it is known.
    pub(super) fn base(&self) -> Option<&str> {
        let base = self.content.rsplit('/').next()?;
        (!base.is_empty() && !base.contains(is_stand_in)).then_some(base)
    }

    /// The same, standing at `place` as a whole.
    pub(super) fn at(&self, place: usize) -> Self {
        Self { site: self.site, ..Self::made(&self.content, place) }
    }

    /// Words of it as the shell splits an unquoted expansion, all of them standing at `place`.
    pub(super) fn split(&self, place: usize) -> impl Iterator<Item = Self> {
        self.content.split_whitespace().map(move |word| {
            let text = Self::made(&word.replace(UNKNOWN, &SPLIT.to_string()), place);
            Self { site: self.site, ..text }
        })
    }

    /// The text as a shell that reads it would see it: what stands for something becomes a variable.
    pub(super) fn as_script(&self) -> Self {
        let mut script = Self::default();
        let mut start = 0;
        for (at, c) in self.content.char_indices().filter(|(_, c)| is_stand_in(*c)) {
            script.push_part(self, start, at);
            script.push(if c == DIGITS { "${UID}" } else { "${__}" }, self.place(at));
            start = at + c.len_utf8();
        }
        script.push_part(self, start, self.content.len());
        script
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_part_knows_its_place() {
        let mut word = Text::default();
        word.push_moving("ab", 10);
        word.push("XYZ", 20);
        word.push_moving("cd", 30);
        let mut part = Text::default();
        part.push_part(&word, 1, 7);
        assert_eq!(part.as_str(), "bXYZcd");
        let places: Vec<_> = (0..6).map(|at| part.place(at)).collect();
        assert_eq!(places, [11, 20, 20, 20, 30, 31]);
    }

    #[test]
    fn what_is_not_known_is_a_variable_to_the_next_shell() {
        let mut word = Text::default();
        word.push_moving("a ", 5);
        word.push(&UNKNOWN.to_string(), 7);
        word.push_moving(" b", 9);
        let script = word.as_script();
        assert_eq!(script.as_str(), "a ${__} b");
        assert_eq!(script.place(script.as_str().len() - 1), 10);
    }
}
