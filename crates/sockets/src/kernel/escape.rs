//! One place where a name from the file system becomes text for people.
//!
//! A label may hold anything but `/` and NUL: newlines, terminal sequences, bytes that are not
//! UTF-8. Whatever goes to a terminal, a log's message line or systemd passes through here.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write};
use std::os::unix::ffi::OsStrExt;

/// Shows a name so that it stays on its line and moves no cursor.
///
/// Printable characters stand for themselves; a backslash is doubled; control characters and
/// characters that change the direction or visibility of text become `\n`, `\t`, `\xNN` or
/// `\u{N}`; bytes that are not UTF-8 become `\xNN`. The result is unambiguous.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(&'a [u8]);

/// Escapes a name or path. See [`Escaped`].
pub fn escaped<S: AsRef<OsStr> + ?Sized>(name: &S) -> Escaped<'_> {
    Escaped(name.as_ref().as_bytes())
}

/// Escapes raw bytes. See [`Escaped`].
pub fn escaped_bytes(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes)
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c if is_invisible(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// A word for a shell command that people copy: as it is where that is harmless, else quoted, with
/// everything that is not printable ASCII spelled out (`$'…'` of POSIX.1-2024, bash, zsh, ksh).
pub fn shell_word<S: AsRef<OsStr> + ?Sized>(word: &S) -> String {
    let bytes = word.as_ref().as_bytes();
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(byte);
    // zsh takes `=name` for the path of a program.
    if !matches!(bytes, [] | [b'=', ..]) && bytes.iter().all(is_harmless) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let is_printable = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\');
    if bytes.iter().all(is_printable) {
        return format!("'{}'", String::from_utf8_lossy(bytes));
    }
    let mut text = "$'".to_owned();
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Three digits always: the next character cannot become part of the number.
            _ => text.extend(["\\".to_owned(), format!("{byte:03o}")]),
        }
    }
    text.push('\'');
    text
}

/// C1 controls, line and paragraph separators, what turns text around, and what is not shown at all: Unicode's
/// `Default_Ignorable_Code_Point`.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_left_alone() {
        assert_eq!(escaped("über-/a b").to_string(), "über-/a b");
    }

    #[test]
    fn a_copied_command_does_what_it_says() {
        assert_eq!(shell_word("/tmp/tmux-0/a.lock"), "/tmp/tmux-0/a.lock");
        for word in ["", "a b", "; touch x;", "$(x)`y`", "it's", "new\nline", "\x1b[31m1", "ü\\", "-rf ~"] {
            let script = format!("printf %s {}", shell_word(word));
            assert!(script.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{script}");
            let output = std::process::Command::new("bash").args(["-c", &script]).output();
            assert_eq!(output.map(|output| output.stdout).ok().as_deref(), Some(word.as_bytes()), "{script}");
        }
    }

    #[test]
    fn what_moves_a_cursor_is_spelled_out() {
        assert_eq!(escaped_bytes(b"a\nb\x1b[31m\\\xff\xc3").to_string(), "a\\nb\\x1b[31m\\\\\\xff\\xc3");
        assert_eq!(escaped("\u{202e}x\u{85}").to_string(), "\\u{202e}x\\u{85}");
    }
}
