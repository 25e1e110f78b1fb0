//! The shell's grammar: from text to a syntax tree.
//!
//! The parser is tree-sitter's for bash. It goes on behind a mistake, and needs no stack for what is nested.

use super::text::Text;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;
use tree_sitter::{Node, ParseOptions, Parser, Tree};

/// How long this thread has worked: on a busy machine waiting does not count.
pub(super) fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Reads a script; nothing, when the deadline comes first.
pub(super) fn parse(text: &Text, deadline: Duration) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok()?;
    // Its scanner was seen to crash on characters beyond ASCII: it sees as many dots, which end no word.
    let seen: Vec<u8> = text.as_str().bytes().map(|byte| if byte.is_ascii() { byte } else { b'.' }).collect();
    let mut patience = |_: &_| {
        if worked() < deadline { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut patience);
    parser.parse_with_options(&mut |at, _| seen.get(at..).unwrap_or_default(), None, Some(options))
}

/// What is found by going through a tree once.
#[derive(Debug, Default)]
pub(super) struct Contents<'t> {
    /// Where comments begin and end.
    pub(super) comments: Vec<(usize, usize)>,
    /// The functions; nothing for a name that has two bodies.
    pub(super) functions: HashMap<String, Option<Node<'t>>>,
    /// Where the first thing stands that is no shell.
    pub(super) error: Option<usize>,
}

/// Goes through a tree once.
pub(super) fn contents<'t>(tree: &'t Tree, text: &str) -> Contents<'t> {
    let mut contents = Contents::default();
    each(tree.root_node(), &mut |node| {
        match node.kind() {
            "comment" => contents.comments.push((node.start_byte(), node.end_byte())),
            "function_definition" => {
                let name = node.child_by_field_name("name").and_then(|name| text.get(name.byte_range()));
                if let (Some(name), Some(body)) = (name, node.child_by_field_name("body")) {
                    contents
                        .functions
                        .entry(name.to_owned())
                        .and_modify(|known| *known = None)
                        .or_insert(Some(body));
                }
            }
            // The whole of a script may be one: what stands in it says more.
            _ if node != tree.root_node() && (node.is_error() || node.is_missing()) => {
                contents.error =
                    Some(contents.error.map_or(node.start_byte(), |at| at.min(node.start_byte())));
            }
            _ => {}
        }
    });
    if tree.root_node().is_error() {
        contents.error.get_or_insert(0);
    }
    contents
}

/// Calls for a node and all below it.
pub(super) fn each<'t>(node: Node<'t>, call: &mut impl FnMut(Node<'t>)) {
    let mut cursor = node.walk();
    let mut depth = 0_usize;
    loop {
        call(cursor.node());
        if cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        loop {
            if depth == 0 {
                return;
            }
            if cursor.goto_next_sibling() {
                break;
            }
            cursor.goto_parent();
            depth -= 1;
        }
    }
}

/// The named children that are no comments.
pub(super) fn parts(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

/// All children with the names of their fields.
pub(super) fn fields(node: Node<'_>) -> Vec<(Option<&'static str>, Node<'_>)> {
    let mut cursor = node.walk();
    let mut found = Vec::new();
    if cursor.goto_first_child() {
        loop {
            found.push((cursor.field_name(), cursor.node()));
            if !cursor.goto_next_sibling() {
                break;
            }
        }
    }
    found
}
