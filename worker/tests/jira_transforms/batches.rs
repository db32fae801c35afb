//! Whatever a batch of Jira's documents contains and wherever it is split, the tables end up the same. The model does in memory
//! what the statements do in the database.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use transform_worker::job::{
    RowSet, registry,
    rows::{Key, Link, LinkKey, NO_CATEGORY, ProjectName, Report},
};

use crate::transforming::scope;

type Text = Option<String>;

#[derive(Debug, Clone, PartialEq, Default)]
struct Tables {
    projects: BTreeMap<String, (String, String, Text)>,
    fields: BTreeMap<String, (String, String)>,
    statuses: BTreeMap<String, (String, String, Text)>,
    relations: BTreeSet<(ProjectName, String)>,
    links: BTreeMap<LinkKey, Link>,
    sprints: BTreeMap<String, Report>,
    memberships: BTreeMap<(String, String), String>,
}

impl Tables {
    fn write(&mut self, rows: &RowSet) {
        for (Key { external_id, .. }, row) in &rows.projects {
            let old = self.projects.get(external_id).and_then(|old| old.2.clone());
            let kind = row.project_type.clone().unwrap_or(old);
            self.projects.insert(external_id.clone(), (row.key.clone(), row.name.clone(), kind));
        }
        for (Key { external_id, .. }, row) in &rows.custom_fields {
            let old = self.fields.get(external_id).map(|old| old.1.clone());
            let kind = row.field_type.clone().or(old).unwrap_or_else(|| row.default_type.to_owned());
            self.fields.insert(external_id.clone(), (row.name.clone(), kind));
        }
        for (Key { external_id, .. }, row) in &rows.statuses {
            let old = self.statuses.get(external_id).cloned();
            let category =
                row.category.clone().or(old.clone().map(|old| old.1)).unwrap_or_else(|| NO_CATEGORY.to_owned());
            let description = row.description.clone().unwrap_or_else(|| old.and_then(|old| old.2));
            self.statuses.insert(external_id.clone(), (row.original_name.clone(), category, description));
        }
        // A relation finds only what is stored.
        for row in rows.projects_statuses.iter().filter(|row| self.statuses.contains_key(&row.status)) {
            self.relations.insert((row.project.clone(), row.status.clone()));
        }
        for (key, row) in &rows.links.links {
            let row = match self.links.get(key) {
                Some(old) => row.clone().over(old.clone(), &key.repo_full_name),
                None => row.clone(),
            };
            self.links.insert(key.clone(), row);
        }
        for (Key { external_id, .. }, row) in &rows.reports.reports {
            let old = self.sprints.get(external_id);
            let board = old.and_then(|old| old.board_id);
            let Some(sprint) = old.and_then(|old| old.sprint.clone()).or(row.sprint.clone()) else { continue };
            if board.is_some() && row.board_id.is_some() && board != row.board_id {
                continue;
            }
            let stored = Report { board_id: board.or(row.board_id), sprint: Some(sprint), ..row.clone() };
            self.sprints.insert(external_id.clone(), stored);
            for (issue, row) in &row.issues {
                self.memberships.insert((external_id.clone(), issue.clone()), format!("{row:?}"));
            }
        }
    }
}

fn maybe(value: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![2 => value.prop_map(Some), 1 => Just(Some(Value::Null)), 1 => Just(None)]
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(values).prop_map(Value::from)
}

