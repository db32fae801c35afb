//! Whatever a batch contains and wherever it is split, the tables of repositories and pull requests end up the same.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use transform_worker::job::{
    RowSet, Scope, registry,
    rows::{GithubRows, Rows},
};

const REPOSITORIES: &str = "github_repositories";
const PULL_REQUESTS: &str = "github_prs_commits_reviews_comments";

/// The tables as the statements leave them: what is given is written, where it is not older than what is stored.
#[derive(Debug, Clone, PartialEq, Default)]
struct Tables {
    rows: BTreeMap<(&'static str, String), Map<String, Value>>,
}

impl Tables {
    fn write(&mut self, rows: &GithubRows) {
        for (key, row) in &rows.repositories {
            self.put("repositories", key, row, Some("repo_updated_at"), &[]);
        }
        // Pull requests that wait for a repository of this name are linked to the one with the greatest id.
        for row in rows.repositories.values() {
            let link = self.repository(&row.full_name);
            for ((table, _), pr) in &mut self.rows {
                let waits = *table == "prs" && pr["link"].is_null();
                if waits && pr["repo_full_name"].as_str().unwrap().eq_ignore_ascii_case(&row.full_name) {
                    pr.insert("link".to_owned(), link.clone());
                }
            }
        }
        for (key, row) in &rows.prs {
            let link = self.repository(&row.repo_full_name);
            let placeholder = json!({"repo_full_name": row.repo_full_name, "link": link, "active": false});
            self.rows.entry(("prs", text(key))).or_insert_with(|| placeholder.as_object().unwrap().clone());
            if let Some(whole) = &row.whole {
                let mut given = serde_json::to_value(whole).unwrap();
                given["active"] = json!(true);
                let link = self.repository(&whole.repo_full_name);
                if !link.is_null() {
                    given["link"] = link;
                }
                self.put("prs", key, &given, Some("pr_updated_at"), &[]);
            }
        }
        for (key, row) in &rows.prs_commits {
            self.put("prs_commits", key, row, None, &[]);
        }
        for (key, row) in &rows.prs_reviews {
            self.put("prs_reviews", key, row, None, &["pr"]);
        }
        for (key, row) in &rows.prs_comments {
            self.put("prs_comments", key, row, Some("updated_at_github"), &["pr"]);
        }
    }

    fn repository(&self, full_name: &str) -> Value {
        let named = |row: &Map<String, Value>| row["full_name"].as_str().unwrap().eq_ignore_ascii_case(full_name);
        let mut all = self.rows.iter().filter(|((table, _), row)| *table == "repositories" && named(row));
        all.next_back().map_or(Value::Null, |((_, key), _)| json!(key))
    }

    fn put(
        &mut self,
        table: &'static str,
        key: &impl serde::Serialize,
        row: &impl serde::Serialize,
        version: Option<&str>,
        once: &[&str],
    ) {
        let Value::Object(given) = serde_json::to_value(row).unwrap() else { panic!() };
        let stored = self.rows.entry((table, text(key))).or_default();
        if let Some(version) = version {
            let time = |row: &Map<String, Value>| row.get(version).and_then(Value::as_str).map(str::to_owned);
            if let (Some(stored), Some(new)) = (time(stored), time(&given))
                && new < stored
            {
                return;
            }
        }
        for (column, value) in given {
            if !(once.contains(&column.as_str()) && stored.contains_key(&column)) {
                stored.insert(column, value);
            }
        }
    }
}

fn text(key: &impl serde::Serialize) -> String {
    serde_json::to_value(key).unwrap().to_string()
}

/// An object of which any key may be missing or null.
fn sparse(keys: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let keys: Vec<_> = keys
        .into_iter()
        .map(|(name, value)| {
            prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 4 => value.prop_map(Some)]
                .prop_map(move |value| (name, value))
        })
        .collect();
    keys.prop_map(|keys| {
        keys.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect()
    })
    .boxed()
}

fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[key] = value;
    object
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    prop::sample::select(values.to_vec()).boxed()
}

fn time() -> BoxedStrategy<Value> {
    (1_u32..5).prop_map(|day| json!(format!("2024-03-0{day}T00:00:00Z"))).boxed()
}

fn repository() -> impl Strategy<Value = Value> {
    let columns =
        sparse(vec![("updated_at", time()), ("size", one_of(&[json!(1), json!(2)])), ("fork", one_of(&[json!(true)]))]);
    (columns, 1_u32..4, 1_u32..3).prop_map(|(columns, id, name)| {
        with(&with(&columns, "id", json!(id)), "full_name", json!(format!("o/{}{name}", ["r", "R"][id as usize % 2])))
    })
}

fn node(kind: &'static str) -> BoxedStrategy<Value> {
    let author = sparse(vec![("login", one_of(&[json!("ann"), json!("bob")]))]);
    let text = one_of(&[json!("a"), json!("b")]);
    match kind {
        "commits" => {
            let signature = sparse(vec![("name", text.clone()), ("date", time())]);
            let commit = sparse(vec![("message", text), ("author", signature.clone()), ("committer", signature)]);
            (commit, 1_u32..3).prop_map(|(commit, id)| json!({"commit": with(&commit, "oid", json!(id))})).boxed()
        }
        "reviews" => {
            let state = one_of(&[json!("PENDING"), json!("APPROVED")]);
            let columns =
                sparse(vec![("author", author), ("state", state), ("submittedAt", time()), ("createdAt", time())]);
            (columns, 1_u32..3).prop_map(|(columns, id)| with(&columns, "id", json!(id))).boxed()
        }
        "comments" => {
            let columns = sparse(vec![("author", author), ("body", text), ("updatedAt", time())]);
            (columns, 1_u32..3).prop_map(|(columns, id)| with(&columns, "id", json!(id))).boxed()
        }
        _ => prop::collection::vec(node("comments"), 0..3)
            .prop_map(|comments| json!({"id": "t", "comments": {"nodes": comments}}))
            .boxed(),
    }
}

