//! Spans of time as systemd.time(7) writes them.

use std::time::Duration;

/// Reads `10min`, `1h 30s`, `90` (seconds) or `infinity` (`None`).
pub fn parse(text: &str) -> Result<Option<Duration>, String> {
    let text = text.trim();
    if text == "infinity" {
        return Ok(None);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().map_err(|_| format!("\"{text}\" is too long a span"))?;
        return Ok(Some(Duration::from_secs(seconds)));
    }
    match humantime::parse_duration(text) {
        Ok(span) => Ok(Some(span)),
        Err(error) => Err(format!(
            "no span of time: {error}; write it as systemd does: \"10min\", \"1h 30s\", \"infinity\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_as_systemd_reads_them() {
        for (text, seconds) in
            [("10min", 600), ("1h 30s", 3630), ("90", 90), ("0s", 0), ("2 days", 172_800), ("0", 0)]
        {
            assert_eq!(parse(text), Ok(Some(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(parse("400ms"), Ok(Some(Duration::from_millis(400))));
        assert_eq!(parse("infinity"), Ok(None));
        for text in ["", "soon", "-1s", "10 parsecs", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
