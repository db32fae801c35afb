//! `github_prs_commits_reviews_comments`: from documents to rows.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use serde_json::{Value, json};
use transform_worker::job::{
    Scope, registry,
    registry::{PayloadShape, Transformed},
    rows::{Key, github::PullRequestColumns},
};

fn scope() -> Scope {
    Scope { tenant: 7.try_into().unwrap(), integration: 3 }
}

fn transform_text(document: &str) -> Result<Transformed, PayloadShape> {
    (registry::find("github_prs_nested").unwrap().transform)(document, &scope().into())
}

fn transform(document: &Value) -> Transformed {
    transform_text(&document.to_string()).unwrap()
}

fn key(id: &str) -> Key {
    Key { scope: scope(), external_id: id.to_owned() }
}

fn whole(data: &Value) -> Value {
    json!({"pr_id": "PR_1", "owner": "o", "repo_name": "r", "full_name": "o/r", "pr_data": data})
}

fn page(kind: &str, data: &Value) -> Value {
    json!({"pr_id": "PR_1", "owner": "o", "repo_name": "r", "full_name": "o/r", "nested_type": kind, "data": data})
}

fn columns(data: &Value) -> PullRequestColumns {
    transform(&whole(data)).rows.github.prs[&key("PR_1")].whole.clone().unwrap().columns
}

/// Every row as a line, without the keys that all of them have.
fn lines(result: &Transformed) -> Vec<Value> {
    let mut lines: Vec<Value> = result.rows.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        assert_eq!((line.remove("tenant_id"), line.remove("integration_id")), (Some(json!(7)), Some(json!(3))));
    }
    lines
}

fn warnings(result: &Transformed) -> Value {
    result
        .warnings
        .to_json()
        .map_or(Value::Null, |text| serde_json::from_str::<Value>(&text).unwrap()["warnings"].clone())
}

#[test]
fn a_whole_pull_request_gives_rows_of_four_tables() {
    let ann = json!({"login": "ann"});
    let result = transform(&whole(&json!({
        "id": "PR_1", "number": 7, "title": "T", "body": "b", "state": "MERGED", "author": ann,
        "createdAt": "2024-01-01T00:00:00Z", "updatedAt": "2024-01-02T00:00:00Z", "closedAt": "2024-01-02T00:00:00Z",
        "mergedAt": "2024-01-02T00:00:00Z", "additions": 1, "deletions": 2, "changedFiles": 3,
        "headRefName": "f", "baseRefName": "main",
        "commits": {"pageInfo": {"endCursor": "x", "hasNextPage": true}, "nodes": [{"commit": {"oid": "c1", "message": "m",
            "author": {"name": "A", "email": "a@b", "date": "2024-01-01T02:00:00+02:00"},
            "committer": {"name": "C", "email": "c@d", "date": "2024-01-01"}}}]},
        "reviews": {"nodes": [{"id": "r1", "state": "APPROVED", "body": "", "author": ann, "submittedAt": "2024-01-02T00:00:00Z"}]},
        "comments": {"nodes": [{"id": "k1", "body": "x", "author": ann, "createdAt": "2024-01-02T00:00:00Z", "updatedAt": "2024-01-02T00:00:00Z"}]},
        "reviewThreads": {"nodes": [{"id": "t1", "isResolved": false, "comments": {"nodes": [
            {"id": "l1", "body": "y", "author": ann, "createdAt": "2024-01-02T00:00:00Z", "path": "a.rs", "position": 4, "line": 5}]}}]},
    })));
    assert_eq!(warnings(&result), Value::Null);
    let (day1, day2) = ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z");
    assert_eq!(
        lines(&result),
        [
            json!({"table": "prs", "external_id": "PR_1", "repo_full_name": "o/r", "number": 7, "name": "T", "user_name": "ann",
                "body": "b", "source": "f", "destination": "main", "status": "MERGED", "pr_created_at": day1,
                "pr_updated_at": day2, "closed_at": day2, "merged_at": day2, "additions": 1, "deletions": 2, "changed_files": 3}),
            json!({"table": "prs_commits", "pr": "PR_1", "external_id": "c1", "author_name": "A", "author_email": "a@b",
                "committer_name": "C", "committer_email": "c@d", "message": "m", "authored_date": day1, "committed_date": day1}),
            json!({"table": "prs_reviews", "external_id": "r1", "pr": "PR_1", "author_login": "ann", "state": "APPROVED",
                "body": "", "submitted_at": day2}),
            json!({"table": "prs_comments", "external_id": "k1", "pr": "PR_1", "comment_type": "discussion",
                "author_login": "ann", "body": "x", "created_at_github": day2, "updated_at_github": day2}),
            json!({"table": "prs_comments", "external_id": "l1", "pr": "PR_1", "comment_type": "review", "author_login": "ann",
                "body": "y", "path": "a.rs", "position": 4, "line": 5, "created_at_github": day2}),
        ]
    );
    assert_eq!(result.rows.len(), 5);
}

