//! The rooms of each library, its top-level modules, are in an order, and each imports only lower ones.
//!
//! The order is the table of contents in `lib.rs`, from the lowest on: the one place where it stands.

use std::fs;
use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 2] = ["src", "crates/sockets/src"];

/// Behind this line of a `lib.rs` stands its table of contents, a line for each room.
const TABLE: &str = "//! # The rooms, from the lowest";

fn table_of_contents(lib: &str) -> Vec<String> {
    let table = lib.lines().skip_while(|line| *line != TABLE).skip(1).skip_while(|line| *line == "//!");
    let of_it = table.take_while(|line| line.starts_with("//! ") && !line.starts_with("//! #"));
    of_it.filter_map(|line| Some(line.strip_prefix("//! - `")?.split_once('`')?.0.to_owned())).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources are there");
    let paths = entries.map(|entry| entry.expect("it is read").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// The first name of a path.
fn first(path: &str) -> &str {
    let path = path.trim_start();
    path.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}

/// What stands between the commas of a group, whose opening brace is behind us.
fn elements(group: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut begin) = (0, 0);
    for (at, letter) in group.char_indices() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if depth < 0 || (depth == 0 && letter == ',') {
            found.push(group[begin..at].trim());
            begin = at + 1;
        }
        if depth < 0 {
            break;
        }
    }
    found.retain(|element| !element.is_empty());
    found
}

/// What is named behind `crate::`, with its line. `is_top`: `super::` means the same where a module of the file begins.
fn named(source: &str, is_top: bool) -> Vec<(usize, &str)> {
    let is_comment = |at: usize| {
        let begin = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        source[begin..at].trim_start().starts_with("//")
    };
    let of_root = source
        .match_indices("crate::")
        .filter(|(at, _)| !source[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_'));
    let of_super = source.match_indices("\nuse super::").filter(|_| is_top);
    let mut found = Vec::new();
    for (at, word) in of_root.chain(of_super).filter(|(at, _)| !is_comment(*at)) {
        let rest = &source[at + word.len()..];
        let line = source[..at + word.len()].lines().count();
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, first(rest)));
            continue;
        };
        found.extend(elements(group).into_iter().map(|element| (line, first(element))));
    }
    found
}

#[test]
fn a_room_imports_lower_rooms_only() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong: Vec<String> = Vec::new();
    let mut arrows = 0;
    for library in LIBRARIES {
        let folder = repository.join(library);
        let lib = fs::read_to_string(folder.join("lib.rs")).expect("there is a lib.rs");
        let rooms = table_of_contents(&lib);
        let place = |name: &str| rooms.iter().position(|room| room == name);
        let modules = lib.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
        let mut modules: Vec<&str> = modules.collect();
        let mut sorted: Vec<&str> = rooms.iter().map(String::as_str).collect();
        modules.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(modules, sorted, "{library}/lib.rs: its modules, and its table of contents");
        for path in sources(&folder) {
            let inside = path.strip_prefix(&folder).expect("it is in there").with_extension("");
            let room = inside.iter().next().and_then(|name| name.to_str()).expect("a room's name is text");
            let is_top = inside.iter().count() == 1 || inside.ends_with("mod");
            let source = fs::read_to_string(&path).expect("it is text");
            for (line, name) in named(&source, is_top && inside.iter().count() <= 2) {
                let is_lower = matches!((place(name), place(room)), (Some(to), Some(from)) if to < from);
                arrows += usize::from(name != room);
                if name == room || is_lower || ["lib", "main"].contains(&room) {
                    continue;
                }
                let path = path.strip_prefix(repository).expect("it is in there").display();
                wrong.push(format!("{path}:{line}: {room} imports {name}, which is not lower"));
            }
        }
    }
    assert!(arrows > 300, "only {arrows} imports are seen");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
