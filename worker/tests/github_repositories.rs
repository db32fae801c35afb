//! `github_repositories`: from documents to rows.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use serde_json::{Value, json};
use transform_worker::job::{
    Scope, registry,
    registry::{PayloadShape, Transformed},
    rows::{Key, github::Repository},
};

fn scope() -> Scope {
    Scope { tenant: 7.try_into().unwrap(), integration: 3 }
}

fn transform(document: &str) -> Result<Transformed, PayloadShape> {
    (registry::find("github_repositories").unwrap().transform)(document, &scope().into())
}

fn one(document: &Value) -> (Repository, Value) {
    let result = transform(&document.to_string()).unwrap();
    let warnings = result.warnings.to_json().map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    (result.rows.github.repositories[&Key { scope: scope(), external_id: "5".to_owned() }].clone(), warnings)
}

#[test]
fn a_list_an_object_with_a_list_and_one_repository_give_the_same_row() {
    let repository = json!({"id": 5, "full_name": "o/r", "owner": {"login": "o"}, "private": true, "size": 9,
        "license": {"key": "mit", "name": "MIT License"}, "topics": ["a", "\u{fc}"], "created_at": "2020-01-01T00:00:00Z"});
    let (row, warnings) = one(&json!([repository]));
    assert_eq!(warnings, Value::Null);
    assert_eq!((row.full_name.as_str(), row.topics.as_str()), ("o/r", "[\"a\",\"\u{fc}\"]"));
    assert_eq!(row.columns.owner, Some(Some("o".to_owned())));
    assert_eq!(row.columns.license, Some(Some("MIT License".to_owned())));
    assert_eq!((row.columns.is_private, row.columns.size), (Some(Some(true)), Some(Some(9))));
    assert_eq!(row.columns.repo_created_at.flatten().unwrap().to_rfc3339(), "2020-01-01T00:00:00+00:00");
    assert_eq!(one(&json!({"repositories": [repository], "total_count": 1})).0, row);
    assert_eq!(one(&repository).0, row);
}

#[test]
fn null_clears_and_what_is_absent_or_of_another_type_says_nothing() {
    let (nulls, _) = one(&json!([{"id": "5", "full_name": "o/r", "description": null, "license": null, "owner": null,
        "fork": null, "size": null, "pushed_at": null, "topics": null}]));
    assert_eq!((nulls.columns.description, nulls.columns.license), (Some(None), Some(None)));
    assert_eq!((nulls.columns.owner, nulls.columns.fork), (Some(None), Some(None)));
    assert_eq!((nulls.columns.size, nulls.columns.pushed_at, nulls.topics.as_str()), (Some(None), Some(None), "[]"));
    assert_eq!(nulls.columns.language, None);
    let (odd, warnings) = one(&json!([{"id": "5", "full_name": "o/r", "description": 5, "license": "MIT", "owner": {},
        "fork": "yes", "size": 1.5, "pushed_at": "yesterday", "topics": {"a": 1}}]));
    assert_eq!((odd.columns.description, odd.columns.license, odd.columns.owner), (None, None, None));
    assert_eq!((odd.columns.fork, odd.columns.size), (None, None));
    assert_eq!((odd.columns.pushed_at, odd.topics.as_str()), (Some(None), "[]"));
    assert_eq!(warnings["warnings"], json!([{"reason": "bad_date", "count": 1, "ids": ["5"]}]));
}

#[test]
fn of_one_repository_twice_in_a_document_the_newest_counts() {
    let version = |day: u32, size: i32| json!({"id": 5, "full_name": format!("o/r{day}"), "size": size, "updated_at": format!("2024-05-0{day}")});
    for (documents, expected) in [
        (json!([version(2, 20), version(1, 10)]), ("o/r2", 20)),
        (json!([version(1, 10), version(2, 20)]), ("o/r2", 20)),
        (json!([version(2, 20), version(2, 21)]), ("o/r2", 21)),
    ] {
        let (row, _) = one(&documents);
        assert_eq!((row.full_name.as_str(), row.columns.size), (expected.0, Some(Some(expected.1))), "{documents}");
    }
}

#[test]
fn unusable_repositories_are_counted_and_only_a_document_without_any_usable_one_is_refused() {
    let (_, warnings) = one(&json!([null, 3, {"id": 9}, {"full_name": "o/x"}, {"id": 5, "full_name": "o/r"}]));
    assert_eq!(warnings["warnings"], json!([{"reason": "unusable_repository", "count": 4, "ids": ["9"]}]));
    for document in [
        "5",
        "\"SECRET\"",
        r#"[{"id":"SECRET"}]"#,
        r#"{"repositories":{"SECRET":1}}"#,
        r#"{"items":[]}"#,
        r#"{"id":5}"#,
    ] {
        let refused = transform(document).unwrap_err().to_string();
        assert!(!refused.contains("SECRET"), "{refused}");
    }
    for document in ["null", "{}", " [ ]", r#"{"repositories":[]}"#, r#"{"repositories":null,"total_count":0}"#] {
        assert_eq!(transform(document), Ok(Transformed::default()), "{document}");
    }
    assert!(transform(&format!("[{}{}]", "[".repeat(128), "]".repeat(128))).is_err());
}

#[test]
fn big_numbers_are_ids_digit_by_digit() {
    let result =
        transform(r#"[{"id":9007199254740993,"full_name":"o/r"},{"id":"9007199254740993","full_name":"o/r"}]"#)
            .unwrap();
    let ids: Vec<&str> = result.rows.github.repositories.keys().map(|key| key.external_id.as_str()).collect();
    assert_eq!(ids, ["9007199254740993"]);
}
