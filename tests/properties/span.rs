//! Spans: what is printed is read again, parts add up, and what is no span is refused with a sentence.

use std::time::Duration;
use tmux_janitor::for_tests::parse_span;

/// Units of systemd.time(7), in nanoseconds.
const UNITS: [(&str, u128); 10] = [
    ("y", 31_557_600_000_000_000),
    ("month", 2_630_016_000_000_000),
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match parse_span(&text) {
        Ok(Some(span)) => {
            assert!(text.contains(|c: char| c.is_ascii_digit()), "{text:?} has no number");
            is_read_again(span);
            let below = Duration::new(86_400, 1);
            let sum = parse_span(&format!("{text} 1d1ns"));
            assert_eq!(sum.ok(), span.checked_add(below).map(Some), "{text:?} and {below:?}");
        }
        Ok(None) => assert_eq!(text.trim(), "infinity"),
        Err(error) => assert!(error.contains("span"), "{error}"),
    }
    parts_add_up(&text);
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let nanoseconds = u32::from_le_bytes(std::array::from_fn(|at| byte(8 + at))) % 1_000_000_000;
    is_read_again(Duration::new(u64::from_le_bytes(std::array::from_fn(byte)), nanoseconds));
}

/// As systemd prints it, in one word, and with a decimal point.
fn is_read_again(span: Duration) {
    let mut left = span.as_nanos();
    let parts = UNITS.map(|(unit, size)| {
        let count = left / size;
        left %= size;
        format!("{count}{unit}")
    });
    let point = format!(" {}.{:09} ", span.as_secs(), span.subsec_nanos());
    for text in [parts.join(" "), parts.concat(), point] {
        assert_eq!(parse_span(&text), Ok(Some(span)), "{text:?}");
    }
}

/// Two spans after each other are their sum, wherever a text is cut.
fn parts_add_up(text: &str) {
    for (at, _) in text.char_indices().take(64) {
        let (first, second) = text.split_at(at);
        if let (Ok(Some(one)), Ok(Some(other))) = (parse_span(first), parse_span(second)) {
            let both = format!("{first} {second}");
            assert_eq!(parse_span(&both).ok(), one.checked_add(other).map(Some), "{both:?}");
        }
    }
}
