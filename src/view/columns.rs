//! Columns of text in as many as a terminal has: cut, padded and folded by what is seen of a character. Pure.

use unicode_width::UnicodeWidthChar;

/// Between two columns.
const GAP: &str = "  ";

/// What stands for what was cut off.
const ELLIPSIS: char = '…';

/// Where a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// At its end.
    End,
    /// At its beginning: of a path the end tells more.
    Start,
}

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// As text does.
    Left,
    /// As numbers do.
    Right,
}

/// A column, header included.
#[derive(Debug)]
pub(super) struct Column<N> {
    /// Which one.
    pub(super) name: N,
    /// What stands in it, from the header on.
    pub(super) cells: Vec<String>,
    /// How wide it is.
    pub(super) width: usize,
    pub(super) cut: Cut,
    pub(super) side: Side,
}

impl<N> Column<N> {
    /// As wide as what stands in it.
    pub(super) fn new(name: N, cells: Vec<String>, cut: Cut, side: Side) -> Self {
        let width = cells.iter().map(|cell| width_of(cell)).max().unwrap_or(0);
        Self { name, cells, width, cut, side }
    }

    /// How wide it would be with all that stands in it.
    pub(super) fn natural(&self) -> usize {
        self.cells.iter().map(|cell| width_of(cell)).max().unwrap_or(0)
    }

    /// A cell in its width.
    pub(super) fn cell(&self, row: usize) -> String {
        let text = cut(self.cells.get(row).map_or("", String::as_str), self.width, self.cut);
        let pad = " ".repeat(self.width.saturating_sub(width_of(&text)));
        match self.side {
            Side::Left => text + &pad,
            Side::Right => pad + &text,
        }
    }
}

/// How wide a table of these columns is.
pub(super) fn total<N>(columns: &[Column<N>]) -> usize {
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    columns.iter().map(|column| column.width).sum::<usize>() + gaps
}

/// Cells as a line, without what nobody sees at its end.
pub(super) fn line(cells: &[String]) -> String {
    cells.join(GAP).trim_end().to_owned()
}

fn width_of(text: &str) -> usize {
    text.chars().map(width_of_one).sum()
}

/// What moves a cursor has been escaped before.
fn width_of_one(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// A text that is no wider than that.
fn cut(text: &str, width: usize, at: Cut) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(width_of_one(ELLIPSIS));
    let fits = |c: &char| {
        let room = left.checked_sub(width_of_one(*c));
        left = room.unwrap_or(left);
        room.is_some()
    };
    match at {
        Cut::End => text.chars().take_while(fits).chain([ELLIPSIS]).collect(),
        Cut::Start => {
            let end: Vec<char> = text.chars().rev().take_while(fits).collect();
            std::iter::once(ELLIPSIS).chain(end.into_iter().rev()).collect()
        }
    }
}

/// A sentence as lines that are no wider than that. Nothing of it is left out.
pub(super) fn folded(sentence: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in sentence.split_whitespace() {
        let wide = width_of(word);
        if used > 0 && used + 1 + wide <= width {
            used += 1 + wide;
            lines.last_mut().into_iter().for_each(|line| line.extend([" ", word]));
            continue;
        }
        if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            if used + width_of_one(c) > width {
                lines.push(String::new());
                used = 0;
            }
            used += width_of_one(c);
            lines.last_mut().into_iter().for_each(|line| line.push(c));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_cut_says_so_and_wide_characters_count_twice() {
        assert_eq!(cut("build", 5, Cut::End), "build");
        assert_eq!(cut("builds", 5, Cut::End), "buil…");
        assert_eq!(cut("/tmp/tmux-7/x", 6, Cut::Start), "…x-7/x");
        assert_eq!(cut("日本語", 6, Cut::End), "日本語");
        assert_eq!(cut("日本語", 5, Cut::End), "日本…");
        assert_eq!(cut("日本語", 4, Cut::End), "日…");
        assert_eq!(cut("日本語", 4, Cut::Start), "…語");
        // A combining mark takes no room, and stays with its letter.
        assert_eq!(cut("e\u{301}abc", 3, Cut::End), "e\u{301}a…");
    }

    #[test]
    fn a_cell_is_as_wide_as_its_column() {
        let mut column = Column::new((), vec!["AGE".to_owned(), "日".to_owned()], Cut::End, Side::Right);
        assert_eq!((column.cell(0), column.cell(1)), ("AGE".to_owned(), " 日".to_owned()));
        column.width = 1;
        assert_eq!((column.cell(0), column.cell(1)), ("…".to_owned(), "…".to_owned()));
    }

    #[test]
    fn a_sentence_is_folded_between_words_where_that_can_be() {
        assert_eq!(folded("a live server whose", 8), ["a live", "server", "whose"]);
        assert_eq!(folded("at /tmp/tmux-1000/x", 8), ["at", "/tmp/tmu", "x-1000/x"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in "\\PC{0,40}", width in 2_usize..30) {
            for at in [Cut::End, Cut::Start] {
                prop_assert!(width_of(&cut(&text, width, at)) <= width);
            }
            let lines = folded(&text, width);
            prop_assert!(lines.iter().all(|line| width_of(line) <= width));
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
