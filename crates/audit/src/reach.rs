//! What a removal in `/tmp` reaches: whether tmux's sockets are among it.
//!
//! A socket of tmux and the folder around it stand for all: `/tmp/tmux-1000/default`. What is not known, a variable or
//! a test that find(1) has and this does not, is not taken for a yes.

use super::text::{Text, is_stand_in};
use glob::{MatchOptions, Pattern};

const TMP: &str = "/tmp";
const FOLDER: &str = "tmux-1000";
const LABEL: &str = "default";

/// What of it is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The folder itself.
    pub(super) folder: bool,
    /// The socket in it.
    pub(super) socket: bool,
}

impl Reach {
    /// Whether removing that removes the socket; `all`: what is in a folder, too.
    pub(super) fn hurts(self, all: bool) -> bool {
        self.socket || (self.folder && all)
    }
}

/// What a path given to rm(1) is, as the shell expands it.
pub(super) fn of_path(path: &str) -> Reach {
    let Some(rest) = path.strip_prefix(TMP).filter(|_| !path.contains(is_stand_in)) else {
        return Reach::default();
    };
    let parts: Vec<&str> = rest.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let is_below = rest.is_empty() || rest.starts_with('/');
    match parts[..] {
        [] if is_below => Reach { folder: true, socket: false },
        [folder] if is_below => Reach { folder: matches(folder, FOLDER), socket: false },
        [folder, label] if is_below => {
            Reach { folder: false, socket: matches(folder, FOLDER) && matches(label, LABEL) }
        }
        _ => Reach::default(),
    }
}

/// As sh(1) expands: a dot in front is matched by a dot only.
fn matches(glob: &str, name: &str) -> bool {
    Pattern::new(glob).is_ok_and(|glob| glob.matches(name))
}

/// What one call of find(1) comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FindEffect {
    /// What it removes by itself.
    pub(super) removed: Reach,
    /// With all that is in it.
    pub(super) with_contents: bool,
    /// What it prints, for somebody else to remove.
    pub(super) printed: Reach,
}

/// Goes through an expression of find(1) for a starting point.
pub(super) fn of_find(start: &str, expression: &[Text]) -> FindEffect {
    let depth = match of_path(start) {
        _ if matches!(start.trim_end_matches(['/', '.']), TMP) => 0,
        Reach { folder: true, .. } => 1,
        _ => return FindEffect::default(),
    };
    let words: Vec<&str> = expression.iter().map(Text::as_str).collect();
    let deep = words.iter().any(|word| matches!(*word, "-delete" | "-depth" | "-d"));
    let acts = words.iter().any(|word| {
        matches!(
            *word,
            "-delete" | "-exec" | "-execdir" | "-ok" | "-okdir" | "-print" | "-print0" | "-ls" | "-printf"
        )
    });
    let mut effect = FindEffect::default();
    let limit = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse::<usize>().ok()
    };
    let reaches = |level: usize| {
        level >= limit("-mindepth").unwrap_or(0) && level <= limit("-maxdepth").unwrap_or(usize::MAX)
    };
    let mut is_pruned = false;
    for (level, is_folder) in [(1 - depth, true), (2 - depth, false)] {
        if !reaches(level) || (is_pruned && !is_folder) {
            continue;
        }
        let mut asked = Expression { words: &words, at: 0, is_folder, effect: &mut effect, is_pruned: false };
        let holds = asked.list(true);
        let went = asked.at;
        is_pruned = asked.is_pruned && !deep;
        if !acts && holds == Some(true) && went == words.len() {
            effect.printed.folder |= is_folder;
            effect.printed.socket |= !is_folder;
        }
    }
    effect
}

/// An expression that is asked about one file. `Some`: it is known whether it holds.
struct Expression<'a> {
    words: &'a [&'a str],
    at: usize,
    is_folder: bool,
    effect: &'a mut FindEffect,
    is_pruned: bool,
}

