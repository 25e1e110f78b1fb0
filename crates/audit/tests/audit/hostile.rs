//! Scripts that somebody made to hurt whoever reads them: an answer for each, in time.

use crate::{audit_text, places};
use tmux_janitor_audit_wire::{NotAudited, NoteKind};

/// A program that ends by itself, whatever stands in the file; what stands before is looked at.
#[track_caller]
fn survives(name: &str, text: &str) {
    let audit = audit_text(format!("tmux kill-server\n{text}"));
    // The finding before it is told; or it is given up, and said so.
    let is_given_up = audit.refusal == Some(NotAudited::TooIntricate);
    let is_found = audit.refusal.is_none() && places(&audit).contains(&"1:1: kill-server".to_owned());
    assert!(is_found || is_given_up, "{name}: {audit:?}");
    assert!(audit.notes.len() < 10, "{name}: {:?}", audit.notes);
}

#[test]
fn deep_nesting_overflows_no_stack() {
    for (name, open, close, times) in [
        ("parentheses", "(", ")", 5_000),
        ("substitutions", "echo $(", ")", 5_000),
        ("quoted substitutions", "echo \"$(", ")\"", 5_000),
        ("conditions", "if a; then ", "; fi", 5_000),
        ("groups", "{ ", "; }", 5_000),
        ("expansions", "${a:-", "}", 5_000),
        ("cases", "case x in x) ", ";; esac", 5_000),
        ("functions", "f() { ", "; }", 5_000),
        ("negations", "! ", "", 5_000),
        ("tests", "[[ ( ", ") ]]", 5_000),
    ] {
        survives(name, &format!("{}tmux ls{}", open.repeat(times), close.repeat(times)));
        survives(name, &open.repeat(times));
    }
}

#[test]
fn what_is_nested_too_deep_is_told() {
    let audit = audit_text(format!("{}tmux ls{}\ntmux ls", "(".repeat(1000), ")".repeat(1000)));
    assert!(audit.is_partial && audit.notes.iter().any(|note| note.kind == NoteKind::Cut), "{audit:?}");
    assert_eq!(places(&audit), ["2:1: default-socket"]);
    let audit = audit_text(format!("{}tmux ls{}", "( ".repeat(40), " )".repeat(40)));
    assert_eq!(places(&audit), ["1:81: default-socket"]);
    assert!(audit.notes.is_empty() && !audit.is_partial, "{audit:?}");
}

#[test]
fn long_lines_and_many_of_them_come_to_an_end() {
    survives("words", &format!("tmux {}", "a ".repeat(100_000)));
    survives("one word", &"a".repeat(500_000));
    survives("a list", &format!("{}b", "a && ".repeat(20_000)));
    survives("a pipeline", &format!("{}b", "a | ".repeat(20_000)));
    survives("here-documents", &"cat <<E\n".repeat(3000));
    survives("here-documents on a line", &format!("cat {}", "<<E ".repeat(3000)));
    survives("a long delimiter", &format!("cat <<{0}\nx\n{0}\n", "E".repeat(5000)));
    survives("operators", &"<<<>>>&&&|||;;((((]]]".repeat(100));
    // A megabyte of them takes the parser minutes: it is given up.
    survives("too many operators", &"<<<>>>&&&|||;;((((]]]".repeat(20_000));
}

/// A line for each number up to 39.
fn lines(first: u32, line: impl Fn(u32) -> String) -> String {
    (first..40).map(line).collect()
}

#[test]
fn functions_and_variables_that_multiply_come_to_an_end() {
    let double = lines(1, |n| format!("f{n}() {{ f{}; f{}; }}\n", n - 1, n - 1));
    survives("functions", &format!("f0() {{ tmux ls; }}\n{double}f39\n"));
    let double = lines(1, |n| format!("a{n}=$a{}$a{}\n", n - 1, n - 1));
    survives("variables", &format!("a0=xxxxxxxxxx\n{double}tmux $a39\n"));
    survives("evals", &format!("x='eval \"$x$x\"'\n{}", "eval \"$x\"\n".repeat(50)));
    survives(
        "loops",
        &format!("{}tmux ls{}", "for i in 1 2 3 4 5 6 7 8; do ".repeat(12), "; done".repeat(12)),
    );
    survives("arrays", &format!("a=(x x)\n{}", "a+=(\"${a[@]}\")\n".repeat(40)));
    survives(
        "parameters",
        &format!(
            "f() {{ f2 \"$@\" \"$@\"; }}\n{}f x",
            lines(2, |n| format!("f{n}() {{ f{} \"$@\" \"$@\"; }}\n", n + 1))
        ),
    );
}

#[test]
fn bytes_of_all_kinds_crash_nothing() {
    let mut seed = 1_u32;
    let mut byte = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let noise: Vec<u8> = (0..100_000).map(|_| byte().max(1)).collect();
    let audit = audit_text(&noise);
    assert!(matches!(audit.refusal, None | Some(NotAudited::Binary | NotAudited::TooIntricate)), "{audit:?}");
    let tall: String = (0..30_000_u32).filter_map(|n| char::from_u32(0x1_0000 + n * 31)).collect();
    survives("characters beyond the basic plane", &tall);
}