fn nodes(kind: &'static str) -> BoxedStrategy<Value> {
    prop::collection::vec(prop_oneof![9 => node(kind), 1 => Just(Value::Null)], 0..3).prop_map(Value::from).boxed()
}

fn pull_request() -> impl Strategy<Value = Value> {
    let connection = |kind| nodes(kind).prop_map(|nodes| json!({ "nodes": nodes })).boxed();
    let data = sparse(vec![
        ("title", one_of(&[json!("a"), json!("b")])),
        ("state", one_of(&[json!("OPEN"), json!("CLOSED")])),
        ("updatedAt", time()),
        ("closedAt", time()),
        ("commits", connection("commits")),
        ("reviews", connection("reviews")),
        ("comments", connection("comments")),
        ("reviewThreads", connection("review_threads")),
    ]);
    let kinds = prop::sample::select(vec!["commits", "reviews", "comments", "review_threads"]);
    let page = kinds.prop_flat_map(|kind| nodes(kind).prop_map(move |data| json!({"nested_type": kind, "data": data})));
    let whole = data.prop_map(|data| json!({ "pr_data": data }));
    (prop_oneof![whole, page], 1_u32..3, 1_u32..3).prop_map(|(document, pr, name)| {
        with(&with(&document, "pr_id", json!(pr)), "full_name", json!(format!("O/R{name}")))
    })
}

/// Documents as a queue may bring them: no repository comes in a batch after a pull request that looked for it.
fn documents() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let repositories = prop::collection::vec(repository(), 0..3).prop_map(|list| (REPOSITORIES, Value::from(list)));
    let pull_request = pull_request().prop_map(|document| (PULL_REQUESTS, document));
    prop::collection::vec(prop_oneof![1 => repositories, 3 => pull_request], 1..10)
}

fn rows(kind: &str, document: &Value) -> RowSet {
    let scope = Scope { tenant: 7.try_into().unwrap(), integration: 1 };
    (registry::find(kind).unwrap().transform)(&document.to_string(), &scope.into()).unwrap().rows
}

#[test]
fn every_way_in_which_three_versions_of_one_comment_can_follow_each_other() {
    let mut versions = Vec::new();
    for body in [None, Some(json!("a")), Some(json!("b"))] {
        for at in
            [None, Some(json!(null)), Some(json!("2024-03-01")), Some(json!("2024-03-02")), Some(json!("2024-03-03"))]
        {
            let given = [("id", Some(json!("k"))), ("body", body.clone()), ("updatedAt", at)];
            let node: Value = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
            for pr in ["PR_1", "PR_2"] {
                let page = json!({"pr_id": pr, "full_name": "o/r", "nested_type": "comments", "data": [node]});
                versions.push(rows(PULL_REQUESTS, &page));
            }
        }
    }
    let mut together = 0;
    for stored in &versions {
        let mut tables = Tables::default();
        tables.write(&stored.github);
        for first in &versions {
            for second in versions.iter().filter(|second| !first.clashes_with(second)) {
                let (mut one_by_one, mut at_once, mut batch) = (tables.clone(), tables.clone(), first.clone());
                one_by_one.write(&first.github);
                one_by_one.write(&second.github);
                batch.merge(second.clone());
                at_once.write(&batch.github);
                assert_eq!(at_once, one_by_one, "{stored:?} {first:?} {second:?}");
                together += 1;
            }
        }
    }
    assert!(together > 5000, "only {together} share a batch");
}

proptest! {
    #[test]
    fn any_split_into_batches_gives_the_same_tables(documents in documents(), cuts in prop::collection::vec(any::<bool>(), 10)) {
        let mut one_by_one = Tables::default();
        let (mut in_batches, mut batch, mut sought) = (Tables::default(), RowSet::default(), false);
        for ((kind, document), cut) in documents.iter().zip(cuts) {
            let rows = rows(kind, document);
            one_by_one.write(&rows.github);
            if cut || (sought && *kind == REPOSITORIES) || batch.clashes_with(&rows) {
                in_batches.write(&std::mem::take(&mut batch).github);
                sought = false;
            }
            sought |= *kind == PULL_REQUESTS;
            batch.merge(rows);
        }
        in_batches.write(&batch.github);
        prop_assert_eq!(in_batches, one_by_one);
    }

    #[test]
    fn the_same_document_again_shares_a_batch_and_changes_nothing(documents in documents()) {
        let mut tables = Tables::default();
        for (kind, document) in &documents {
            let rows = rows(kind, document).github;
            // Repositories of one name are better written alone.
            prop_assert!(*kind == REPOSITORIES || !rows.clashes_with(&rows), "{document}");
            let mut twice_in_one = rows.clone();
            twice_in_one.merge(rows.clone());
            prop_assert_eq!(&twice_in_one, &rows);
            tables.write(&rows);
            let once = tables.clone();
            tables.write(&rows);
            prop_assert_eq!(&tables, &once);
        }
    }
}
