//! Programs that run the command which is given to them as words or as a line.

use super::text::Text;

/// How a program hands on a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hands {
    /// The words behind its own arguments.
    Words,
    /// The words behind its own arguments, put together to a line for a shell.
    Line,
    /// A line for a shell, behind an option of this letter.
    Option(char),
}

/// A program that runs another.
#[derive(Debug)]
struct Wrapper {
    name: &'static str,
    /// Its short options that take a value.
    short: &'static str,
    /// Its long options that take a value as the next word.
    long: &'static [&'static str],
    /// How many words of its own stand before the command.
    own: usize,
    /// `NAME=value` may stand before the command.
    sets: bool,
    hands: Hands,
}

const PLAIN: Wrapper = Wrapper { name: "", short: "", long: &[], own: 0, sets: false, hands: Hands::Words };

const WRAPPERS: &[Wrapper] = &[
    Wrapper { name: "builtin", ..PLAIN },
    Wrapper { name: "busybox", ..PLAIN },
    Wrapper { name: "chroot", own: 1, ..PLAIN },
    Wrapper { name: "chronic", ..PLAIN },
    Wrapper { name: "command", ..PLAIN },
    Wrapper { name: "dbus-run-session", short: "", long: &["--dbus-daemon", "--config-file"], ..PLAIN },
    Wrapper { name: "doas", short: "uCa", ..PLAIN },
    Wrapper { name: "env", short: "uCS", long: &["--unset", "--chdir"], sets: true, ..PLAIN },
    Wrapper { name: "exec", short: "a", ..PLAIN },
    Wrapper {
        name: "flock",
        short: "wEc",
        long: &["--timeout", "--wait", "--conflict-exit-code"],
        own: 1,
        ..PLAIN
    },
    Wrapper { name: "ionice", short: "cnp", long: &["--class", "--classdata"], ..PLAIN },
    Wrapper { name: "nice", short: "n", long: &["--adjustment"], ..PLAIN },
    Wrapper { name: "nohup", ..PLAIN },
    Wrapper { name: "runuser", short: "cgGsw", own: usize::MAX, hands: Hands::Option('c'), ..PLAIN },
    Wrapper { name: "runuser", short: "ugG", long: &["--user"], ..PLAIN },
    Wrapper { name: "script", short: "cEIlmoOTB", own: usize::MAX, hands: Hands::Option('c'), ..PLAIN },
    Wrapper { name: "setpriv", ..PLAIN },
    Wrapper { name: "setsid", ..PLAIN },
    Wrapper { name: "ssh", short: "BbcDEeFIiJLlmOopPQRSWw", own: 1, hands: Hands::Line, ..PLAIN },
    Wrapper { name: "stdbuf", short: "ioe", ..PLAIN },
    Wrapper { name: "su", short: "cgGsw", own: usize::MAX, hands: Hands::Option('c'), ..PLAIN },
    Wrapper {
        name: "sudo",
        short: "ugpChDRTrt",
        long: &["--user", "--group", "--chdir"],
        sets: true,
        ..PLAIN
    },
    Wrapper {
        name: "systemd-run",
        short: "HMpuEtdC",
        long: &[
            "--unit",
            "--property",
            "--slice",
            "--description",
            "--uid",
            "--gid",
            "--setenv",
            "--working-directory",
        ],
        ..PLAIN
    },
    Wrapper { name: "systemd-inhibit", long: &["--what", "--who", "--why", "--mode"], ..PLAIN },
    Wrapper { name: "time", short: "fo", ..PLAIN },
    Wrapper { name: "timeout", short: "ks", long: &["--kill-after", "--signal"], own: 1, ..PLAIN },
    Wrapper { name: "unbuffer", ..PLAIN },
    Wrapper { name: "watch", short: "n", long: &["--interval"], hands: Hands::Line, ..PLAIN },
    Wrapper { name: "xargs", short: "adEILnPs", ..PLAIN },
];

/// The shells whose scripts this grammar reads.
const SHELLS: [&str; 7] = ["ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"];

/// Whether a program is such a shell.
pub(super) fn is_shell(name: &str) -> bool {
    SHELLS.contains(&name)
}

/// What a program was found to run.
#[derive(Debug)]
pub(super) enum Inner {
    /// Another command; and the assignments before it.
    Words(Vec<Text>, Vec<Text>),
    Script(Text),
    /// A script on its stdin.
    Stdin,
}

/// What `words`, a call of the program `name`, run. Nothing: no other command, or one that is not known.
pub(super) fn unwrap(name: &str, words: &[Text]) -> Option<Inner> {
    if is_shell(name) {
        return of_shell(words);
    }
    WRAPPERS.iter().filter(|wrapper| wrapper.name == name).find_map(|wrapper| unwrap_as(wrapper, words))
}

