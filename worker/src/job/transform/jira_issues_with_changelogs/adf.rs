//! Text of documents in the Atlassian Document Format.

use std::{borrow::Cow, fmt::Write as _};

use chrono::DateTime;
use serde::Deserialize;

use crate::job::reading::{Element, List, Scalar};

#[derive(Deserialize)]
struct Node<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow, default)]
    text: Scalar<'a>,
    #[serde(borrow, default)]
    attrs: Element<Attributes<'a>>,
    #[serde(borrow, default)]
    content: List<Element<Node<'a>>>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow, default)]
    text: Scalar<'a>,
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default, rename = "shortName")]
    short_name: Scalar<'a>,
    #[serde(borrow, default)]
    timestamp: Scalar<'a>,
    #[serde(borrow, default)]
    url: Scalar<'a>,
    #[serde(borrow, default)]
    alt: Scalar<'a>,
    #[serde(borrow, default)]
    order: Scalar<'a>,
}

/// Whether a node stands on lines of its own or within one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Block,
    Line,
}

/// The text of a document, without white space at its end; `None` where nothing is left.
pub(super) fn text(json: &str) -> Option<String> {
    let document: Element<Node<'_>> = serde_json::from_str(json).ok()?;
    let mut text = content(&document.read()?, Place::Block);
    text.truncate(text.trim_end().len());
    (!text.is_empty()).then_some(text)
}

impl<'a> Node<'a> {
    fn children(&self) -> impl Iterator<Item = &Node<'a>> {
        let nodes = if let List::Items(nodes) = &self.content { nodes.as_slice() } else { &[] };
        nodes.iter().filter_map(Element::as_read)
    }

    /// An attribute, where it is a text or a number.
    fn attribute(&self, which: impl Fn(&Attributes<'a>) -> Scalar<'a>) -> Option<Cow<'a, str>> {
        self.attrs.as_read().and_then(|attrs| which(attrs).id())
    }
}

/// A node's children: blocks are separated by a newline, what stands within a line is not. A list in an item is indented.
fn content(node: &Node<'_>, place: Place) -> String {
    let is_item = matches!(node.kind.text().as_deref(), Some("listItem" | "taskItem" | "decisionItem"));
    let (mut out, mut before) = (String::new(), None);
    for child in node.children() {
        let kind = child.kind.text().unwrap_or_default();
        let here = place_of(&kind).unwrap_or(place);
        if before.is_some_and(|before| before == Place::Block || here == Place::Block) {
            out.push('\n');
        }
        if is_item && is_list(&kind) {
            indented(child, &kind, &mut out);
        } else {
            render(child, &kind, here, &mut out);
        }
        before = Some(here);
    }
    out
}

/// Where nodes of this kind stand; unknown ones stand where they are found.
fn place_of(kind: &str) -> Option<Place> {
    match kind {
        "text" | "hardBreak" | "mention" | "emoji" | "date" | "status" | "inlineCard" | "mediaInline"
        | "inlineExtension" | "placeholder" => Some(Place::Line),
        "paragraph" | "heading" | "codeBlock" | "blockquote" | "panel" | "expand" | "nestedExpand" | "bulletList"
        | "orderedList" | "listItem" | "taskList" | "taskItem" | "decisionList" | "decisionItem" | "table"
        | "tableRow" | "tableCell" | "tableHeader" | "rule" | "mediaSingle" | "mediaGroup" | "media" | "caption"
        | "blockCard" | "embedCard" | "layoutSection" | "layoutColumn" | "extension" | "bodiedExtension" => {
            Some(Place::Block)
        }
        _ => None,
    }
}

fn render(node: &Node<'_>, kind: &str, place: Place, out: &mut String) {
    let mut put = |text: Option<Cow<'_, str>>| out.push_str(&text.unwrap_or_default());
    match kind {
        "text" => put(node.text.text()),
        "hardBreak" => out.push('\n'),
        "rule" => out.push_str("---"),
        "mention" => put(node
            .attribute(|of| of.text)
            .or_else(|| node.attribute(|of| of.id).map(|id| Cow::Owned(format!("@{id}"))))),
        "emoji" => put(node.attribute(|of| of.text).or_else(|| node.attribute(|of| of.short_name))),
        "date" => put(node.attribute(|of| of.timestamp).and_then(|millis| day(&millis)).map(Cow::Owned)),
        "status" => put(node.attribute(|of| of.text)),
        "inlineCard" | "blockCard" | "embedCard" => put(node.attribute(|of| of.url)),
        "media" | "mediaInline" => put(node.attribute(|of| of.alt)),
        "bulletList" | "taskList" | "decisionList" => items(node, None, out),
        "orderedList" => {
            let first = node.attribute(|of| of.order).and_then(|order| order.parse().ok());
            items(node, Some(first.unwrap_or(1)), out);
        }
        "table" => joined(
            node,
            "\n",
            &|row| {
                let mut cells = String::new();
                joined(row, " | ", &|cell| content(cell, Place::Block), &mut cells);
                cells
            },
            out,
        ),
        "paragraph" | "heading" | "codeBlock" | "caption" | "taskItem" | "decisionItem" => {
            out.push_str(&content(node, Place::Line));
        }
        _ => out.push_str(&content(node, if place_of(kind).is_some() { Place::Block } else { place })),
    }
}

fn joined(node: &Node<'_>, separator: &str, text: &dyn Fn(&Node<'_>) -> String, out: &mut String) {
    for (n, child) in node.children().enumerate() {
        if n > 0 {
            out.push_str(separator);
        }
        out.push_str(&text(child));
    }
}

/// The items of a list, with a dash or counted from a number.
fn items(list: &Node<'_>, mut number: Option<i64>, out: &mut String) {
    for (n, item) in list.children().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        let kind = item.kind.text().unwrap_or_default();
        if is_list(&kind) {
            indented(item, &kind, out);
            continue;
        }
        if let Some(number) = &mut number {
            // Writing to a string cannot fail.
            let _ = write!(out, "{number}. ");
            *number = number.saturating_add(1);
        } else {
            out.push_str("- ");
        }
        render(item, &kind, Place::Block, out);
    }
}

fn is_list(kind: &str) -> bool {
    matches!(kind, "bulletList" | "orderedList" | "taskList" | "decisionList")
}

fn indented(list: &Node<'_>, kind: &str, out: &mut String) {
    let mut text = String::new();
    render(list, kind, Place::Block, &mut text);
    for (n, line) in text.split('\n').enumerate() {
        out.push_str(if n > 0 { "\n  " } else { "  " });
        out.push_str(line);
    }
}

/// The day, in UTC, of a number of milliseconds.
fn day(millis: &str) -> Option<String> {
    let date = DateTime::from_timestamp_millis(millis.trim().parse().ok()?)?;
    Some(date.format("%Y-%m-%d").to_string())
}
