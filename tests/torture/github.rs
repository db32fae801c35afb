//! Documents of GitHub, whose order makes no difference: a pull request, its pages and its repository find each other.

use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};

use super::world::{Document, IDS};

const OLD_REPOSITORIES: i64 = 40;
const NEW_REPOSITORIES: i64 = 5;
const UPDATES_OF_REPOSITORIES: i64 = 60;
const PULL_REQUESTS: i64 = 1_200;
/// Of these a second, later version comes as well.
const TWICE: i64 = 300;
const PAGES: i64 = 1_500;

pub(super) fn ground(tenant: i64) -> Vec<Document> {
    let list: Vec<Value> = (0..OLD_REPOSITORIES).map(|number| repository(tenant, number, 0)).collect();
    vec![Document { kind: "github_repositories", payload: json!({ "repositories": list }) }]
}

pub(super) fn documents(tenant: i64, dice: &mut StdRng) -> Vec<Document> {
    let single = |number, version| Document {
        kind: "github_repositories",
        payload: json!({"repositories": [repository(tenant, number, version)]}),
    };
    let mut documents: Vec<Document> =
        (0..NEW_REPOSITORIES).map(|number| single(OLD_REPOSITORIES + number, 0)).collect();
    documents.extend((0..UPDATES_OF_REPOSITORIES).map(|number| single(number % OLD_REPOSITORIES, 1 + number)));
    documents.extend((0..PULL_REQUESTS).map(|number| pull_request(tenant, number, 0)));
    documents.extend((0..TWICE).map(|number| pull_request(tenant, number * 3, 1)));
    documents.extend((0..PAGES).map(|number| page(tenant, number, dice.random_range(0..PULL_REQUESTS))));
    documents
}

fn full_name(tenant: i64, number: i64) -> String {
    format!("org{tenant}/repo{}", number % (OLD_REPOSITORIES + NEW_REPOSITORIES))
}

fn node(tenant: i64, kind: &str, number: i64) -> String {
    format!("{kind}_{}", tenant * IDS + number)
}

fn day(n: i64) -> String {
    format!("2024-{:02}-{:02}T12:00:00Z", 1 + n / 28 % 12, 1 + n % 28)
}

fn repository(tenant: i64, number: i64, version: i64) -> Value {
    json!({"id": tenant * IDS + 5_000 + number, "name": format!("repo{number}"), "full_name": full_name(tenant, number),
           "owner": {"login": format!("org{tenant}")}, "private": number % 2 == 0, "description": null,
           "language": "Rust", "license": null, "topics": ["a", format!("v{version}")], "default_branch": "main",
           "visibility": "private", "archived": false, "fork": false, "stargazers_count": version, "size": 10,
           "created_at": day(0), "updated_at": day(10 + version), "pushed_at": null})
}

fn pull_request(tenant: i64, number: i64, version: i64) -> Document {
    let commits: Vec<Value> = (0..=version).map(|n| commit(tenant, number * 10 + n)).collect();
    let login = if number % 11 == 0 { Value::Null } else { json!({"login": format!("user{}", number % 13)}) };
    let reviews = json!([{"id": node(tenant, "PRR", number * 10), "state": "CHANGES_REQUESTED", "body": "",
                          "author": login, "submittedAt": day(number % 100 + 1)}]);
    let comment = json!({"id": node(tenant, "IC", number * 10), "body": "ok", "author": null, "createdAt": day(3),
                         "updatedAt": day(3)});
    let thread = json!({"id": node(tenant, "PRRT", number), "isResolved": false, "comments": {"nodes": [
        {"id": node(tenant, "PRRC", number * 10), "body": "why?", "author": login, "createdAt": day(4),
         "updatedAt": day(4), "path": "src/lib.rs", "position": 3, "line": 7}]}});
    let pages = json!({"endCursor": null, "hasNextPage": false});
    let data = json!({"id": node(tenant, "PR", number), "number": number + 1, "title": format!("Change {number}, {version}"),
        "body": format!("Version {version}"), "state": if version == 0 { "OPEN" } else { "MERGED" },
        "createdAt": day(1), "updatedAt": day(5 + version), "closedAt": if version == 0 { Value::Null } else { json!(day(6)) },
        "mergedAt": if version == 0 { Value::Null } else { json!(day(6)) }, "author": login,
        "additions": 10 + version, "deletions": 2, "changedFiles": 1, "headRefName": "feature", "baseRefName": "main",
        "commits": {"pageInfo": pages, "nodes": commits}, "reviews": {"pageInfo": pages, "nodes": reviews},
        "comments": {"pageInfo": pages, "nodes": [comment, null]}, "reviewThreads": {"pageInfo": pages, "nodes": [thread]}});
    let payload = json!({"pr_id": node(tenant, "PR", number), "owner": format!("org{tenant}"),
        "repo_name": format!("repo{}", number % (OLD_REPOSITORIES + NEW_REPOSITORIES)),
        "full_name": full_name(tenant, number), "pr_data": data});
    Document { kind: "github_prs", payload }
}

fn commit(tenant: i64, number: i64) -> Value {
    json!({"commit": {"oid": format!("{:040}", tenant * IDS + number), "message": format!("Commit {number}"),
                      "author": {"name": "A", "email": "a@example.org", "date": day(number % 200)},
                      "committer": {"name": "B", "email": "b@example.org", "date": day(number % 200 + 1)}}})
}

/// More of what belongs to a pull request, which may come before it.
fn page(tenant: i64, number: i64, of: i64) -> Document {
    let first = 1_000_000 + number * 5;
    let author = json!({"login": format!("user{}", number % 17)});
    let (kind, data): (&str, Vec<Value>) = match number % 4 {
        0 => ("commits", (0..4).map(|n| commit(tenant, first + n)).collect()),
        1 => (
            "reviews",
            (0..3)
                .map(|n| {
                    json!({"id": node(tenant, "PRR", first + n), "state": "APPROVED",
                                                "author": author, "submittedAt": day(first % 300 + n)})
                })
                .collect(),
        ),
        2 => (
            "comments",
            (0..4)
                .map(|n| {
                    json!({"id": node(tenant, "IC", first + n), "body": "more", "author": author,
                                                 "createdAt": day(n), "updatedAt": day(n)})
                })
                .collect(),
        ),
        _ => (
            "review_threads",
            (0..2)
                .map(|n| {
                    json!({"id": node(tenant, "PRRT", first + n), "isResolved": true,
            "comments": {"nodes": [{"id": node(tenant, "PRRC", first + n), "body": "thread", "author": null,
                                    "createdAt": day(n), "updatedAt": day(n), "path": "a", "position": null}]}})
                })
                .collect(),
        ),
    };
    let payload = json!({"pr_id": node(tenant, "PR", of), "owner": format!("org{tenant}"),
        "repo_name": format!("repo{}", of % (OLD_REPOSITORIES + NEW_REPOSITORIES)), "full_name": full_name(tenant, of),
        "nested_type": kind, "data": data, "cursor": "c", "has_more": false});
    Document { kind: "github_prs_nested", payload }
}
