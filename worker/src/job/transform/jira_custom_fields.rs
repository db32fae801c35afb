//! `jira_custom_fields`: what Jira's createmeta says about projects, their work item types and the fields of those.
//!
//! Three shapes are read: `projects` with `issuetypes` whose `fields` is an object by field id; the same lists as `values` and
//! `issueTypes`; and `fields` as an array. Where an element comes several times, the first one that can be used counts.

use std::{borrow::Cow, collections::btree_map::Entry, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{self, Element, List, Scalar, Text, everything_else_is},
    registry::{DataType, PayloadShape, Transformed},
    rows::{CustomField, Key, Project, ProjectWit, Scope, Wit},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "jira_custom_fields",
    aliases: &[],
    seeks: Tables::NONE,
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Projects, Table::Wits, Table::Fields]),
    transform,
};

const CUSTOM: &str = "customfield_";

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    projects: List<Element<ProjectMeta<'a>>>,
    #[serde(borrow, default)]
    values: List<Element<ProjectMeta<'a>>>,
}

#[derive(Deserialize)]
struct ProjectMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    key: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    issuetypes: List<Element<TypeMeta<'a>>>,
    #[serde(borrow, default, rename = "issueTypes")]
    issue_types: List<Element<TypeMeta<'a>>>,
}

#[derive(Deserialize)]
struct TypeMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    description: Scalar<'a>,
    #[serde(borrow, default, rename = "hierarchyLevel")]
    hierarchy_level: Scalar<'a>,
    #[serde(borrow, default)]
    fields: Fields<'a>,
}

#[derive(Deserialize)]
struct FieldMeta<'a> {
    #[serde(borrow, default, rename = "fieldId")]
    field_id: Scalar<'a>,
    #[serde(borrow, default)]
    key: Scalar<'a>,
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

/// The fields of one type by their ids, only those that an administrator of Jira has added.
#[derive(Default)]
struct Fields<'a>(Vec<(Cow<'a, str>, Element<FieldMeta<'a>>)>);

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
                    if id.starts_with(CUSTOM) {
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
                    let id = item.as_read().and_then(|field| field.field_id.id().or_else(|| field.key.id()));
                    if let Some(id) = id.filter(|id| id.starts_with(CUSTOM)) {
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

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let scope = context.scope;
    let wrong = |what: &str| PayloadShape(format!("the document of jira_custom_fields {what}"));
    if reading::is_empty(document) {
        return Ok(Transformed::default());
    }
    if reading::is_too_deep(document) {
        return Err(wrong("is nested deeper than 128 levels"));
    }
    let root: Element<Document<'_>> = serde_json::from_str(document)
        .map_err(|error| wrong(&format!("cannot be read (column {})", error.column())))?;
    let Document { projects, values } = root.read().ok_or_else(|| wrong("is not an object"))?;
    let projects = match (projects, values) {
        (List::Items(projects), _) | (List::Nothing, List::Items(projects)) => projects,
        (List::Nothing, List::Nothing) if names_a_list(document) => return Ok(Transformed::default()),
        _ => return Err(wrong("has no list of projects under \"projects\" or \"values\"")),
    };
    let mut result = Transformed::default();
    let (given, mut usable) = (projects.len(), 0);
    for project in projects {
        usable += usize::from(add_project(project.read(), scope, &mut result));
    }
    if given > 0 && usable == 0 {
        return Err(wrong(&format!("lists {given} projects, none of them with id, key and name")));
    }
    if !result.rows.custom_fields.is_empty() {
        result.rows.custom_fields_mappings.insert(scope);
    }
    Ok(result)
}

/// Whether one of the two lists is there with `null`, which says that there are no projects.
fn names_a_list(document: &str) -> bool {
    #[derive(Deserialize)]
    struct Lists<'a> {
        #[serde(borrow, default)]
        projects: Scalar<'a>,
        #[serde(borrow, default)]
        values: Scalar<'a>,
    }
    serde_json::from_str::<Lists<'_>>(document)
        .is_ok_and(|lists| lists.projects.is_present() || lists.values.is_present())
}

/// Adds a project with all that it holds; `false` where it cannot be used.
fn add_project(project: Option<ProjectMeta<'_>>, scope: Scope, into: &mut Transformed) -> bool {
    let Some(project) = project else {
        into.warnings.add("unusable_project", None);
        return false;
    };
    let id = project.id.id();
    let (Some(id), Some(key), Some(name)) = (&id, project.key.filled_text(), project.name.filled_text()) else {
        into.warnings.add("unusable_project", id.as_deref());
        return false;
    };
    into.rows.projects.entry(Key { scope, external_id: id.to_string() }).or_insert_with(|| Project {
        key: key.into_owned(),
        name: name.into_owned(),
        project_type: None,
    });
    let types = match (project.issuetypes, project.issue_types) {
        (List::Items(types), _) | (_, List::Items(types)) => types,
        (List::Nothing, List::Nothing) => Vec::new(),
        _ => {
            into.warnings.add("unusable_type", None);
            Vec::new()
        }
    };
    for kind in types {
        add_type(kind.read(), id, scope, into);
    }
    true
}

fn add_type(kind: Option<TypeMeta<'_>>, project: &str, scope: Scope, into: &mut Transformed) {
    let Some(kind) = kind else {
        return into.warnings.add("unusable_type", None);
    };
    let id = kind.id.id();
    let (Some(id), Some(name)) = (&id, kind.name.filled_text()) else {
        return into.warnings.add("unusable_type", id.as_deref());
    };
    let description = kind.description.text().map(Cow::into_owned);
    into.rows.wits.entry(Key { scope, external_id: id.to_string() }).or_insert_with(|| Wit {
        original_name: name.into_owned(),
        // An explicit null clears the column, an absent key or something unreadable leaves it alone.
        description: (description.is_some() || kind.description.is_null()).then_some(description),
        hierarchy_level: kind.hierarchy_level.int(),
    });
    into.rows.projects_wits.insert(ProjectWit { scope, project: project.to_owned(), wit: id.to_string() });
    for (field_id, field) in kind.fields.0 {
        add_field(&field_id, field.read(), scope, into);
    }
}

fn add_field(id: &str, field: Option<FieldMeta<'_>>, scope: Scope, into: &mut Transformed) {
    let Entry::Vacant(place) = into.rows.custom_fields.entry(Key { scope, external_id: id.to_owned() }) else {
        return;
    };
    let Some((field, name)) = field.and_then(|field| field.name.filled_text().map(|name| (field, name))) else {
        return into.warnings.add("unusable_field", Some(id));
    };
    let operations = match field.operations {
        List::Items(items) => serde_json::to_string(&items.iter().filter_map(Scalar::text).collect::<Vec<_>>()).ok(),
        List::Nothing | List::Other => None,
    };
    place.insert(CustomField {
        name: name.into_owned(),
        default_type: "string",
        field_type: field.schema.read().and_then(|schema| schema.kind.filled_text()).map(Cow::into_owned),
        operations,
    });
}
