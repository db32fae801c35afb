//! Lenient, typed reading of documents that other systems wrote.
//!
//! A document is read in one pass into structures that name what is used; everything else is skipped without being kept. What
//! has an unexpected type becomes a value that says so, instead of an error that would cost the whole document. Texts and ids
//! are borrowed from the document.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::value::RawValue;

use super::rows::Given;

mod dates;
mod shapes;

pub use dates::{Moment, moment};
pub(crate) use shapes::everything_else_is;
pub use shapes::{Element, List};

/// Deepest nesting that is accepted, in levels.
pub const DEEPEST: usize = 128;

/// Any JSON value, unread until somebody asks for it as something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scalar<'a>(Option<&'a RawValue>);

impl<'a> Scalar<'a> {
    /// Whether the key is there, be it with `null`.
    pub const fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the key is there with `null`.
    pub fn is_null(&self) -> bool {
        self.0.is_some_and(|raw| raw.get() == "null")
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        self.0.is_some_and(|raw| raw.get() == "true")
    }

    /// Whether it is an object with nothing in it.
    pub fn is_empty_object(&self) -> bool {
        self.0.is_some_and(|raw| raw.get().starts_with('{') && is_empty(raw.get()))
    }

    /// The value as it is written, where the key is there.
    pub fn json(&self) -> Option<&'a str> {
        self.0.map(RawValue::get)
    }

    /// The text, where it is a string.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let raw = self.0?.get();
        raw.starts_with('"').then(|| serde_json::from_str::<Text<'a>>(raw).ok().map(|text| text.0))?
    }

    /// The text, where it is a string with something in it.
    pub fn filled_text(&self) -> Option<Cow<'a, str>> {
        self.text().filter(|text| !text.is_empty())
    }

    /// What the key says of a column of text: an explicit null clears it; an absent key, or what is no text, leaves it alone.
    pub fn given_text(&self) -> Given<String> {
        let text = self.text().map(Cow::into_owned);
        (text.is_some() || self.is_null()).then_some(text)
    }

    /// An external id: a string as it is, a number digit by digit as it was written.
    pub fn id(&self) -> Option<Cow<'a, str>> {
        let raw = self.0?.get();
        match raw.as_bytes().first()? {
            b'"' => self.filled_text(),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
            _ => None,
        }
    }

    /// The truth value, where it is one.
    pub fn flag(&self) -> Option<bool> {
        self.0?.get().parse().ok()
    }

    /// The value as something else.
    pub fn read_as<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.0?.get()).ok()
    }

    /// The value as an object of a known type, where it is an object.
    pub fn object<T: Deserialize<'a>>(&self) -> Option<T> {
        self.read_as::<Element<T>>()?.read()
    }

    /// The number, where it is a whole one that fits.
    pub fn int(&self) -> Option<i32> {
        self.0?.get().parse().ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

/// A string, borrowed where it holds no escape.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Read)
    }
}

/// Whether the document says nothing at all: `null`, `{}` or `[]`.
pub fn is_empty(document: &str) -> bool {
    document.len() <= 64
        && matches!(
            document.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>().as_str(),
            "null" | "{}" | "[]"
        )
}

/// Whether a document is nested deeper than [`DEEPEST`] levels. What is skipped is not read, so the reader itself would not see.
pub fn is_too_deep(document: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in document.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample<'a> {
        #[serde(borrow, default)]
        id: Scalar<'a>,
        #[serde(borrow, default)]
        list: List<Element<Inner<'a>>>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner<'a> {
        #[serde(borrow, default)]
        name: Scalar<'a>,
    }

    fn id(json: &str) -> Option<String> {
        let document = format!("{{\"id\":{json}}}");
        let sample: Sample<'_> = serde_json::from_str(&document).unwrap();
        sample.id.id().map(Cow::into_owned)
    }

    #[test]
    fn an_id_is_the_same_text_as_number_and_as_string_and_is_never_rounded() {
        for (json, text) in [
            ("10001", "10001"),
            ("\"10001\"", "10001"),
            ("9007199254740993", "9007199254740993"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("\"a\\u00e9\"", "a\u{e9}"),
        ] {
            assert_eq!(id(json).as_deref(), Some(text));
        }
        for json in ["null", "\"\"", "{}", "[1]", "true"] {
            assert_eq!(id(json), None, "{json}");
        }
    }

    #[test]
    fn an_element_of_another_type_costs_only_itself() {
        let document = r#"{"list":[{"name":"a","x":[[]]},null,3,"s",[{}],{"name":{"b":1}},true,-1.5]}"#;
        let sample: Sample<'_> = serde_json::from_str(document).unwrap();
        let List::Items(items) = sample.list else { panic!() };
        let names: Vec<_> = items.into_iter().map(|item| item.read().map(|inner| inner.name.text())).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], Some(Some(Cow::Borrowed("a"))));
        assert_eq!(names[5], Some(None));
        assert!(names.iter().enumerate().all(|(n, name)| name.is_some() == (n == 0 || n == 5)));
        for (json, other) in [("null", false), ("{\"a\":1}", true), ("3", true), ("\"x\"", true)] {
            let document = format!("{{\"list\":{json}}}");
            let sample: Sample<'_> = serde_json::from_str(&document).unwrap();
            assert_eq!(matches!(sample.list, List::Other), other, "{json}");
        }
    }

    #[test]
    fn the_empty_forms_and_the_depth_are_seen_in_the_text() {
        assert!([" null", "{ }", "[\n]", "{}"].into_iter().all(is_empty));
        assert!(!["{\"a\":1}", "0", "\"\"", "[null]"].into_iter().any(is_empty));
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(&nested(DEEPEST)));
        assert!(is_too_deep(&nested(DEEPEST + 1)));
        assert!(!is_too_deep(&format!("[\"{}\\\"{}\"]", "[".repeat(500), "{".repeat(500))));
    }
}
