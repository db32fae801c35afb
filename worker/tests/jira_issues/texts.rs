//! Documents in Atlassian's format as text.

use serde_json::{Value, json};

use super::with_fields;

fn description(content: &Value) -> Option<String> {
    let document = json!({"description": {"type": "doc", "version": 1, "content": content}});
    with_fields(&document).0.item.description.expect("a description is given")
}

/// A node with children.
fn node(kind: &str, content: &[Value]) -> Value {
    json!({"type": kind, "content": content})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text, "marks": [{"type": "link", "attrs": {"href": "https://x", "text": "no"}}]})
}

fn paragraph(of: &str) -> Value {
    node("paragraph", &[text(of)])
}

fn leaf(kind: &str, attributes: &Value) -> Value {
    json!({"type": kind, "attrs": attributes})
}

#[test]
fn what_stands_within_a_line_has_its_text() {
    for (leaf, expected) in [
        (json!({"type": "hardBreak"}), "<\n>"),
        (leaf("mention", &json!({"id": "5", "text": "@Ann"})), "<@Ann>"),
        (leaf("mention", &json!({"id": "5"})), "<@5>"),
        (leaf("mention", &json!({})), "<>"),
        (leaf("emoji", &json!({"shortName": ":x:", "text": "\u{1f600}"})), "<\u{1f600}>"),
        (leaf("emoji", &json!({"shortName": ":x:"})), "<:x:>"),
        (leaf("date", &json!({"timestamp": "1582152559000"})), "<2020-02-19>"),
        (leaf("date", &json!({"timestamp": -1})), "<1969-12-31>"),
        (leaf("date", &json!({"timestamp": "soon"})), "<>"),
        (leaf("status", &json!({"text": "DONE", "color": "green"})), "<DONE>"),
        (leaf("inlineCard", &json!({"url": "https://a/b"})), "<https://a/b>"),
        (leaf("inlineCard", &json!({"data": {}})), "<>"),
        (leaf("mediaInline", &json!({"alt": "pic", "id": "1"})), "<pic>"),
        (leaf("inlineSomething", &json!({"text": "hidden"})), "<>"),
        (json!({"type": "inlineSomething", "content": [text("in")]}), "<in>"),
        (json!(null), "<>"),
        (json!("text"), "<>"),
        (json!({}), "<>"),
    ] {
        let line = node("paragraph", &[text("<"), leaf.clone(), text(">")]);
        assert_eq!(description(&json!([line])).as_deref(), Some(expected), "{leaf}");
    }
}

#[test]
fn blocks_are_separated_by_one_newline() {
    let blocks = [
        node("heading", &[text("Title")]),
        node("paragraph", &[text("a"), text("b")]),
        node("codeBlock", &[text("let x;\nlet y;")]),
        node("blockquote", &[paragraph("q1"), paragraph("q2")]),
        node("panel", &[paragraph("p")]),
        node("expand", &[paragraph("e")]),
        json!({"type": "rule"}),
        node(
            "layoutSection",
            &[node("layoutColumn", &[paragraph("left")]), node("layoutColumn", &[paragraph("right")])],
        ),
        node("mediaSingle", &[leaf("media", &json!({"alt": "pic"})), node("caption", &[text("cap")])]),
        leaf("blockCard", &json!({"url": "https://c"})),
        leaf("embedCard", &json!({"url": "https://d"})),
        node("brandNewBlock", &[paragraph("x"), paragraph("y")]),
        node("brandNewBlock", &[text("z"), text("z")]),
    ];
    let expected =
        "Title\nab\nlet x;\nlet y;\nq1\nq2\np\ne\n---\nleft\nright\npic\ncap\nhttps://c\nhttps://d\nx\ny\nzz";
    assert_eq!(description(&json!(blocks)).as_deref(), Some(expected));
}

#[test]
fn lists_have_marks_and_nested_ones_are_indented() {
    let item = |content: &[Value]| node("listItem", content);
    let innermost = json!({"type": "orderedList", "attrs": {"order": 9}, "content": [item(&[paragraph("n")]), item(&[paragraph("t")])]});
    let inner = node("bulletList", &[item(&[paragraph("i"), innermost]), item(&[paragraph("j")])]);
    let ordered = node("orderedList", &[item(&[paragraph("a"), inner, paragraph("after")]), item(&[paragraph("b")])]);
    let tasks = node(
        "taskList",
        &[node("taskItem", &[text("do "), text("it")]), node("taskList", &[node("taskItem", &[text("part")])])],
    );
    let decisions = node("decisionList", &[node("decisionItem", &[text("so")])]);
    let expected = "1. a\n  - i\n    9. n\n    10. t\n  - j\nafter\n2. b\n- do it\n  - part\n- so";
    assert_eq!(description(&json!([ordered, tasks, decisions])).as_deref(), Some(expected));
}

#[test]
fn a_table_has_a_line_for_each_row() {
    let cell = |kind: &str, of: &str| node(kind, &[paragraph(of)]);
    let table = node(
        "table",
        &[
            node("tableRow", &[cell("tableHeader", "A"), cell("tableHeader", "B")]),
            node("tableRow", &[cell("tableCell", "1"), node("tableCell", &[])]),
        ],
    );
    assert_eq!(description(&json!([paragraph("t"), table])).as_deref(), Some("t\nA | B\n1 |"));
}

#[test]
fn nothing_is_null_and_white_space_at_the_end_is_gone() {
    assert_eq!(description(&json!([])), None);
    assert_eq!(description(&json!(null)), None);
    assert_eq!(description(&json!([node("paragraph", &[]), node("paragraph", &[text("  \n")])])), None);
    assert_eq!(
        description(&json!([paragraph("a "), node("paragraph", &[]), paragraph(" b \t"), node("paragraph", &[])]))
            .as_deref(),
        Some("a \n\n b")
    );
    for (value, expected) in
        [(json!({"type": "other"}), None), (json!(5), None), (json!(""), Some(None)), (json!(null), Some(None))]
    {
        assert_eq!(with_fields(&json!({"description": value})).0.item.description, expected, "{value}");
    }
}
