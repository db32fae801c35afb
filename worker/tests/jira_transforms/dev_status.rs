//! `jira_dev_status`: from documents to rows.

use serde_json::{Value, json};
use transform_worker::job::{RowSet, rows::IssueName};

use crate::transforming::{empty_and_refused, lines, references, transform, warnings};

const KIND: &str = "jira_dev_status";

/// As Jira answers, shortened.
fn request(id: &str, url: &str, status: &str) -> Value {
    json!({"author": {"name": "A", "avatar": "u"}, "id": id, "name": "BEN-1 fix", "commentCount": 0,
        "source": {"branch": "feature/BEN-1", "url": "u"}, "destination": {"branch": "main", "url": "u"}, "reviewers": [],
        "status": status, "url": url, "lastUpdate": "2024-01-15T10:30:00.000+0000", "repositoryId": "r-77",
        "lastCommit": {"id": "abc"}})
}

fn details(requests: &Value) -> Value {
    json!({"errors": [], "configErrors": [], "detail": [{"branches": [], "pullRequests": requests, "repositories": [],
        "_instance": {"name": "GitHub", "type": "GitHub"}}]})
}

fn single(requests: &Value) -> Value {
    json!({"issue_id": "10100", "issue_key": "BEN-1", "dev_status": details(requests)})
}

/// Repository, number and repository id of what comes of one pull request.
fn link(request: &Value) -> Option<(String, i64, String)> {
    let rows = lines(&transform(KIND, &single(&json!([request]))));
    assert!(rows.len() <= 1);
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.first().map(|row| {
        (text(row, "repo_full_name"), row["pull_request_number"].as_i64().unwrap(), text(row, "external_repo_id"))
    })
}

#[test]
fn a_pull_request_becomes_a_link_of_its_issue() {
    let result = transform(KIND, &single(&json!([request("#12", "https://github.com/o/r/pull/12", "OPEN")])));
    let expected = json!({"table": "work_items_prs_links", "tenant_id": 7, "integration_id": 3, "repo_full_name": "o/r",
        "pull_request_number": 12, "issue_id": "10100", "issue_key": "BEN-1", "external_repo_id": "r-77",
        "branch_name": "feature/BEN-1", "commit_sha": "abc", "pr_status": "OPEN"});
    assert_eq!(lines(&result), [expected]);
    assert_eq!(references(&result), [("WorkItem 10100".to_owned(), "unresolved_issue")]);
    assert!(result.references.optional.is_empty(), "the issue is a parent");
    assert_eq!(result.references.parents[0].any_of.len(), 2, "found by id or by key");
    assert_eq!(warnings(&result), json!(null));
}

#[test]
fn repository_and_number_are_found_wherever_they_stand() {
    let found = |repo: &str, number: i64, id: &str| Some((repo.to_owned(), number, id.to_owned()));
    for (request, expected) in [
        (json!({"url": "https://github.com/o/r/pull/12/?a=1#x"}), found("o/r", 12, "o/r")),
        (json!({"url": "https://ghe.example.com:8443/o/r/pull/12/"}), found("o/r", 12, "o/r")),
        (json!({"url": "https://github.com/o/r/pull/12/files", "id": "#12"}), found("o/r", 12, "o/r")),
        (json!({"url": "https://github.com/o/r/pull/+12", "id": "13"}), found("o/r", 13, "o/r")),
        (json!({"url": "https://github.com/o/r/pull/99999999999", "id": "#7"}), found("o/r", 7, "o/r")),
        (json!({"url": "https://github.com/o/r", "id": "x", "name": "BEN-1 of #34"}), found("o/r", 34, "o/r")),
        (json!({"url": "https://github.com/o/r", "name": "Pull 35"}), found("o/r", 35, "o/r")),
        (json!({"id": 12, "repositoryId": 900}), found("900", 12, "900")),
        (json!({"id": "#12"}), found("#12", 12, "#12")),
        (json!({"url": "https://github.com/12", "repositoryId": "r"}), found("r", 12, "r")),
        (json!({"url": "no address", "id": "#12", "repositoryId": "r"}), found("r", 12, "r")),
        (json!({"url": "https://github.com/o/r/pull/12", "repositoryId": null}), found("o/r", 12, "o/r")),
        (json!({"url": "https://github.com/o/r/pull/x", "id": "x", "name": null}), None),
        (json!({"name": "35"}), None),
        (json!({"url": 3, "id": {}, "name": []}), None),
        (json!(null), None),
    ] {
        assert_eq!(link(&request), expected, "{request}");
    }
    let result = transform(KIND, &single(&json!([{"name": "no number"}, null])));
    assert_eq!(warnings(&result), json!([{"reason": "unusable_pull_request", "count": 2, "ids": ["10100", "10100"]}]));
    assert!(result.references.parents.is_empty(), "nothing is left that would have to wait");
}

