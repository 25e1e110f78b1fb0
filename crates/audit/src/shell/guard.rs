//! What a piece of script says about its surroundings, read from its text: whether a test asks for `$TMUX`,
//! whether a branch leaves, whether a right-hand side verifies.

/// Whether a test that succeeds (`Some(true)`) or fails (`Some(false)`) means that we are inside of tmux.
pub(super) fn inside_tmux(test: &str) -> Option<bool> {
    let mut test = test.trim();
    let mut means = true;
    while let Some(rest) = test.strip_prefix("! ") {
        (test, means) = (rest.trim(), !means);
    }
    let bare = test
        .strip_prefix("[[ ")
        .and_then(|test| test.strip_suffix("]]"))
        .or_else(|| test.strip_prefix("[ ").and_then(|test| test.strip_suffix(']')))
        .or_else(|| test.strip_prefix("test "))?;
    let words: Vec<String> = bare.split_whitespace().map(|word| word.replace(['"', '\''], "")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_tmux = |word: &str| ["$TMUX", "${TMUX}", "${TMUX:-}", "${TMUX-}", "${TMUX+x}"].contains(&word);
    match words[..] {
        ["-n", word] | [word] | [word, "!=", ""] if is_tmux(word) => Some(means),
        ["-z", word] | [word, "=" | "==", ""] if is_tmux(word) => Some(!means),
        _ => None,
    }
}

/// Whether what is done then leaves the script, the function or the loop.
pub(super) fn ends(branch: &str) -> bool {
    let branch = branch.trim().trim_end_matches('}').trim_end().trim_end_matches(';');
    let last = branch.rsplit([';', '\n', '{']).next().unwrap_or_default().trim();
    let word = last.split_whitespace().next().unwrap_or_default();
    ["exit", "return", "exec", "break", "continue"].contains(&word)
}

/// `|| true` makes no use of an exit code.
pub(super) fn ignores(right: &str) -> bool {
    [":", "true"].contains(&right.trim())
}

/// What follows asks the server itself.
pub(super) fn is_verification(right: &str) -> bool {
    let words = right.split_whitespace();
    words.clone().next().is_some_and(|program| program.contains("tmux"))
        && words.take(8).any(|word| word.starts_with("has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_for_tmux_are_seen() {
        for (test, expected) in [
            ("[ -n \"$TMUX\" ]", Some(true)),
            ("[[ -z ${TMUX:-} ]]", Some(false)),
            ("! [ -z \"$TMUX\" ]", Some(true)),
            ("test \"$TMUX\"", Some(true)),
            ("[ \"$TMUX\" != \"\" ]", Some(true)),
            ("[ \"$TMUX\" = '' ]", Some(false)),
            ("[ -n \"$TMUXX\" ]", None),
            ("[[ -n $TMUX || -n $x ]]", None),
            ("tmux ls", None),
        ] {
            assert_eq!(inside_tmux(test), expected, "{test}");
        }
    }

    #[test]
    fn leaving_is_seen() {
        assert!(ends("exit 1") && ends("{ echo no; return; }") && !ends("echo exit"));
    }
}
