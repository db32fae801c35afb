//! The fields of an issue by their names, as Jira gives them: each of them may be absent, null or something unexpected.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use crate::job::{
    reading::{Scalar, Text, everything_else_is},
    rows::Given,
};

/// All fields, sorted by name; nothing where there is no object of them.
#[derive(Default)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Scalar<'a>)>);

impl<'a> Fields<'a> {
    /// The field of this name.
    pub(super) fn get(&self, name: &str) -> Scalar<'a> {
        let found = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name));
        found.map_or_else(|_| Scalar::default(), |at| self.0[at].1)
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Given<String> {
        let field = self.get(name);
        given(&field, field.text().map(Cow::into_owned))
    }

    /// What one key of an object says; an object without it says that there is nothing.
    pub(super) fn key_of<'k>(&self, name: &str, key: impl Fn(&Named<'a>) -> Option<Cow<'k, str>>) -> Given<String> {
        let field = self.get(name);
        if field.is_null() {
            return Some(None);
        }
        Named::of(&field).map(|object| key(&object).map(Cow::into_owned))
    }
}

/// What a field says: something unreadable says nothing.
fn given<T>(field: &Scalar<'_>, read: Option<T>) -> Given<T> {
    (read.is_some() || field.is_null()).then_some(read)
}

/// An object by the keys that name it in one way or another.
#[derive(Deserialize)]
pub(super) struct Named<'a> {
    #[serde(borrow, default)]
    pub(super) id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) name: Scalar<'a>,
    #[serde(borrow, default, rename = "displayName")]
    pub(super) display_name: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) value: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) child: Scalar<'a>,
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Scalar<'a>,
}

impl<'a> Named<'a> {
    /// The object, where the value is one.
    pub(super) fn of(value: &Scalar<'a>) -> Option<Self> {
        value.json().filter(|json| json.starts_with('{')).and_then(|json| serde_json::from_str(json).ok())
    }

    /// Whether it is a document in Atlassian's format.
    pub(super) fn is_document(&self) -> bool {
        self.kind.text().as_deref() == Some("doc")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                Ok(Fields(fields))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Fields::default())
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Fields::default())
            }

            everything_else_is!(Fields::default());
        }
        deserializer.deserialize_any(Read)
    }
}