fn unwrap_as(wrapper: &Wrapper, words: &[Text]) -> Option<Inner> {
    let (mut at, mut own) = (1, wrapper.own);
    let mut sets = Vec::new();
    while let Some(word) = words.get(at) {
        let text = word.as_str();
        if word.may_split() {
            return None;
        }
        at += 1;
        if text == "--" && own == 0 {
            break;
        }
        if let Some(long) = text.strip_prefix("--").filter(|long| !long.is_empty()) {
            if wrapper.hands == Hands::Option('c') && ["command", "session-command"].contains(&long) {
                return words.get(at).map(|word| Inner::Script(word.as_script()));
            }
            at += usize::from(wrapper.long.contains(&text));
        } else if let Some(flags) = text.strip_prefix('-').filter(|flags| !flags.is_empty()) {
            // `command -v tmux` asks where it is, `command -V` too.
            if wrapper.name == "command" && flags.contains(['v', 'V']) {
                return None;
            }
            let Some(found) = flags.find(|letter| wrapper.short.contains(letter)) else { continue };
            let is_last = found + 1 == flags.len();
            let is_line = flags[found..].starts_with('c')
                && (wrapper.hands == Hands::Option('c') || wrapper.name == "flock");
            if is_line && is_last {
                return words.get(at).map(|word| Inner::Script(word.as_script()));
            }
            at += usize::from(is_last);
        } else if wrapper.sets && text.contains('=') {
            sets.push(word.clone());
        } else if own > 0 {
            own -= usize::from(own < usize::MAX);
            // What follows the file of flock may be its -c.
            if own == 0 && wrapper.hands != Hands::Words {
                break;
            }
            if own == 0 && wrapper.name != "flock" {
                break;
            }
        } else {
            at -= 1;
            break;
        }
    }
    let rest = words.get(at..).filter(|rest| !rest.is_empty())?;
    match wrapper.hands {
        Hands::Words => Some(Inner::Words(rest.to_vec(), sets)),
        Hands::Line => {
            let mut line = Text::default();
            for word in rest {
                if !line.as_str().is_empty() {
                    line.push(" ", word.place(0));
                }
                line.append(word);
            }
            Some(Inner::Script(line.as_script()))
        }
        Hands::Option(_) => None,
    }
}

/// `sh -euc SCRIPT`, `bash -o pipefail -c SCRIPT`, `bash <<EOF`.
fn of_shell(words: &[Text]) -> Option<Inner> {
    let mut at = 1;
    let mut is_line = false;
    while let Some(word) = words.get(at) {
        let text = word.as_str();
        if word.may_split() {
            return None;
        }
        let Some(flags) = text.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty()) else { break };
        at += 1;
        if let Some(long) = flags.strip_prefix('-') {
            if long.is_empty() {
                break;
            }
            at += usize::from(["rcfile", "init-file"].contains(&long));
            continue;
        }
        is_line |= flags.contains('c');
        if !is_line && flags.contains('s') {
            return Some(Inner::Stdin);
        }
        at += flags.matches(['o', 'O']).count();
    }
    match (is_line, words.get(at)) {
        (true, Some(script)) => Some(Inner::Script(script.as_script())),
        (false, None) => Some(Inner::Stdin),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<Text> = line.split(' ').map(|word| Text::made(&word.replace('_', " "), 0)).collect();
        let name = words[0].as_str().to_owned();
        match unwrap(&name, &words) {
            Some(Inner::Words(words, _)) => words.iter().map(Text::as_str).collect::<Vec<_>>().join(" "),
            Some(Inner::Script(script)) => format!("<{}>", script.as_str()),
            Some(Inner::Stdin) => "stdin".to_owned(),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn every_wrapper_hands_on_its_command() {
        for (line, expected) in [
            ("command tmux ls", "tmux ls"),
            ("command -v tmux", "-"),
            ("env -i -u TMUX A=b tmux ls", "tmux ls"),
            ("env --unset=TMUX tmux ls", "tmux ls"),
            ("sudo -n -u bot -H tmux ls", "tmux ls"),
            ("sudo --user bot -- tmux ls", "tmux ls"),
            ("exec -a x tmux", "tmux"),
            ("timeout -k 5 10 tmux ls", "tmux ls"),
            ("nice -n5 tmux", "tmux"),
            ("runuser -u bot -- tmux ls", "tmux ls"),
            ("runuser -l bot -c tmux_ls", "<tmux ls>"),
            ("su - bot -c tmux_ls", "<tmux ls>"),
            ("su bot --command tmux_ls", "<tmux ls>"),
            ("ssh -p 22 host tmux ls", "<tmux ls>"),
            ("ssh host", "-"),
            ("systemd-run --user --scope --unit x -p A=b tmux new", "tmux new"),
            ("flock -n /x tmux ls", "tmux ls"),
            ("flock /x -c tmux_ls", "<tmux ls>"),
            ("xargs -n 1 tmux kill-session -t", "tmux kill-session -t"),
            ("script -qc tmux_ls /dev/null", "<tmux ls>"),
            ("bash -c tmux_ls x", "<tmux ls>"),
            ("sh -euo pipefail -c tmux_ls", "<tmux ls>"),
            ("bash --norc -lc tmux_ls", "<tmux ls>"),
            ("bash script.sh", "-"),
            ("bash", "stdin"),
            ("sh -s", "stdin"),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }
}
