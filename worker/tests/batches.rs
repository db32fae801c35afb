//! Whatever a batch contains and wherever it is split, the tables end up the same.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use transform_worker::job::{RowSet, Scope, registry, rows::Key};

/// The tables as the statements would leave them: what is not given is defaulted for a new row and kept for an old one.
#[derive(Debug, Clone, PartialEq, Default)]
struct Tables {
    projects: BTreeMap<Key, (String, String)>,
    wits: BTreeMap<Key, (String, Option<String>, i32)>,
    projects_wits: BTreeSet<(Scope, String, String)>,
    custom_fields: BTreeMap<Key, (String, String, String)>,
    mappings: BTreeSet<Scope>,
}

impl Tables {
    fn write(&mut self, rows: &RowSet) {
        for (key, row) in &rows.projects {
            self.projects.insert(key.clone(), (row.key.clone(), row.name.clone()));
        }
        for (key, row) in &rows.wits {
            let old = self.wits.get(key);
            let description =
                row.description.clone().unwrap_or_else(|| old.map_or(Some(String::new()), |old| old.1.clone()));
            let level = row.hierarchy_level.unwrap_or_else(|| old.map_or(0, |old| old.2));
            self.wits.insert(key.clone(), (row.original_name.clone(), description, level));
        }
        for row in &rows.projects_wits {
            self.projects_wits.insert((row.scope, row.project.clone(), row.wit.clone()));
        }
        for (key, row) in &rows.custom_fields {
            let old = self.custom_fields.get(key);
            let kind =
                row.field_type.clone().or(old.map(|old| old.1.clone())).unwrap_or_else(|| row.default_type.to_owned());
            let operations = row.operations.clone().or(old.map(|old| old.2.clone())).unwrap_or_else(|| "[]".to_owned());
            self.custom_fields.insert(key.clone(), (row.name.clone(), kind, operations));
        }
        self.mappings.extend(&rows.custom_fields_mappings);
    }
}

fn name() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => prop::sample::select(vec!["Bug", "Story", "a", "\u{fc}\"'"]).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!(3)),
    ]
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let id = prop::sample::select(vec!["customfield_1", "customfield_2", "customfield_10024", "summary"]);
    let schema = prop::sample::select(vec![json!(null), json!({}), json!({"type": "number"}), json!({"type": "any"})]);
    let operations = prop::sample::select(vec![json!(null), json!([]), json!(["set"]), json!("x")]);
    (id, name(), schema, operations, any::<bool>()).prop_map(|(id, name, schema, operations, sparse)| {
        let whole = json!({"name": name, "schema": schema, "operations": operations});
        (id.to_owned(), if sparse { json!({"name": name}) } else { whole })
    })
}

fn issue_type() -> impl Strategy<Value = Value> {
    let description = prop::option::of(prop::sample::select(vec![json!(null), json!("d"), json!("e"), json!({})]));
    let level = prop::option::of(prop::sample::select(vec![json!(-1), json!(0), json!(1), json!(null)]));
    (1_u32..4, name(), description, level, prop::collection::vec(field(), 0..3)).prop_map(
        |(id, name, description, level, fields)| {
            let fields: serde_json::Map<String, Value> = fields.into_iter().collect();
            let mut kind = json!({"id": id.to_string(), "name": name, "fields": fields});
            for (name, value) in [("description", description), ("hierarchyLevel", level)] {
                if let Some(value) = value {
                    kind[name] = value;
                }
            }
            kind
        },
    )
}

fn document() -> impl Strategy<Value = Value> {
    let project = (1_u32..4, name(), prop::collection::vec(issue_type(), 0..3))
        .prop_map(|(id, name, types)| json!({"id": id, "key": format!("K{id}"), "name": name, "issuetypes": types}));
    prop::collection::vec(project, 0..3).prop_map(|projects| json!({ "projects": projects }))
}

fn rows(document: &Value, integration: i64) -> RowSet {
    let scope = Scope { tenant: 7.try_into().unwrap(), integration };
    let data_type = registry::find("jira_custom_fields").unwrap();
    (data_type.transform)(&document.to_string(), &scope.into()).map(|result| result.rows).unwrap_or_default()
}

proptest! {
    #[test]
    fn any_split_into_batches_gives_the_same_tables(
        documents in prop::collection::vec((document(), 1_i64..3), 1..8),
        cuts in prop::collection::vec(any::<bool>(), 8),
    ) {
        let each: Vec<RowSet> = documents.iter().map(|(document, integration)| rows(document, *integration)).collect();
        let mut one_by_one = Tables::default();
        for rows in &each {
            one_by_one.write(rows);
        }

        let (mut in_batches, mut batch) = (Tables::default(), RowSet::default());
        for (rows, cut) in each.iter().zip(&cuts) {
            batch.merge(rows.clone());
            if *cut {
                in_batches.write(&std::mem::take(&mut batch));
            }
        }
        in_batches.write(&batch);
        prop_assert_eq!(in_batches, one_by_one);
    }

    #[test]
    fn the_same_document_again_changes_nothing(document in document()) {
        let rows = rows(&document, 1);
        let mut twice_in_one = rows.clone();
        twice_in_one.merge(rows.clone());
        prop_assert_eq!(&twice_in_one, &rows);
        let mut tables = Tables::default();
        tables.write(&rows);
        let once = tables.clone();
        tables.write(&rows);
        prop_assert_eq!(tables, once);
    }
}