#[test]
fn a_deleted_account_is_null_and_nothing_fails() {
    let result = transform(&whole(&json!({"id": "PR_1", "author": null,
        "commits": {"nodes": [{"commit": {"oid": "c1", "author": null, "committer": {"name": null}}}]},
        "reviews": {"nodes": [{"id": "r1", "author": null}]}, "comments": {"nodes": [{"id": "k1", "author": null}]}})));
    let lines = lines(&result);
    for (line, columns) in lines.iter().zip([
        &["user_name"][..],
        &["author_name", "authored_date", "committer_name"],
        &["author_login"],
        &["author_login"],
    ]) {
        for column in columns {
            assert_eq!(line.get(column), Some(&Value::Null), "{line}");
        }
    }
    assert_eq!((lines.len(), warnings(&result)), (4, Value::Null));
}

#[test]
fn an_open_pull_request_has_no_end_and_otherwise_a_missing_end_says_nothing() {
    let end = |data: &Value| {
        let columns = columns(data);
        (columns.closed_at.map(|at| at.is_some()), columns.merged_at.map(|at| at.is_some()))
    };
    let at = "2024-01-02T00:00:00Z";
    assert_eq!(end(&json!({"id": "PR_1", "state": "OPEN"})), (Some(false), Some(false)));
    assert_eq!(
        end(&json!({"id": "PR_1", "state": "OPEN", "closedAt": at, "mergedAt": at})),
        (Some(false), Some(false))
    );
    assert_eq!(end(&json!({"id": "PR_1", "state": "CLOSED", "closedAt": null, "mergedAt": null})), (None, None));
    assert_eq!(end(&json!({"id": "PR_1", "closedAt": at})), (Some(true), None));
    assert_eq!(columns(&json!({"id": "PR_1"})), PullRequestColumns::default());
}

#[test]
fn a_review_counts_from_its_submission_and_a_pending_one_has_none() {
    let submitted = |review: Value| {
        let result = transform(&page("reviews", &json!([review])));
        result.rows.github.prs_reviews[&key("r")]
            .columns
            .submitted_at
            .map(|at| at.map(|at| at.to_rfc3339()[8..10].to_owned()))
    };
    let day = |day: &str| Some(Some(day.to_owned()));
    let (one, two) = ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z");
    assert_eq!(submitted(json!({"id": "r", "submittedAt": two, "createdAt": one})), day("02"));
    assert_eq!(submitted(json!({"id": "r", "submittedAt": null, "createdAt": one})), day("01"));
    assert_eq!(submitted(json!({"id": "r", "createdAt": one})), day("01"));
    assert_eq!(submitted(json!({"id": "r", "submittedAt": null})), Some(None));
    assert_eq!(submitted(json!({"id": "r"})), None);
    assert_eq!(submitted(json!({"id": "r", "state": "PENDING", "submittedAt": null, "createdAt": one})), Some(None));
}

