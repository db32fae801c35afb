//! Issues: whatever a batch contains and wherever it is split, the tables end up the same.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use transform_worker::job::{
    Context, FieldMapping, RowSet, Scope,
    reading::Moment,
    registry,
    rows::{Change, IssueRows, Key, Membership, Number, Sprint, WorkItem},
};

#[derive(Debug, Clone, PartialEq)]
struct Stored {
    added: Moment,
    removed: Option<Moment>,
    estimate: Option<Number>,
    neighbours: (Option<String>, Option<String>),
}

/// The tables as the statements would leave them.
#[derive(Debug, Clone, PartialEq, Default)]
struct Tables {
    sprints: BTreeMap<Key, Sprint>,
    work_items: BTreeMap<Key, WorkItem>,
    changelogs: BTreeMap<(String, Moment, usize, String), Change>,
    memberships: BTreeMap<(String, String), Stored>,
}

impl Tables {
    fn write(&mut self, rows: &IssueRows) {
        for (key, sprint) in &rows.sprints {
            let mut sprint = sprint.clone();
            if let Some(stored) = self.sprints.remove(key) {
                sprint.fill_from(stored);
            }
            self.sprints.insert(key.clone(), sprint);
        }
        for (key, issue) in &rows.issues {
            let mut item = issue.item.clone();
            match self.work_items.remove(key) {
                Some(stored) if item.is_news_to(&stored) => item.fill_from(stored),
                Some(stored) => item = stored,
                None => {}
            }
            self.work_items.insert(key.clone(), item);
            for (id, change) in &issue.changes {
                let key = (key.external_id.clone(), change.at, id.len(), id.clone());
                let stored = self.changelogs.get(&key).map(|stored| stored.start);
                self.changelogs.insert(key, Change { start: stored.unwrap_or(change.start), ..change.clone() });
            }
            self.start(key, issue);
        }
        for (key, issue, sprint, row) in rows.memberships() {
            self.join(key, issue.item.updated.flatten(), sprint, row);
        }
    }

    fn start(&mut self, key: &Key, issue: &transform_worker::job::rows::Issue) {
        let created = self.work_items[key].created;
        let mut before = None;
        for ((of, ..), change) in &mut self.changelogs {
            if *of != key.external_id {
                continue;
            }
            change.start = match (before, issue.coverage) {
                (Some(before), _) => Some(before),
                (None, Some(coverage)) if coverage.oldest <= change.at => created.filter(|_| !coverage.truncated),
                _ => change.start,
            };
            before = Some(change.at);
        }
    }

    fn join(&mut self, key: &Key, updated: Option<Moment>, sprint: &str, row: &Membership) {
        let sprint_key = |id: &String| Key { scope: key.scope, external_id: id.clone() };
        let Some(dates) = self.sprints.get(&sprint_key(&sprint.to_owned())) else { return };
        let item = &self.work_items[key];
        let place = (key.external_id.clone(), sprint.to_owned());
        let old = self.memberships.get(&place);
        let is_older = matches!((updated, item.updated.flatten()), (Some(new), Some(stored)) if new < stored);
        let start = dates.start_date.flatten();
        let Some(added) = row.added.or(old.map(|old| old.added)).or(start).or(item.created) else { return };
        if old.is_some() && is_older {
            return;
        }
        let known = |id: Option<String>| id.filter(|id| self.sprints.contains_key(&sprint_key(id)));
        let neighbours = match &row.neighbours {
            Some((before, after)) => (known(before.clone()), known(after.clone())),
            None => old.map(|old| old.neighbours.clone()).unwrap_or_default(),
        };
        let estimate = start.and_then(|start| match row.estimates.iter().rev().find(|(at, ..)| *at <= start) {
            Some((_, _, to)) => *to,
            None if !row.estimates.is_empty() => row.estimates[0].1,
            None => old.and_then(|old| old.estimate).or(item.story_points.flatten()),
        });
        let removed = row.removed.filter(|removed| row.added.is_some() || *removed > added);
        self.memberships.insert(place, Stored { added, removed, estimate, neighbours });
    }
}

fn day() -> impl Strategy<Value = String> {
    (1_u32..20).prop_map(|day| format!("2024-01-{day:02}T00:00:00.000+0000"))
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(Value::Null)), 4 => value.prop_map(Some)]
}

fn sprint() -> impl Strategy<Value = Value> {
    (1_u32..4, prop::sample::select(vec!["active", "closed"]), maybe(day().prop_map(Value::from))).prop_map(
        |(id, state, start)| {
            let mut sprint = json!({"id": id, "name": "S", "state": state});
            if let Some(start) = start {
                sprint["startDate"] = start;
            }
            sprint
        },
    )
}