#[test]
fn of_duplicates_the_later_update_counts_and_nulls_replace_nothing() {
    let url = "https://github.com/o/r/pull/1";
    let one = |status: Value, at: Value, more: Value| {
        let mut request = json!({"url": url, "status": status, "lastUpdate": at});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let day = |day: u32| json!(format!("2024-01-{day:02}T00:00:00.000+0000"));
    for (requests, status) in [
        (vec![one(json!("OPEN"), day(1), json!({})), one(json!("MERGED"), day(2), json!({}))], "MERGED"),
        (vec![one(json!("MERGED"), day(2), json!({})), one(json!("OPEN"), day(1), json!({}))], "MERGED"),
        (vec![one(json!("MERGED"), day(2), json!({})), one(json!("OPEN"), day(2), json!({}))], "OPEN"),
        (vec![one(json!("MERGED"), day(2), json!({})), one(json!("OPEN"), json!(null), json!({}))], "OPEN"),
        (vec![one(json!("OPEN"), day(1), json!({})), one(json!(null), day(2), json!({}))], "OPEN"),
    ] {
        let rows = lines(&transform(KIND, &single(&json!(requests))));
        assert_eq!((rows.len(), rows[0]["pr_status"].as_str()), (1, Some(status)), "{requests:?}");
    }
    let named = one(json!("OPEN"), day(2), json!({"repositoryId": "r-1", "source": {"branch": "b"}}));
    let unnamed = one(json!("OPEN"), day(3), json!({"source": null, "lastCommit": {"id": "c"}}));
    let rows = lines(&transform(KIND, &single(&json!([named, unnamed]))));
    let seen = ["external_repo_id", "branch_name", "commit_sha"].map(|name| rows[0][name].as_str().unwrap().to_owned());
    assert_eq!(seen, ["r-1", "b", "c"]);
    let bad = transform(KIND, &single(&json!([one(json!("OPEN"), json!("yesterday"), json!({}))])));
    assert_eq!(warnings(&bad), json!([{"reason": "bad_date", "count": 1, "ids": ["10100"]}]));
}

#[test]
fn a_batch_is_about_several_issues() {
    let some = details(&json!([request("#1", "https://github.com/o/r/pull/1", "OPEN")]));
    let result = transform(
        KIND,
        &json!({"batch_info": {"size": 5}, "dev_status": [
            {"issue_id": 1, "issue_key": "BEN-1", "dev_details": some},
            {"issue_key": "BEN-2", "dev_details": some},
            {"issue_id": "3", "issue_key": "BEN-3", "dev_details": {}},
            {"issue_id": "4", "issue_key": "BEN-4", "dev_details": {"errors": [{"error": "unreachable"}], "detail": []}},
            {"issue_id": "5", "dev_details": "?"}, {"dev_details": some}, null]}),
    );
    assert_eq!(result.rows.len(), 2);
    let parents = ["WorkItem 1", "WorkItemByKey BEN-2", "WorkItem 3", "WorkItem 4"];
    assert_eq!(references(&result), parents.map(|name| (name.to_owned(), "unresolved_issue")));
    let expected = json!([{"reason": "unusable_issue", "count": 3, "ids": ["5"]},
        {"reason": "upstream_errors", "count": 1, "ids": ["4"]}]);
    assert_eq!(warnings(&result), expected);
}

#[test]
fn empty_documents_are_done_and_others_refused() {
    let empty = [
        r#"{"issue_id":"1","issue_key":"BEN-1","dev_status":{}}"#,
        r#"{"issue_id":"1","issue_key":"BEN-1","dev_status":null}"#,
        r#"{"issue_id":"1","dev_status":{"detail":[]}}"#,
        r#"{"issue_id":"1","dev_status":{"detail":[{"pullRequests":[]}]}}"#,
        r#"{"issue_id":"1","dev_status":{"detail":[{"pullRequests":null}],"errors":[]}}"#,
        r#"{"dev_status":[],"batch_info":{}}"#,
        r#"{"dev_status":[{"issue_id":"1","dev_details":null}]}"#,
    ];
    let refused = [
        r#"{"issue_id":"SECRET"}"#,
        r#"{"issue_id":"1","dev_status":"SECRET"}"#,
        r#"{"issue_id":"1","dev_status":{"detail":"SECRET"}}"#,
        r#"{"dev_status":{"detail":[{"pullRequests":[{"id":"SECRET"}]}]}}"#,
        r#"{"dev_status":["SECRET",{"dev_details":{}}]}"#,
    ];
    empty_and_refused(KIND, &empty, &refused);
}

#[test]
fn two_names_that_may_mean_one_issue_do_not_share_a_batch() {
    let rows = |id: Option<&str>, key: Option<&str>, number: u32| -> RowSet {
        let requests = json!([request("#1", &format!("https://github.com/o/r/pull/{number}"), "OPEN")]);
        transform(KIND, &json!({"issue_id": id, "issue_key": key, "dev_status": details(&requests)})).rows
    };
    let (one, same) = (rows(Some("1"), Some("BEN-1"), 1), rows(Some("1"), Some("BEN-1"), 1));
    assert!(!one.clashes_with(&same));
    for (id, key, number, clash) in [
        (Some("2"), Some("BEN-2"), 1, false),
        (Some("2"), Some("BEN-1"), 1, true),
        (Some("1"), Some("OPS-1"), 1, true),
        (Some("1"), None, 1, true),
        (None, Some("BEN-1"), 1, true),
        (None, Some("BEN-9"), 1, true),
        (None, Some("BEN-1"), 2, false),
    ] {
        let other = rows(id, key, number);
        assert_eq!(one.clashes_with(&other), clash, "{id:?} {key:?} {number}");
        assert_eq!(other.clashes_with(&one), clash, "{id:?} {key:?} {number}");
    }
    let name = IssueName { issue_id: Some("1".to_owned()), issue_key: Some("BEN-1".to_owned()) };
    assert!(one.links.links.keys().all(|key| key.issue == name));
}
