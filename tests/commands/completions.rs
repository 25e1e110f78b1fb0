//! What shells complete, asked of the real shells.

use crate::common::arena::Arena;
use crate::common::janitor::bare;
use crate::common::skip::skip;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

/// A name that would run a program where a shell expands what it completes.
const HOSTILE: &str = "a $(touch pwned)";

/// A folder with a program of our name that looks into an arena alone, and the shells' scripts.
struct Desk {
    arena: Arena,
    folder: tempfile::TempDir,
    _ghost: UnixListener,
}

impl Desk {
    fn new() -> Self {
        let arena = Arena::new().dead("build").dead("bugs").dead("other").dead(HOSTILE);
        let ghost = UnixListener::bind(arena.path("lost")).unwrap();
        fs::remove_file(arena.path("lost")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let wrapper = format!(
            "#!/bin/sh\nexec {} --dir {} \"$@\"\n",
            env!("CARGO_BIN_EXE_tmux-janitor"),
            arena.dir().display()
        );
        let program = folder.path().join("tmux-janitor");
        fs::write(&program, wrapper).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        for shell in ["bash", "zsh", "fish"] {
            let script = bare().args(["completions", shell]).output().unwrap();
            let name = if shell == "zsh" { "_tmux-janitor" } else { shell };
            fs::write(folder.path().join(name), script.stdout).unwrap();
        }
        Self { arena, folder, _ghost: ghost }
    }

    fn lost(&self) -> PathBuf {
        self.arena.path("lost")
    }

    /// What a shell says to a script; `None` where there is no such shell.
    #[track_caller]
    fn asks(&self, shell: &[&str], script: &str) -> Option<String> {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let asked = Command::new(shell[0])
            .args(&shell[1..])
            .arg(script)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("TERM", "dumb")
            .env("LC_ALL", "C.UTF-8")
            .output();
        let Ok(asked) = asked else {
            skip(&format!("{} is not installed", shell[0]));
            return None;
        };
        assert!(!self.folder.path().join("pwned").exists(), "a name was run");
        Some(String::from_utf8(asked.stdout).unwrap() + &String::from_utf8_lossy(&asked.stderr))
    }

    /// What is offered for the last of `words`, a line each.
    #[track_caller]
    fn offered(&self, shell: &str, words: &[&str]) -> Option<Vec<String>> {
        let said = match shell {
            "bash" => {
                // As bash splits them (COMP_WORDBREAKS).
                let words: Vec<&str> = words
                    .iter()
                    .flat_map(|word| match word.split_once('=') {
                        Some((option, "")) => vec![option, "="],
                        Some((option, value)) => vec![option, "=", value],
                        None => vec![*word],
                    })
                    .collect();
                let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                let (last, before) = (words.last().unwrap(), words[words.len() - 2]);
                // With the option "default" bash has files where there is nothing else.
                self.asks(&["bash", "-euc"], &format!(
                    "compopt() {{ echo \"$*\" >>complete; }}; . ./bash; complete -p tmux-janitor >complete; COMP_WORDS=({}); COMP_CWORD={}; COMPREPLY=()
                     function=$(sed 's/.*-F \\([^ ]*\\).*/\\1/' complete)
                     \"$function\" tmux-janitor '{last}' '{before}' || :
                     if [[ ${{#COMPREPLY[@]}} = 0 ]] && grep -q -e '-o default' complete; then COMPREPLY=($(compgen -f -- '{last}' || :)); fi
                     printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                    quoted.join(" "), words.len() - 1))
            }
            "fish" => self.asks(
                &["fish", "--private", "--no-config", "--command"],
                &format!("source fish; complete --do-complete '{}'", words.join(" ")),
            ),
            _ => self.zsh(words),
        }?;
        // fish puts what it is behind a tab.
        Some(said.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect())
    }

    /// zsh completes only what somebody types: into a terminal of its own, which lists what it has. What is typed before
    /// its line editor has that terminal is edited by the kernel.
    fn zsh(&self, words: &[&str]) -> Option<String> {
        self.asks(&["zsh", "-fc"], &format!(
            "zmodload zsh/zpty; zpty shell zsh -f -i
             tell() {{ zpty -w shell \"$1\" }}
             tell 'PS1= PS2= fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=0; setopt no_beep'
             tell 'list() {{ compstate[list]=; compstate[insert]=; }}
             compadd() {{ local -a found; builtin compadd -O found \"$@\"; print -rl -- \"offer:\"${{^found}}; builtin compadd \"$@\"; }}
             zle -C ask list-choices _generic; bindkey \"^I\" ask'
             tell $'zle-line-init() {{ print rea\\'\\'dy }}; zle -N zle-line-init'
             zpty -r shell seen $'*ready*'
             zpty -w -n shell $'{}\\t\\x15'; tell $'print do\\'\\'ne'
             zpty -r shell seen $'*done*'; print -r -- \"$seen\"; zpty -d shell",
            words.join(" ")))
            .map(|said| {
                said.lines().filter_map(|line| line.split_once("offer:")).map(|(_, name)| name.trim_end().to_owned() + "\n").collect()
            })
    }
}

#[test]
fn each_shell_completes_options_values_labels_and_ghosts() {
    let desk = Desk::new();
    let lost = desk.lost().display().to_string();
    for shell in ["bash", "zsh", "fish"] {
        let offers = |words: &[&str], wanted: &[&str], unwanted: &[&str]| {
            let Some(offered) = desk.offered(shell, words) else { return };
            for name in wanted {
                assert!(
                    offered.iter().any(|offer| offer == name),
                    "{shell} {words:?}: {name} of {offered:?}"
                );
            }
            for name in unwanted {
                assert!(
                    offered.iter().all(|offer| offer != name),
                    "{shell} {words:?}: {name} of {offered:?}"
                );
            }
        };
        let hidden = ["carry-out", "hand-over", "complete-names", "completions", "man"];
        offers(&["tmux-janitor", ""], &["sweep", "check-config"], &hidden);
        offers(&["tmux-janitor", "sweep", "--d"], &["--dry-run", "--dir"], &["--json"]);
        offers(&["tmux-janitor", "list", "--color", "a"], &["auto", "always"], &["never"]);
        offers(&["tmux-janitor", "list", "--state", "d"], &["dead"], &["live"]);
        // zsh and fish complete the whole word.
        let whole = |value: &str| if shell == "bash" { value.to_owned() } else { format!("--state={value}") };
        let is_whole = |value: &str| if shell == "zsh" { value.to_owned() } else { whole(value) };
        offers(&["tmux-janitor", "list", "--state=d"], &[&is_whole("dead")], &[&is_whole("live"), "--json"]);
        offers(&["tmux-janitor", "list", "--state="], &[&is_whole("dead"), &is_whole("live")], &["--json"]);
        // Where no file belongs none is offered.
        offers(&["tmux-janitor", "sweep", "--dry-run", "ba"], &[], &["bash"]);
        offers(&["tmux-janitor", "list", "--state", "not"], &["not-a-socket"], &["dead"]);
        offers(&["tmux-janitor", "probe", "-L", "b"], &["build", "bugs"], &["other"]);
        offers(&["tmux-janitor", "probe", "-L", "a"], &[], &["auto"]);
        offers(&["tmux-janitor", "rescue", "/"], &[&lost], &[]);
        offers(&["tmux-janitor", "rescue", "--a"], &["--aside"], &[]);
        // It takes one PATH.
        let dir = format!("--dir={}", desk.arena.dir().display());
        for first in [&["/x"][..], &["--dry-run", "/x"], &["--color", "never", "/x"], &[&dir, "/x"]] {
            let words = [&["tmux-janitor", "rescue"][..], first, &["/"]].concat();
            offers(&words, &[], &[&lost, "/tmp", "/tmp/"]);
        }
        offers(&["tmux-janitor", "rescue", "/x", "--a"], &["--aside"], &[]);
        offers(&["tmux-janitor", "--color", "never", "rescue", "--dry-run", "/"], &[&lost], &[]);
        offers(&["tmux-janitor", &dir, "rescue", "/"], &[&lost], &[]);
        // Files, where one belongs.
        offers(&["tmux-janitor", "audit", "bash", "ba"], &["bash"], &[]);
        offers(&["tmux-janitor", "check-config", "ba"], &["bash"], &[]);
        offers(&["tmux-janitor", "check-config", "bash", "ba"], &[], &["bash"]);
        offers(&["tmux-janitor", "spawn", "ba"], &[], &["bash"]);
        offers(&["tmux-janitor", "spawn", "x", "--", "ba"], &["bash"], &[]);
    }
}