impl Expression<'_> {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).copied()
    }

    /// `a -o b`; `runs`: this part is reached for certain.
    fn list(&mut self, runs: bool) -> Option<bool> {
        let mut holds = self.all(runs);
        while matches!(self.peek(), Some("-o" | "-or" | ",")) {
            let is_comma = self.peek() == Some(",");
            self.at += 1;
            let right = self.all(runs && (is_comma || holds == Some(false)));
            holds = match (is_comma, holds, right) {
                (true, _, right) => right,
                (false, Some(true), _) | (false, _, Some(true)) => Some(true),
                (false, Some(false), Some(false)) => Some(false),
                (false, _, _) => None,
            };
        }
        holds
    }

    /// `a b`, `a -a b`.
    fn all(&mut self, runs: bool) -> Option<bool> {
        let mut holds = Some(true);
        while let Some(word) = self.peek() {
            if matches!(word, "-o" | "-or" | "," | ")") {
                break;
            }
            if matches!(word, "-a" | "-and") {
                self.at += 1;
                continue;
            }
            let right = self.one(runs && holds == Some(true));
            holds = match (holds, right) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
        }
        holds
    }

    fn one(&mut self, runs: bool) -> Option<bool> {
        let word = self.words.get(self.at).copied()?;
        self.at += 1;
        match word {
            "!" | "-not" => self.one(false).map(|holds| !holds),
            "(" => {
                let holds = self.list(runs);
                self.at += 1;
                holds
            }
            _ => self.test(word, runs),
        }
    }

    fn argument(&mut self) -> &str {
        let argument = self.words.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        argument
    }

    fn test(&mut self, word: &str, runs: bool) -> Option<bool> {
        let is_folder = self.is_folder;
        let (name, kind) = if is_folder { (FOLDER, "d") } else { (LABEL, "s") };
        let path = if is_folder { format!("{TMP}/{FOLDER}") } else { format!("{TMP}/{FOLDER}/{LABEL}") };
        let glob = |text: &str, name: &str, fold: bool| {
            let options = MatchOptions { case_sensitive: !fold, ..MatchOptions::new() };
            (!text.contains(is_stand_in))
                .then(|| Pattern::new(text).is_ok_and(|glob| glob.matches_with(name, options)))
        };
        match word {
            "-type" => {
                let kinds = self.argument();
                (!kinds.contains(is_stand_in)).then(|| kinds.split(',').any(|known| known == kind))
            }
            "-name" | "-iname" => glob(self.argument(), name, word == "-iname"),
            "-path" | "-wholename" | "-ipath" | "-iwholename" => {
                glob(self.argument(), &path, word.starts_with("-i"))
            }
            // Any file grows old, and may be anybody's.
            "-mtime" | "-atime" | "-ctime" | "-mmin" | "-amin" | "-cmin" | "-newer" | "-anewer"
            | "-cnewer" | "-used" | "-user" | "-group" | "-uid" | "-gid" | "-maxdepth" | "-mindepth"
            | "-regextype" => {
                self.argument();
                Some(true)
            }
            _ if word.starts_with("-newer") => {
                self.argument();
                Some(true)
            }
            "-size" => {
                // A socket has none, and a folder a little.
                let more = self.argument().starts_with('+');
                (!is_folder).then_some(!more)
            }
            "-empty" | "-nouser" | "-nogroup" | "-false" => Some(false),
            "-depth"
            | "-d"
            | "-mount"
            | "-xdev"
            | "-daystart"
            | "-follow"
            | "-noleaf"
            | "-warn"
            | "-nowarn"
            | "-true"
            | "-ignore_readdir_race" => Some(true),
            "-prune" => {
                self.is_pruned |= runs;
                Some(true)
            }
            "-print" | "-print0" | "-ls" => {
                self.print(runs);
                Some(true)
            }
            "-printf" | "-fprint" | "-fls" => {
                self.argument();
                Some(true)
            }
            "-delete" => {
                // A folder with something in it stays.
                self.effect.removed.socket |= runs && !is_folder;
                Some(true)
            }
            "-exec" | "-execdir" => self.execute(runs),
            _ => {
                // With how many arguments is not known.
                self.at = self.words.len();
                None
            }
        }
    }

    fn print(&mut self, runs: bool) {
        self.effect.printed.folder |= runs && self.is_folder;
        self.effect.printed.socket |= runs && !self.is_folder;
    }

    /// `-exec rm -rf {} +`.
    fn execute(&mut self, runs: bool) -> Option<bool> {
        let rest = &self.words[self.at..];
        let end = rest.iter().position(|word| matches!(*word, ";" | "+")).unwrap_or(rest.len());
        self.at += end + 1;
        let command: Vec<&str> = rest[..end].iter().copied().skip_while(|word| *word == "sudo").collect();
        let program = command.first()?.rsplit('/').next()?;
        if !matches!(program, "rm" | "unlink") || !command.contains(&"{}") {
            return None;
        }
        if runs {
            let all = command.iter().skip(1).any(|word| is_recursive(word));
            self.effect.with_contents |= all && self.is_folder;
            self.effect.removed.folder |= self.is_folder;
            self.effect.removed.socket |= !self.is_folder;
        }
        Some(true)
    }
}

