//! Custom fields, as several of Jira's answers describe them.

use std::{borrow::Cow, collections::btree_map::Entry, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::job::{
    reading::{Element, List, Scalar, Text, everything_else_is},
    registry::Transformed,
    rows::{CustomField, Key, Scope},
};

const CUSTOM: &str = "customfield_";

#[derive(Deserialize)]
pub(super) struct FieldMeta<'a> {
    #[serde(borrow, default, rename = "fieldId")]
    field_id: Scalar<'a>,
    #[serde(borrow, default)]
    key: Scalar<'a>,
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    schema: Element<Schema<'a>>,
    #[serde(borrow, default)]
    operations: List<Scalar<'a>>,
}

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Scalar<'a>,
}

impl<'a> FieldMeta<'a> {
    /// The field's id, under whichever name it comes.
    pub(super) fn external_id(&self) -> Option<Cow<'a, str>> {
        [&self.field_id, &self.key, &self.id].into_iter().find_map(Scalar::id)
    }
}

/// Whether an administrator of Jira has added the field.
pub(super) fn is_custom(id: &str) -> bool {
    id.starts_with(CUSTOM)
}

/// The fields of one type by their ids, only those that an administrator of Jira has added.
#[derive(Default)]
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, Element<FieldMeta<'a>>)>);

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
                while let Some(Text(id)) = map.next_key()? {
                    if is_custom(&id) {
                        fields.push((id, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Fields(fields))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(item) = items.next_element::<Element<FieldMeta<'de>>>()? {
                    let id = item.as_read().and_then(FieldMeta::external_id);
                    if let Some(id) = id.filter(|id| is_custom(id)) {
                        fields.push((id, item));
                    }
                }
                Ok(Fields(fields))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Fields::default())
            }

            everything_else_is!(Fields::default());
        }
        deserializer.deserialize_any(Read)
    }
}

/// Adds a custom field unless there is one of this id already; `false` where it cannot be used. A new field whose type is not
/// given gets the default one.
pub(super) fn add(
    id: &str,
    field: Option<FieldMeta<'_>>,
    default_type: &'static str,
    scope: Scope,
    into: &mut Transformed,
) -> bool {
    let Entry::Vacant(place) = into.rows.custom_fields.entry(Key { scope, external_id: id.to_owned() }) else {
        return true;
    };
    let Some((field, name)) = field.and_then(|field| field.name.filled_text().map(|name| (field, name))) else {
        into.warnings.add("unusable_field", Some(id));
        return false;
    };
    let operations = match field.operations {
        List::Items(items) => serde_json::to_string(&items.iter().filter_map(Scalar::text).collect::<Vec<_>>()).ok(),
        List::Nothing | List::Other => None,
    };
    place.insert(CustomField {
        name: displayed(name),
        default_type,
        field_type: field.schema.read().and_then(|schema| schema.kind.filled_text()).map(Cow::into_owned),
        operations,
    });
    into.rows.custom_fields_mappings.insert(scope);
    true
}

/// Jira calls one field by a name in lower case. Changed wherever fields are read, or the name would depend on which answer
/// came last.
fn displayed(name: Cow<'_, str>) -> String {
    if name == "development" { "Development".to_owned() } else { name.into_owned() }
}
