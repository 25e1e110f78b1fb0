//! Spans of time as systemd.time(7) writes them.
//!
//! Not humantime's reader: it panics at a sum just beyond the longest span, and takes `1 30s` for 130 seconds.

use std::time::Duration;

/// The units of systemd.time(7), some more that are common, and nanoseconds.
const UNITS: [(&[&str], u128); 10] = [
    (&["nsec", "nanos", "ns"], 1),
    (&["usec", "us", "μs", "µs"], 1_000),
    (&["msec", "millis", "ms"], 1_000_000),
    (&["seconds", "second", "secs", "sec", "s"], SECOND),
    (&["minutes", "minute", "mins", "min", "m"], 60 * SECOND),
    (&["hours", "hour", "hrs", "hr", "h"], 3_600 * SECOND),
    (&["days", "day", "d"], 86_400 * SECOND),
    (&["weeks", "week", "wks", "wk", "w"], 7 * 86_400 * SECOND),
    // 30.44 and 365.25 days.
    (&["months", "month", "M"], 2_630_016 * SECOND),
    (&["years", "year", "yrs", "yr", "y"], 31_557_600 * SECOND),
];

const SECOND: u128 = 1_000_000_000;

/// The most digits behind a decimal point: far below a nanosecond, and no product leaves 128 bits.
const DIGITS: usize = 18;

/// Reads `10min`, `1h 30s`, `1.5h`, or `infinity` (`None`). A number without a unit is seconds.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn parse(text: &str) -> Result<Option<Duration>, String> {
    if text.trim() == "infinity" {
        return Ok(None);
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut rest, mut nanoseconds) = (text.trim(), 0_u128);
    loop {
        let (number, tail) = split(rest, is_number);
        let (unit, tail) = split(tail.trim_start(), |c| !is_number(c) && !c.is_whitespace());
        let Some(scale) = scale(unit) else {
            return Err(wrong(&format!("\"{unit}\" is not a unit")));
        };
        let part = scaled(number, scale).ok_or_else(|| match number {
            "" => wrong("a number is missing"),
            _ => wrong(&format!("\"{number}\" is not a number")),
        })?;
        nanoseconds = nanoseconds.saturating_add(part);
        rest = tail.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    let seconds = u64::try_from(nanoseconds / SECOND).map_err(|_| too_long(text))?;
    // Less than a second is left, which fits.
    let left = u32::try_from(nanoseconds % SECOND).unwrap_or_default();
    Ok(Some(Duration::new(seconds, left)))
}

/// What of the beginning fits, and the rest.
fn split(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !fits(c)).unwrap_or(text.len()))
}

fn scale(unit: &str) -> Option<u128> {
    let unit = if unit.is_empty() { "s" } else { unit };
    UNITS.iter().find(|(names, _)| names.contains(&unit)).map(|(_, scale)| *scale)
}

/// `number` times `scale`, rounded down, at most what 128 bits hold. `None`: it is no number.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(DIGITS)];
    let places = fraction.bytes().fold(1, |places, _| places * 10);
    let below = fraction.parse::<u128>().ok()? * scale / places;
    // Digits only: what cannot be read is too large.
    Some(whole.parse().unwrap_or(u128::MAX).saturating_mul(scale).saturating_add(below))
}

fn wrong(what: &str) -> String {
    format!("not a span of time: {what}; write it as systemd does: \"10min\", \"1h 30s\", \"infinity\"")
}

fn too_long(text: &str) -> String {
    format!("\"{text}\" is too long a span; \"infinity\" is the longest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_systemd_reads_them() {
        for (text, seconds) in [
            ("10min", 600),
            ("1h 30s", 3630),
            ("1h30", 3630),
            ("1 30s", 31),
            ("90", 90),
            ("0s", 0),
            ("2 days", 172_800),
            ("1.5h", 5400),
            ("0", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Some(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(parse("400ms"), Ok(Some(Duration::from_millis(400))));
        assert_eq!(parse("0.00000000199999999999999s"), Ok(Some(Duration::from_nanos(1))));
        assert_eq!(parse(" infinity"), Ok(None));
        for (text, part) in [
            ("", "missing"),
            ("soon", "\"soon\" is not a unit"),
            ("-1s", "\"-\""),
            ("10 parsecs", "\"parsecs\""),
            ("1h min", "missing"),
            ("1..5h", "\"1..5\""),
            ("99999999999999999999", "too long"),
            ("18446744073709551615s 1000ms", "too long"),
            ("340282366920938463463374607431768211456y", "too long"),
        ] {
            let error = parse(text).err().unwrap_or_default();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