/// `-r`, `-Rf`, `--recursive` of rm(1).
pub(super) fn is_recursive(word: &str) -> bool {
    let is_short = word.starts_with('-') && !word.starts_with("--");
    word == "--recursive" || (is_short && word.contains(['r', 'R']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hurts(line: &str) -> bool {
        let word = |word: &str| Text::made(word, 0);
        let words: Vec<&str> = line.split(' ').collect();
        let expression: Vec<Text> = words[1..].iter().map(|text| word(text)).collect();
        let effect = of_find(words[0], &expression);
        effect.removed.hurts(effect.with_contents)
    }

    #[test]
    fn what_find_removes_is_asked_of_one_socket() {
        for line in [
            "/tmp -delete",
            "/tmp/ -mtime +7 -delete",
            "/tmp -mindepth 1 -atime +1 -exec rm -rf {} +",
            "/tmp -type s -delete",
            "/tmp ! -type f -delete",
            "/tmp -not ( -type f -o -type d ) -delete",
            "/tmp -type f -delete -o -type s -exec rm -f {} ;",
            "/tmp -maxdepth 1 -mtime +3 -exec rm -r {} ;",
            "/tmp/* -mtime +3 -delete",
            "/tmp -name tmux-* -exec /bin/rm -rf {} +",
            "/tmp -xdev -user bot -size -10k -delete",
            "/tmp ! -path /tmp/keep/* -delete",
        ] {
            assert!(hurts(line), "{line}");
        }
        for line in [
            "/tmp -type f -delete",
            "/tmp -type f -mtime +7 -exec rm -f {} +",
            "/tmp -mtime +7 ! -path /tmp/tmux-* -delete",
            "/tmp -not -type s -delete",
            "/tmp -maxdepth 1 -mtime +7 -delete",
            "/tmp -maxdepth 1 -exec rm -f {} ;",
            "/tmp -name *.log -delete",
            "/tmp -empty -delete",
            "/tmp -size +10M -delete",
            "/tmp -path /tmp/tmux-* -prune -o -mtime +1 -exec rm -rf {} +",
            // find itself refuses this one.
            "/tmp -path /tmp/tmux-* -prune -o -mtime +1 -delete",
            "/tmp -exec fuser -s {} ; -o -delete",
            "/tmp -mtime +7 -exec ls {} ;",
            "/tmp -something new -delete",
            "/tmp -mtime +7 -print",
            "/var/tmp -delete",
            "/tmpfiles -delete",
            "/tmp/build -delete",
        ] {
            assert!(!hurts(line), "{line}");
        }
    }

    #[test]
    fn what_rm_is_given_is_expanded() {
        for (path, folder, socket) in [
            ("/tmp", true, false),
            ("/tmp/", true, false),
            ("/tmp/*", true, false),
            ("/tmp/t*", true, false),
            ("/tmp/*/*", false, true),
            ("/tmp/.", true, false),
            ("/tmp/*.log", false, false),
            ("/tmp/build", false, false),
            ("/tmp/build/*", false, false),
            ("/tmpx", false, false),
            ("/var/tmp/*", false, false),
        ] {
            assert_eq!(of_path(path), Reach { folder, socket }, "{path}");
        }
    }
}
