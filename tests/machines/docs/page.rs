//! A page of the documentation: its blocks, and what each page says of how they are tested. Pure.

/// Where a block is run, and what makes it ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// In a room of its own.
    Here,
    /// On a booted machine with the program installed.
    Machine {
        /// Else as a user.
        as_root: bool,
    },
    /// Where the block before it was run, right after it.
    Continued,
    /// It is a program: it is put into a file of this name, in a room of its own.
    SavedAs(String),
    /// Not at all: the reason.
    NotRun(String),
}

/// A fenced block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// The word behind the fence.
    pub(crate) language: String,
    /// What is in it.
    pub(crate) text: String,
    /// Where it is run.
    pub(crate) order: Order,
    /// A script that readers do not see: it sets the scene.
    pub(crate) before: String,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its path in the repository.
    pub(crate) name: String,
    /// Its fenced blocks.
    pub(crate) blocks: Vec<Block>,
    /// The `code` in its sentences, with its line.
    pub(crate) inline: Vec<(usize, String)>,
    /// What its links lead to, with their lines.
    pub(crate) links: Vec<(usize, String)>,
}

/// The beginning of the comment that says how the next block is tested.
const MARK: &str = "<!-- test:";

impl Page {
    /// Reads a page. What cannot be understood is an error with its line.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut page = Self { name: name.to_owned(), blocks: vec![], inline: vec![], links: vec![] };
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let (mut order, mut before) = (None, String::new());
        let (mut previous_is_blank, mut in_list) = (true, false);
        let mut prose: Vec<(usize, &str)> = vec![];
        while let Some((at, whole)) = lines.next() {
            // In a list blocks are indented as its text is.
            let line = if in_list { whole.trim_start() } else { whole };
            let indent = whole.len() - line.len();
            let error = |what: &str| Err(format!("{name}:{at}: {what}"));
            if let Some(first) = line.strip_prefix(MARK) {
                let mut comment = first.to_owned();
                while !comment.contains("-->") {
                    let Some((_, more)) = lines.next() else {
                        return error("the comment does not end");
                    };
                    comment = format!("{comment}\n{more}");
                }
                let comment = comment.split("-->").next().unwrap_or_default();
                let (word, script) = comment.split_once('\n').unwrap_or((comment, ""));
                order = Some(match word.trim() {
                    "here" => Order::Here,
                    "on a machine" => Order::Machine { as_root: false },
                    "on a machine, as root" => Order::Machine { as_root: true },
                    "continued" => Order::Continued,
                    other => match (other.strip_prefix("not run: "), other.strip_prefix("saved as ")) {
                        (Some(reason), _) => Order::NotRun(format!("{reason} {script}").trim().to_owned()),
                        (_, Some(file)) => Order::SavedAs(file.to_owned()),
                        _ => return error(&format!("{other:?} is no order that the test knows")),
                    },
                });
                script.clone_into(&mut before);
            } else if line.starts_with("```") {
                let fence: String = line.chars().take_while(|letter| *letter == '`').collect();
                let mut text = String::new();
                loop {
                    match lines.next() {
                        Some((_, line)) if line.trim_start().starts_with(&fence) => break,
                        Some((_, line)) => text = text + line.get(indent..).unwrap_or_default() + "\n",
                        None => return error("the block does not end"),
                    }
                }
                let language = line.trim_start_matches('`').trim().to_owned();
                let order = order.take().unwrap_or(Order::Here);
                page.blocks.push(Block {
                    line: at,
                    language,
                    text,
                    order,
                    before: std::mem::take(&mut before),
                });
                previous_is_blank = true;
            } else {
                if order.is_some() {
                    return error("a comment for the test stands right before its block");
                }
                // Behind `- ` and `1. ` a text is indented by less.
                let most = if in_list { 6 } else { 4 };
                if whole.starts_with(&" ".repeat(most)) && previous_is_blank {
                    return error("an indented block is not tested; write a fenced one");
                }
                let is_number =
                    |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let is_item =
                    line.starts_with("- ") || line.split_once(". ").is_some_and(|(text, _)| is_number(text));
                previous_is_blank = line.trim().is_empty();
                in_list = is_item || (in_list && (previous_is_blank || whole.starts_with(' ')));
                prose.push((at, line));
            }
        }
        page.read_prose(&prose);
        Ok(page)
    }

    /// A span of code may go over the end of a line, not over that of a paragraph.
    fn read_prose(&mut self, prose: &[(usize, &str)]) {
        for paragraph in prose.split(|(_, line)| line.trim().is_empty()) {
            let Some((first, _)) = paragraph.first() else { continue };
            let text = paragraph.iter().map(|(_, line)| line.trim()).collect::<Vec<_>>().join("\n");
            let at = |offset: usize| first + text[..offset].matches('\n').count();
            let mut offset = 0;
            for (number, part) in text.split('`').enumerate() {
                if number % 2 == 1 {
                    self.inline.push((at(offset), part.replace('\n', " ")));
                }
                offset += part.len() + 1;
            }
            for (start, _) in text.match_indices("](") {
                let target = text[start + 2..].split(')').next().unwrap_or_default();
                self.links.push((at(start), target.to_owned()));
            }
        }
    }
}

#[test]
fn a_page_is_read() {
    let text = "# x\n\n<!-- test: on a machine\nlive a\n-->\n```console\n$ true\n```\nsay `a\nb` [c](d.md)\n\n```toml\n```\n";
    let page = Page::parse("x.md", text).unwrap();
    assert_eq!(page.blocks.len(), 2);
    let first = &page.blocks[0];
    assert_eq!((first.line, first.language.as_str(), first.text.as_str()), (6, "console", "$ true\n"));
    assert_eq!((&first.order, first.before.as_str()), (&Order::Machine { as_root: false }, "live a\n"));
    assert_eq!(page.inline, [(9, "a b".to_owned())]);
    assert_eq!(page.links, [(10, "d.md".to_owned())]);
    let list = "- a\n  b\n\n  <!-- test: not run: why -->\n  ```sh\n  c\n    d\n  ```\n  e\n";
    let page = Page::parse("x.md", list).unwrap();
    assert_eq!(page.blocks[0].text, "c\n  d\n");
    assert_eq!(page.blocks[0].order, Order::NotRun("why".to_owned()));
    for (text, part) in [
        ("a\n\n    b\n", "x.md:3: an indented block"),
        ("- a\n\n      b\n", "x.md:3: an indented block"),
        ("<!-- test: elsewhere -->\n```\n```\n", "x.md:1: \"elsewhere\""),
        ("<!-- test: here -->\ntext\n", "x.md:2: a comment"),
        ("```\n", "x.md:1: the block does not end"),
    ] {
        let error = Page::parse("x.md", text).unwrap_err();
        assert!(error.starts_with(part), "{error}");
    }
}