#[test]
fn a_page_makes_its_pull_request_known_and_an_empty_one_does_not() {
    for (kind, data, table) in [
        ("commits", json!([null, {"commit": {"oid": "c1"}}]), "prs_commits"),
        ("reviews", json!([{"id": 1}]), "prs_reviews"),
        ("comments", json!([{"id": "k1"}]), "prs_comments"),
        (
            "review_threads",
            json!([{"comments": {"nodes": [{"id": "k1"}, null]}}, {"id": "t", "comments": null}]),
            "prs_comments",
        ),
    ] {
        let result = transform(&page(kind, &data));
        let lines = lines(&result);
        assert_eq!(lines[0], json!({"table": "prs", "external_id": "PR_1", "repo_full_name": "o/r"}));
        assert_eq!((lines.len(), &lines[1]["table"], &lines[1]["pr"]), (2, &json!(table), &json!("PR_1")));
        assert_eq!(result.references.optional[0].name, "o/r");
        for nothing in [json!([]), json!(null), json!([null, null])] {
            assert_eq!(transform(&page(kind, &nothing)), Transformed::default(), "{kind} {nothing}");
        }
    }
}

#[test]
fn what_cannot_be_used_is_counted_and_costs_only_itself() {
    let result = transform(&whole(&json!({"id": "PR_1", "number": "7", "title": 5, "updatedAt": "yesterday",
        "commits": {"nodes": ["x", {}, {"commit": {"message": "m"}}, {"commit": {"oid": "c1"}}]}, "reviews": [1],
        "comments": {"nodes": {"a": 1}},
        "reviewThreads": {"nodes": [{"id": "t1", "comments": {"nodes": [{"body": "b"}]}}, {"id": "t2", "comments": 5}]}})));
    assert_eq!(lines(&result).len(), 2);
    let columns = &result.rows.github.prs[&key("PR_1")].whole.as_ref().unwrap().columns;
    assert_eq!((&columns.number, &columns.name, columns.pr_updated_at), (&None, &None, Some(None)));
    assert_eq!(
        warnings(&result),
        json!([{"reason": "bad_date", "count": 1, "ids": ["PR_1"]}, {"reason": "unusable_comment", "count": 3, "ids": []},
            {"reason": "unusable_commit", "count": 3, "ids": []}, {"reason": "unusable_review", "count": 1, "ids": []},
            {"reason": "unusable_thread", "count": 2, "ids": ["t1", "t2"]}])
    );
}

#[test]
fn another_shape_is_refused_without_quoting_the_document() {
    for document in [
        json!(["SECRET"]),
        json!("SECRET"),
        json!({"pr_id": "SECRET", "full_name": "o/r"}),
        whole(&json!("SECRET")),
        whole(&json!([])),
        json!({"full_name": "o/r", "pr_data": {"title": "SECRET"}}),
        json!({"pr_id": "PR_1", "repo_name": "SECRET", "pr_data": {"title": "t"}}),
        page("SECRET", &json!([{"id": "x"}])),
        page("reviews", &json!("SECRET")),
        page("reviews", &json!({"nodes": []})),
        page("reviews", &json!([{"body": "SECRET"}, "SECRET"])),
        json!({"full_name": "o/r", "nested_type": "reviews", "data": [{"id": "SECRET"}]}),
        json!({"pr_id": "PR_1", "nested_type": "reviews", "data": [{"id": "SECRET"}]}),
    ] {
        let refused = transform_text(&document.to_string()).unwrap_err().to_string();
        assert!(!refused.contains("SECRET"), "{refused}");
    }
    for document in [json!(null), json!({}), json!([]), whole(&json!(null)), whole(&json!({}))] {
        assert_eq!(transform(&document), Transformed::default(), "{document}");
    }
}

#[test]
fn the_name_of_the_repository_may_come_in_parts_and_the_id_from_outside() {
    let document = json!({"pr_id": 9_007_199_254_740_993_u64, "owner": "o", "repo_name": "r", "nested_type": null, "pr_data": {"number": 1}});
    let row = transform(&document).rows.github.prs[&key("9007199254740993")].clone();
    assert_eq!((row.repo_full_name.as_str(), row.whole.unwrap().columns.number), ("o/r", Some(Some(1))));
}

#[test]
fn one_comment_twice_is_one_row_with_the_newest_text() {
    let at = |body: &str, day: u32| json!({"id": "k", "body": body, "updatedAt": format!("2024-01-0{day}")});
    let result = transform(&page("comments", &json!([at("a", 1), at("b", 3), at("c", 2)])));
    assert_eq!(result.rows.github.prs_comments[&key("k")].columns.body, Some(Some("b".to_owned())));
}
