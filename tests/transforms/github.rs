//! Repositories and pull requests.

use serde_json::{Value, json};
use system_tests::documents::Documents;

#[path = "github/fields.rs"]
mod fields;
#[path = "github/links.rs"]
mod links;
#[path = "github/random.rs"]
mod random;
#[path = "github/workers.rs"]
mod workers;

const REPOSITORIES: &str = "github_repositories";
const PULL_REQUESTS: &str = "github_prs_commits_reviews_comments";
const PAGES: &str = "github_prs_nested";

/// What GitHub says of a repository, as far as it is stored, and a little more.
fn repository(id: &Value, full_name: &str) -> Value {
    let (owner, name) = full_name.split_once('/').expect("owner and name");
    json!({
        "id": id, "node_id": "R_kgDO", "name": name, "full_name": full_name, "private": true,
        "owner": {"login": owner, "id": 1, "type": "Organization"}, "html_url": "https://github.com", "description": null,
        "fork": false, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2024-05-01T00:00:00Z", "pushed_at": null,
        "size": 108, "stargazers_count": 80, "language": null, "has_issues": true, "has_projects": true,
        "has_downloads": true, "has_wiki": true, "has_pages": false, "has_discussions": false, "forks_count": 9,
        "archived": false, "disabled": false, "open_issues_count": 2, "license": {"key": "mit", "name": "MIT License"},
        "allow_forking": true, "is_template": false, "web_commit_signoff_required": false, "topics": ["a", "b"],
        "visibility": "private", "default_branch": "main",
    })
}

/// A pull request of `o/r` with nothing that belongs to it.
fn pull_request(id: &str, state: &str, updated_at: &str) -> Value {
    json!({
        "pr_id": id, "owner": "o", "repo_name": "r", "full_name": "o/r",
        "pr_data": {
            "id": id, "number": 7, "title": "Title", "body": "", "state": state, "createdAt": "2024-01-01T00:00:00Z",
            "updatedAt": updated_at, "closedAt": null, "mergedAt": null, "author": {"login": "ann"}, "additions": 10,
            "deletions": 2, "changedFiles": 1, "headRefName": "feature", "baseRefName": "main",
        },
    })
}

fn page(pr: &str, kind: &str, data: &Value) -> Value {
    json!({"pr_id": pr, "owner": "o", "repo_name": "r", "full_name": "o/r", "nested_type": kind, "data": data,
        "cursor": "Y3Vyc29yOnYyOpHOAA==", "has_more": false})
}

fn commit(oid: &str, at: &str) -> Value {
    let who = json!({"name": "Ann", "email": "ann@example.org", "date": at});
    json!({"commit": {"oid": oid, "message": "m", "author": who, "committer": who}})
}

fn review(id: &str, state: &str, author: &Value, at: &str) -> Value {
    json!({"id": id, "state": state, "body": "", "author": author, "submittedAt": at, "createdAt": at})
}

fn comment(id: &str, updated_at: &str) -> Value {
    json!({"id": id, "body": format!("{id} of {updated_at}"), "author": {"login": "bob"}, "path": "src/a.rs",
        "position": null, "line": 3, "createdAt": "2024-01-02T00:00:00Z", "updatedAt": updated_at})
}

fn nodes(nodes: &Value) -> Value {
    json!({"pageInfo": {"endCursor": null, "hasNextPage": false}, "nodes": nodes})
}

/// The counts of every pull request: commits, comments on the whole, comments on lines, reviewers, cycles, rework, first review.
async fn counts(documents: &Documents) -> Vec<Value> {
    documents
        .rows(
            "SELECT external_id AS pr, jsonb_build_array(commit_count, discussion_comment_count, review_comment_count,
                reviewers, review_cycles, rework_commit_count, first_review_at::text) AS counts FROM prs ORDER BY 1",
        )
        .await
}
