//! Folders by a pattern, such as `/tmp/*-tmux-sockets`.

use glob::{MatchOptions, Pattern};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// What makes a path a pattern, as in a shell. In one name a character of these stands for itself in brackets: `[[]`.
const SPECIAL: [char; 3] = ['*', '?', '['];

/// A pattern of folders' paths: each name in it is a name or a glob, and no glob goes over a `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderGlob {
    text: String,
    /// Above the first glob.
    prefix: PathBuf,
    parts: Vec<Part>,
}

/// One name of a pattern, from the first glob on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// This one.
    Name(OsString),
    /// Each that matches.
    Any(Pattern),
}

impl FolderGlob {
    /// Whether a path of the configuration is a pattern.
    pub fn is_one(path: &Path) -> bool {
        path.to_str().is_some_and(|text| text.contains(SPECIAL))
    }

    /// Reads an absolute one.
    ///
    /// # Errors
    /// What is wrong with it: the end of a sentence.
    pub(crate) fn parse(path: &Path) -> Result<Self, String> {
        let mut glob =
            Self { text: path.to_string_lossy().into_owned(), prefix: PathBuf::from("/"), parts: Vec::new() };
        for component in path.components() {
            match component {
                Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
                Component::ParentDir if glob.parts.is_empty() => glob.prefix.push(".."),
                Component::ParentDir => return Err("\"..\" may not follow a glob".to_owned()),
                Component::Normal(name) => glob.push(name)?,
            }
        }
        Ok(glob)
    }

    fn push(&mut self, name: &OsStr) -> Result<(), String> {
        let text = name.to_string_lossy();
        if !text.contains(SPECIAL) {
            if self.parts.is_empty() {
                self.prefix.push(name);
            } else {
                self.parts.push(Part::Name(name.to_owned()));
            }
            return Ok(());
        }
        if text.contains("**") {
            return Err("\"**\" would go through whole trees; write \"*\" for each folder".to_owned());
        }
        self.parts.push(Part::Any(Pattern::new(&text).map_err(|error| error.msg.to_owned())?));
        Ok(())
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The folder in which the first glob is looked for. Links in it are followed as in any path.
    pub(crate) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The names below it.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A path as it has to be written where patterns are read.
    pub(crate) fn escape(path: &str) -> String {
        path.chars().map(|c| if SPECIAL.contains(&c) { format!("[{c}]") } else { c.to_string() }).collect()
    }
}

/// Whether a name matches a glob. A dot at its beginning is matched by a dot alone, as in a shell.
pub(crate) fn matches(glob: &Pattern, name: &OsStr) -> bool {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    glob.matches_with(&name.to_string_lossy(), options)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    fn parse(text: &str) -> Result<FolderGlob, String> {
        FolderGlob::parse(Path::new(text))
    }

    #[test]
    fn a_pattern_is_a_folder_and_names_below_it() {
        let glob = parse("/srv/a b/*-sockets/x/[!a]?").unwrap();
        assert_eq!(glob.prefix(), Path::new("/srv/a b"));
        assert_eq!(glob.parts().len(), 3);
        assert_eq!(glob.parts()[1], Part::Name("x".into()));
        for (text, part) in [("/a/[", "invalid range"), ("/a/**/b", "whole trees"), ("/a/*/../b", "\"..\"")] {
            assert!(parse(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn a_path_can_be_written_as_a_pattern_of_itself() {
        let path = "/a[1]/b*?]";
        let Part::Any(last) = parse(&FolderGlob::escape(path)).unwrap().parts().last().unwrap().clone()
        else {
            panic!("no glob");
        };
        assert!(matches(&last, OsStr::new("b*?]")) && !matches(&last, OsStr::new("bx?]")));
        assert!(!FolderGlob::is_one(Path::new("/a b/c")));
    }

    #[test]
    fn a_hidden_name_is_matched_by_a_dot_alone() {
        let any = Pattern::new("*").unwrap();
        assert!(matches(&any, OsStr::new("a")) && !matches(&any, OsStr::new(".a")));
        assert!(matches(&Pattern::new(".*").unwrap(), OsStr::new(".a")));
    }
}