/// An object with those of the keys that have a value.
fn object(pairs: Vec<(&str, Option<Value>)>) -> Value {
    pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn projects() -> impl Strategy<Value = Value> {
    let project =
        (1_u32..4, one_of(&["A", "B"]), maybe(one_of(&["software", "business"]))).prop_map(|(id, key, kind)| {
            object(vec![
                ("id", Some(json!(id))),
                ("key", Some(key.clone())),
                ("name", Some(key)),
                ("projectTypeKey", kind),
            ])
        });
    prop::collection::vec(project, 0..3).prop_map(|projects| json!(projects))
}

fn special() -> impl Strategy<Value = Value> {
    let field = (1_u32..3, one_of(&["development", "other"]), maybe(one_of(&["any", "string"]))).prop_map(
        |(id, name, kind)| json!({"id": format!("customfield_{id}"), "name": name, "schema": {"type": kind}}),
    );
    prop::collection::vec(field, 0..3).prop_map(|fields| json!({"values": fields}))
}

fn statuses() -> impl Strategy<Value = Value> {
    let status = (1_u32..5, one_of(&["Open", "Done"]), maybe(one_of(&["new", "done", "?"])), maybe(one_of(&["d"])))
        .prop_map(|(id, name, category, description)| {
            let category = category.map(|key| if key.is_null() { key } else { json!({"key": key, "name": "Named"}) });
            object(vec![
                ("id", Some(json!(id))),
                ("name", Some(name)),
                ("statusCategory", category),
                ("description", description),
            ])
        });
    let related = prop::collection::vec((1_u32..3, prop::collection::vec(1_u32..5, 0..3)), 0..3);
    (prop::collection::vec(status, 0..3), related, any::<bool>()).prop_map(|(statuses, related, by_key)| {
        if by_key {
            return json!({"project_key": "A", "statuses": [{"id": "1", "subtask": false, "statuses": statuses}]});
        }
        let related: Vec<Value> =
            related.into_iter().map(|(id, statuses)| json!({"project_id": id, "statuses": statuses})).collect();
        json!({"statuses": statuses, "project_statuses": related})
    })
}

fn dev_status() -> impl Strategy<Value = Value> {
    let request =
        (1_u32..3, maybe(one_of(&["OPEN", "MERGED"])), maybe(one_of(&["r1", "r2"])), maybe(one_of(&["b1", "b2"])))
            .prop_map(|(number, status, repository, branch)| {
                object(vec![
                    ("url", Some(json!(format!("https://x/o/r/pull/{number}")))),
                    ("status", status),
                    ("repositoryId", repository),
                    ("source", branch.map(|branch| json!({"branch": branch}))),
                ])
            });
    (1_u32..4, prop::collection::vec(request, 0..3))
        .prop_map(|(id, requests)| json!({"issue_id": id, "dev_status": {"detail": [{"pullRequests": requests}]}}))
}

fn sprint_report() -> impl Strategy<Value = Value> {
    let sum = prop::option::of((0_u32..3).prop_map(|value| json!({"value": value})));
    (1_u32..3, prop::option::of(1_u32..3), any::<bool>(), sum, prop::collection::vec((1_u32..4, 0_usize..3), 0..4))
        .prop_map(|(id, board, named, sum, issues)| {
            let list = |n: usize| -> Vec<Value> {
                issues
                    .iter()
                    .filter(|issue| issue.1 == n)
                    .map(|issue| json!({"key": format!("K-{}", issue.0)}))
                    .collect()
            };
            let sprint = if named { json!({"name": format!("S{id}"), "state": "CLOSED"}) } else { json!(null) };
            json!({"sprint_id": id, "board_id": board, "sprint_report": {"sprint": sprint, "contents": {
                "completedIssues": list(0), "issuesNotCompletedInCurrentSprint": list(1), "puntedIssues": list(2),
                "allIssuesEstimateSum": sum, "completedIssuesEstimateSum": {"value": 1}}}})
        })
}

const KINDS: usize = 5;

/// Of one data type, or of any.
fn document(kind: usize) -> BoxedStrategy<RowSet> {
    let of = |kind: &'static str| {
        move |document: Value| {
            let data_type = registry::find(kind).unwrap();
            (data_type.transform)(&document.to_string(), &scope().into()).map(|result| result.rows).unwrap_or_default()
        }
    };
    match kind {
        0 => projects().prop_map(of("jira_projects_and_issue_types")).boxed(),
        1 => special().prop_map(of("jira_special_fields")).boxed(),
        2 => statuses().prop_map(of("jira_statuses_and_relationships")).boxed(),
        3 => dev_status().prop_map(of("jira_dev_status")).boxed(),
        4 => sprint_report().prop_map(of("jira_sprint_reports")).boxed(),
        _ => (0..KINDS).prop_flat_map(document).boxed(),
    }
}

/// Of one data type, so that many are about the same things, or of all.
fn documents() -> impl Strategy<Value = Vec<RowSet>> {
    (0..=KINDS).prop_flat_map(|kind| prop::collection::vec(document(kind), 1..12))
}

fn all_of(documents: &[RowSet]) -> Tables {
    let mut tables = Tables::default();
    for rows in documents {
        tables.write(rows);
    }
    tables
}

proptest! {
    #[test]
    fn any_split_into_batches_gives_the_same_tables(
        documents in documents(),
        cuts in prop::collection::vec(prop::bool::weighted(0.2), 12),
    ) {
        let (mut in_batches, mut batch) = (Tables::default(), RowSet::default());
        for (rows, cut) in documents.iter().zip(&cuts) {
            if batch.clashes_with(rows) || *cut {
                in_batches.write(&std::mem::take(&mut batch));
            }
            batch.merge(rows.clone());
        }
        in_batches.write(&batch);
        prop_assert_eq!(in_batches, all_of(&documents));
    }

    #[test]
    fn the_same_document_again_changes_nothing(rows in document(KINDS)) {
        prop_assert!(!rows.clashes_with(&rows.clone()));
        let mut twice_in_one = rows.clone();
        twice_in_one.merge(rows.clone());
        prop_assert_eq!(&twice_in_one, &rows);
        prop_assert_eq!(all_of(&[rows.clone(), rows.clone()]), all_of(&[rows]));
    }

    #[test]
    fn fields_and_projects_may_come_in_either_order(one in special(), other in projects()) {
        let of = |kind: &str, document: &Value| {
            let data_type = registry::find(kind).unwrap();
            (data_type.transform)(&document.to_string(), &scope().into()).map(|result| result.rows).unwrap_or_default()
        };
        let (one, other) = (of("jira_special_fields", &one), of("jira_projects_and_issue_types", &other));
        let both = |first: &RowSet, second: &RowSet| {
            let mut batch = first.clone();
            batch.merge(second.clone());
            batch
        };
        prop_assert_eq!(both(&one, &other), both(&other, &one));
    }
}
