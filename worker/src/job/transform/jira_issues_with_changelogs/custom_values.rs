//! The columns that an administrator has mapped.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    adf,
    fields::{Fields, Named},
};
use crate::job::{
    FieldMapping,
    reading::Scalar,
    registry::Transformed,
    rows::{Number, WorkItem},
};

/// Fills the mapped columns; without a mapping none of them is touched.
pub(super) fn fill(
    item: &mut WorkItem,
    fields: &Fields<'_>,
    mapping: Option<&FieldMapping>,
    id: &str,
    into: &mut Transformed,
) {
    let Some(mapping) = mapping else { return };
    let mapped = |name: &Option<String>| name.as_deref().map(|name| fields.get(name)).filter(Scalar::is_present);
    item.team = mapped(&mapping.team).map(|field| team(&field));
    item.story_points = mapped(&mapping.story_points).map(|field| {
        let read = number(&field);
        if read.is_none() && !field.is_null() {
            into.warnings.add("bad_number", Some(id));
        }
        read
    });
    item.development = mapped(&mapping.development).map(|field| !is_empty(&field));
    for (column, name) in item.custom.iter_mut().zip(&mapping.custom) {
        *column = mapped(name).map(|field| field.json().and_then(text));
    }
}

fn team(field: &Scalar<'_>) -> Option<String> {
    if let Some(name) = field.text() {
        return Some(name.into_owned());
    }
    let object = Named::of(field)?;
    object.name.filled_text().or_else(|| object.value.filled_text()).map(Cow::into_owned)
}

/// A number, or a string that holds one.
pub(super) fn number(field: &Scalar<'_>) -> Option<Number> {
    field.id().and_then(|text| Number::parse(&text))
}

/// Whether the development field tells of nothing. What it holds otherwise is no JSON, and is not looked into.
fn is_empty(field: &Scalar<'_>) -> bool {
    if let Some(text) = field.text() {
        return matches!(text.trim(), "" | "{}" | "[]" | "\"\"");
    }
    let Some(json) = field.json() else { return true };
    json == "null" || (json.len() <= 64 && matches!(without_spaces(json).as_str(), "{}" | "[]"))
}

fn without_spaces(json: &str) -> String {
    json.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}

/// Any value as a text for people.
fn text(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b't' | b'f' => Some(json.to_owned()),
        b'[' => {
            let items: Vec<Scalar<'_>> = serde_json::from_str(json).ok()?;
            let texts: Vec<String> = items.iter().filter_map(|item| item.json().and_then(text)).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        b'{' => object(json),
        b'-' | b'0'..=b'9' => Some(whole(json).to_owned()),
        _ => None,
    }
}

/// A number as it is written, without a fraction that says nothing.
fn whole(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => number,
    }
}

fn object(json: &str) -> Option<String> {
    let named: Named<'_> = serde_json::from_str(json).ok()?;
    if named.is_document() {
        return adf::text(json);
    }
    if let Some(name) = named.display_name.filled_text().or_else(|| named.name.filled_text()) {
        return Some(name.into_owned());
    }
    let Some(chosen) = plain(&named.value) else {
        let mut out = String::new();
        sorted(json, &mut out);
        return Some(out);
    };
    // A choice within a choice.
    let child = Named::of(&named.child).and_then(|child| plain(&child.value));
    Some(child.map_or_else(|| chosen.clone(), |child| format!("{chosen} / {child}")))
}

fn plain(value: &Scalar<'_>) -> Option<String> {
    value.json().filter(|json| !json.starts_with(['{', '['])).and_then(text).filter(|text| !text.is_empty())
}

/// JSON without spaces and with sorted keys; numbers stay as they are written.
fn sorted(json: &str, out: &mut String) {
    let separated = |out: &mut String, first: &mut bool| {
        if !std::mem::take(first) {
            out.push(',');
        }
    };
    let mut first = true;
    match json.as_bytes().first() {
        Some(b'{') => {
            out.push('{');
            let members: BTreeMap<String, Scalar<'_>> = serde_json::from_str(json).unwrap_or_default();
            for (key, value) in members {
                separated(out, &mut first);
                out.push_str(&serde_json::Value::from(key).to_string());
                out.push(':');
                sorted(value.json().unwrap_or("null"), out);
            }
            out.push('}');
        }
        Some(b'[') => {
            out.push('[');
            for value in serde_json::from_str::<Vec<Scalar<'_>>>(json).unwrap_or_default() {
                separated(out, &mut first);
                sorted(value.json().unwrap_or("null"), out);
            }
            out.push(']');
        }
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(text) => out.push_str(&serde_json::Value::from(text).to_string()),
            Err(_) => out.push_str(json),
        },
        _ => out.push_str(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_has_a_text() {
        for (json, expected) in [
            ("null", None),
            (r#""  as it is ""#, Some("  as it is ")),
            (r#""""#, Some("")),
            ("5", Some("5")),
            ("5.0", Some("5")),
            ("-5.000", Some("-5")),
            ("5.50", Some("5.50")),
            ("9007199254740993", Some("9007199254740993")),
            ("1.0e5", Some("1.0e5")),
            ("true", Some("true")),
            ("false", Some("false")),
            (r#"{"displayName":"Ann","name":"ann"}"#, Some("Ann")),
            (r#"{"displayName":null,"name":"ann","value":"x"}"#, Some("ann")),
            (r#"{"value":"A","id":"1"}"#, Some("A")),
            (r#"{"value":"A","child":{"value":"B"}}"#, Some("A / B")),
            (r#"{"value":"A","child":null}"#, Some("A")),
            (r#"{"value":7.0}"#, Some("7")),
            (
                r#"{ "b" : [1.50, {"d":"\u00e9\"", "c":null}], "a": 9007199254740993 }"#,
                Some("{\"a\":9007199254740993,\"b\":[1.50,{\"c\":null,\"d\":\"\u{e9}\\\"\"}]}"),
            ),
            ("{}", Some("{}")),
            ("[]", None),
            ("[null]", None),
            (r#"["a",null,{"value":"b"},3.0,["c","d"]]"#, Some("a, b, 3, c, d")),
            (
                r#"{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"t"}]}]}"#,
                Some("t"),
            ),
            (r#"{"type":"doc","version":1,"content":[]}"#, None),
        ] {
            assert_eq!(text(json).as_deref(), expected, "{json}");
        }
    }
}
