//! Where in a TOML text a mistake stands: line, column and key.

/// A place in a text, for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// The key with its table, `watch.rescan`; empty where the text has none.
    pub(super) key: String,
}

/// The position of a byte offset.
pub(super) fn of(text: &str, offset: usize) -> Position {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_text = text[start..].lines().next().unwrap_or_default();
    let table = text[..start].lines().rev().find_map(table_of);
    let key = key_of(line_text)
        // A value over several lines: its key stands above.
        .or_else(|| text[..start].lines().rev().take_while(|line| table_of(line).is_none()).find_map(key_of));
    let key = match (table_of(line_text), table, key) {
        (Some(own), _, _) => own.to_owned(),
        (None, Some(table), Some(key)) => format!("{table}.{key}"),
        (None, _, key) => key.unwrap_or_default().to_owned(),
    };
    Position { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1, key }
}

fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.starts_with(['#', '"', '\''])).then_some(key)
}

fn table_of(line: &str) -> Option<&str> {
    let line = line.trim();
    line.strip_prefix('[')?.split(']').next().filter(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_found_with_its_table() {
        let text = "keep = [\n  3,\n]\n[watch]\nrescan = 5\n";
        let position = of(text, text.find('3').unwrap_or_default());
        assert_eq!(position, Position { line: 2, column: 3, key: "keep".into() });
        let position = of(text, text.find('5').unwrap_or_default());
        assert_eq!(position, Position { line: 5, column: 10, key: "watch.rescan".into() });
        assert_eq!(of("ä", 1).column, 1);
        assert_eq!(of("", 9), Position { line: 1, column: 1, key: String::new() });
    }
}