fn entry() -> impl Strategy<Value = Value> {
    let list = || prop::sample::select(vec!["", "1", "2", "1, 2", "2, 3, 1", "3"]);
    let number = || prop::sample::select(vec!["", "1", "2.0", "x"]);
    let status = || prop::sample::select(vec!["1", "3", "5"]);
    let item = prop_oneof![
        (status(), status()).prop_map(|(from, to)| json!({"field": "status", "from": from, "to": to})),
        (list(), list())
            .prop_map(|(from, to)| json!({"field": "Sprint", "fieldId": "customfield_2", "from": from, "to": to})),
        (number(), number()).prop_map(
            |(from, to)| json!({"field": "P", "fieldId": "customfield_3", "fromString": from, "toString": to})
        ),
    ];
    // An entry never changes once it is there, so its time follows from its number.
    (1_u32..30, item).prop_map(|(id, item)| json!({"id": id.to_string(), "created": format!("2024-01-{:02}T00:00:00Z", 1 + id / 2), "items": [item]}))
}

fn issue() -> impl Strategy<Value = Value> {
    let number = maybe((1_u32..9).prop_map(Value::from));
    let sprints = maybe(prop::collection::vec(sprint(), 0..3).prop_map(Value::from));
    let fields = (maybe(day().prop_map(Value::from)), maybe(day().prop_map(Value::from)), number, sprints);
    let history = (prop::collection::vec(entry(), 0..4), any::<bool>());
    (1_u32..4, fields, history).prop_map(|(id, (created, updated, points, sprints), (mut histories, truncated))| {
        let given = [("created", created), ("updated", updated), ("customfield_3", points), ("customfield_2", sprints)];
        let fields: serde_json::Map<String, Value> =
            given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        // Jira numbers entries across issues.
        for entry in &mut histories {
            entry["id"] = json!(format!("{id}0{}", entry["id"].as_str().unwrap()));
        }
        let total = histories.len() + usize::from(truncated);
        json!({"id": id, "key": format!("K-{id}"), "fields": fields, "changelog": {"total": total, "histories": histories}})
    })
}

fn rows(issues: &[Value]) -> RowSet {
    let scope = Scope { tenant: 7.try_into().unwrap(), integration: 1 };
    let field = |n: u32| Some(format!("customfield_{n}"));
    let mapping = FieldMapping { sprints: field(2), story_points: field(3), ..FieldMapping::default() };
    let data_type = registry::find("jira_issues_with_changelogs").unwrap();
    let context = Context { scope, mapping: Some(&mapping) };
    (data_type.transform)(&json!({ "issues": issues }).to_string(), &context).unwrap().rows
}

proptest! {
    #[test]
    fn any_split_into_batches_gives_the_same_tables(
        documents in prop::collection::vec((prop::collection::vec(issue(), 1..3), any::<bool>()), 1..10),
    ) {
        let (mut one_by_one, mut in_batches, mut batch) = (Tables::default(), Tables::default(), RowSet::default());
        for (issues, cut) in &documents {
            let rows = rows(issues);
            one_by_one.write(&rows.issues);
            if *cut || batch.clashes_with(&rows) {
                in_batches.write(&std::mem::take(&mut batch).issues);
            }
            batch.merge(rows);
        }
        in_batches.write(&batch.issues);
        prop_assert_eq!(in_batches, one_by_one);
    }

    #[test]
    fn the_same_document_again_changes_nothing(issues in prop::collection::vec(issue(), 1..4)) {
        let rows = rows(&issues);
        prop_assert!(!rows.clashes_with(&rows));
        let mut twice_in_one = rows.clone();
        twice_in_one.merge(rows.clone());
        prop_assert_eq!(&twice_in_one, &rows);
        let mut tables = Tables::default();
        tables.write(&rows.issues);
        let once = tables.clone();
        tables.write(&rows.issues);
        prop_assert_eq!(tables, once);
    }

    #[test]
    fn histories_end_up_the_same_in_any_order(issues in prop::collection::vec(issue(), 1..6)) {
        let in_order = |issues: &mut dyn Iterator<Item = &Value>| {
            let mut tables = Tables::default();
            for issue in issues {
                tables.write(&rows(std::slice::from_ref(issue)).issues);
            }
            // The time of an entry is known from any document; what a document says of the beginning is its own.
            let entries = tables.changelogs.into_iter().map(|(key, change)| (key, change.start));
            let mut before = None;
            entries.filter(|((of, ..), _)| before.replace(of.clone()).as_ref() == Some(of)).collect::<Vec<_>>()
        };
        prop_assert_eq!(in_order(&mut issues.iter()), in_order(&mut issues.iter().rev()));
    }
}
