//! Names for people: one printable line that says exactly which bytes there are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use tmux_sockets::kernel::escape::{escaped, escaped_bytes, shell_word};

pub fn check(bytes: &[u8]) {
    let shown = escaped_bytes(bytes).to_string();
    assert_eq!(escaped(OsStr::from_bytes(bytes)).to_string(), shown);
    assert!(!shown.contains(hides), "{shown:?}");
    assert_eq!(unescaped(&shown), bytes, "{shown:?}");
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\') {
        assert_eq!(shown.as_bytes(), bytes);
    }
    // No argument of a command can hold a NUL.
    let word: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let quoted = shell_word(OsStr::from_bytes(&word));
    assert!(quoted.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{quoted:?}");
    assert_eq!(unquoted(&quoted).as_deref(), Some(&word[..]), "{quoted:?}");
}

/// Controls, ends of lines, what turns text around (`Bidi_Control`) or is not shown at all
/// (`Default_Ignorable_Code_Point`): `PropList.txt`, `DerivedCoreProperties.txt` of Unicode 16.
fn hides(c: char) -> bool {
    c.is_control()
        || "\u{2028}\u{2029}\u{61c}\u{200e}\u{200f}".contains(c)
        || [
            (0x202a, 0x202e),
            (0x2066, 0x2069),
            (0xad, 0xad),
            (0x34f, 0x34f),
            (0x115f, 0x1160),
            (0x17b4, 0x17b5),
            (0x180b, 0x180f),
            (0x200b, 0x200f),
            (0x2060, 0x206f),
            (0x3164, 0x3164),
            (0xfe00, 0xfe0f),
            (0xfeff, 0xfeff),
            (0xffa0, 0xffa0),
            (0xfff0, 0xfff8),
            (0x1_bca0, 0x1_bca3),
            (0x1_d173, 0x1_d17a),
            (0xe_0000, 0xe_0fff),
        ]
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
}

/// What [`escaped_bytes`] was given, by its documentation.
fn unescaped(shown: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = shown;
    while let Some((plain, code)) = rest.split_once('\\') {
        bytes.extend(plain.bytes());
        let (kind, tail) = code.split_at(1);
        rest = tail;
        match kind {
            "\\" => bytes.push(b'\\'),
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "r" => bytes.push(b'\r'),
            "x" => {
                let (digits, tail) = tail.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = tail;
            }
            "u" => {
                let (digits, tail) =
                    tail.strip_prefix('{').and_then(|tail| tail.split_once('}')).expect("{…}");
                let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).expect("a character");
                bytes.extend(c.to_string().bytes());
                rest = tail;
            }
            other => panic!("\\{other} says nothing"),
        }
    }
    bytes.extend(rest.bytes());
    bytes
}

/// A quote would be the end of the word.
fn ends_nothing(plain: &str) -> Option<()> {
    (!plain.contains('\'')).then_some(())
}

/// What a shell makes of one word. `None`: not one word, or a shell would expand something in it.
fn unquoted(word: &str) -> Option<Vec<u8>> {
    if let Some(inner) = word.strip_prefix("$'") {
        let mut bytes = Vec::new();
        let mut rest = inner.strip_suffix('\'')?;
        while let Some((plain, code)) = rest.split_once('\\') {
            ends_nothing(plain)?;
            bytes.extend(plain.bytes());
            // `\'`, `\\`, or up to three octal digits.
            if let Some(tail) = code.strip_prefix(['\'', '\\']) {
                bytes.extend(code.bytes().next());
                rest = tail;
            } else {
                let end = code.find(|c| !matches!(c, '0'..='7')).unwrap_or(code.len()).min(3);
                bytes.push(u8::from_str_radix(&code[..end], 8).ok()?);
                rest = &code[end..];
            }
        }
        ends_nothing(rest)?;
        bytes.extend(rest.bytes());
        return Some(bytes);
    }
    if let Some(inner) = word.strip_prefix('\'') {
        return inner.strip_suffix('\'').filter(|inner| !inner.contains('\'')).map(Into::into);
    }
    let is_special = |c: char| c.is_whitespace() || "|&;<>()$`\\\"'*?[]#~{}!^".contains(c);
    // zsh makes a path of `=name`.
    (!word.is_empty() && !word.starts_with('=') && !word.contains(is_special)).then(|| word.into())
}
