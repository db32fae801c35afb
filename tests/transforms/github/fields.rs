//! What is stored of a document, and what of it when the next one comes.

use serde_json::{Value, json};
use system_tests::documents::Documents;

use super::{
    PAGES, PULL_REQUESTS, REPOSITORIES, comment, commit, counts, nodes, page, pull_request, repository, review,
};

#[tokio::test]
async fn nine_hundred_repositories_are_the_same_as_messages_and_as_a_list() {
    let all: Vec<Value> = (0..912)
        .map(|n| {
            let mut one = repository(&json!(9_007_199_254_740_993_u64 + n), &format!("o/r{n}"));
            if n % 3 == 0 {
                one["license"] = Value::Null;
                one.as_object_mut().expect("an object").remove("topics");
            }
            one
        })
        .collect();
    let (as_list, as_messages) = (Documents::new().await, Documents::new().await);
    as_list.transform_cleanly(REPOSITORIES, &json!({ "repositories": all })).await;
    for one in &all {
        as_messages.add(REPOSITORIES, &json!([one])).await;
    }
    as_messages.serve(512).await;
    let tables = as_list.tables().await;
    assert_eq!(tables["repositories"].len(), 912);
    assert_eq!(tables, as_messages.tables().await);
}

#[tokio::test]
async fn a_repository_is_stored_with_all_its_columns_and_older_news_changes_nothing() {
    let documents = Documents::new().await;
    documents.transform_cleanly(REPOSITORIES, &json!([repository(&json!("5"), "o/r")])).await;
    let stored = json!({
        "tenant_id": 1, "integration_id": 10, "active": true, "external_id": "5", "name": "r", "full_name": "o/r",
        "full_name_lower": "o/r",
        "owner": "o", "description": null, "language": null, "default_branch": "main", "visibility": "private",
        "topics": ["a", "b"], "is_private": true, "archived": false, "disabled": false, "fork": false,
        "is_template": false, "allow_forking": true, "web_commit_signoff_required": false, "has_issues": true,
        "has_wiki": true, "has_discussions": false, "has_projects": true, "has_downloads": true, "has_pages": false,
        "license": "MIT License", "stargazers_count": 80, "forks_count": 9, "open_issues_count": 2, "size": 108,
        "repo_created_at": "2020-01-01T00:00:00+00:00", "repo_updated_at": "2024-05-01T00:00:00+00:00", "pushed_at": null,
    });
    assert_eq!(documents.tables().await["repositories"], std::slice::from_ref(&stored));

    let before = documents.platform.versions().await;
    let older = json!({"id": 5, "full_name": "o/older", "size": 1, "updated_at": "2024-04-30T23:59:59Z"});
    documents.transform_cleanly(REPOSITORIES, &json!([older, repository(&json!(5), "o/r")])).await;
    assert_eq!(documents.platform.versions().await, before);

    let newer = json!({"id": 5, "full_name": "o/newer", "license": null, "updated_at": "2024-05-02T00:00:00Z"});
    documents.transform_cleanly(REPOSITORIES, &newer).await;
    let mut expected = stored;
    expected["full_name"] = json!("o/newer");
    expected["full_name_lower"] = json!("o/newer");
    expected["license"] = Value::Null;
    expected["topics"] = json!([]);
    expected["repo_updated_at"] = json!("2024-05-02T00:00:00+00:00");
    assert_eq!(documents.tables().await["repositories"], [expected]);
}

#[tokio::test]
async fn a_pull_request_is_closed_reopened_and_not_set_back_by_older_news() {
    let documents = Documents::new().await;
    documents.add(REPOSITORIES, &json!([repository(&json!(5), "o/r")])).await;
    let mut closed = pull_request("PR_1", "CLOSED", "2024-02-02T00:00:00Z");
    closed["pr_data"]["closedAt"] = json!("2024-02-02T00:00:00Z");
    closed["pr_data"]["commits"] = nodes(&json!([commit("c1", "2024-01-01T00:00:00Z")]));
    closed["pr_data"]["comments"] = nodes(&json!([comment("k1", "2024-01-05T00:00:00Z")]));
    documents.transform_cleanly(PULL_REQUESTS, &closed).await;

    // A small query knows less; an author may be gone; a replay brings an older state with children of its own.
    let mut small = pull_request("PR_1", "CLOSED", "2024-02-03T00:00:00Z");
    let data = small["pr_data"].as_object_mut().expect("an object");
    for absent in ["closedAt", "additions", "deletions", "changedFiles", "headRefName", "baseRefName"] {
        data.remove(absent);
    }
    data.insert("author".to_owned(), Value::Null);
    let mut older = pull_request("PR_1", "OPEN", "2024-01-01T00:00:00Z");
    older["pr_data"]["title"] = json!("Old");
    older["pr_data"]["commits"] = nodes(&json!([commit("c0", "2023-12-31T00:00:00Z")]));
    older["pr_data"]["comments"] = nodes(&json!([comment("k1", "2024-01-04T00:00:00Z")]));
    for document in [&small, &older] {
        documents.transform_cleanly(PULL_REQUESTS, document).await;
    }
    let pr = |closed: Value, status: &str, updated: &str, user: Value, commits: i32| {
        json!({
            "tenant_id": 1, "integration_id": 10, "active": true, "external_id": "PR_1", "external_repo_id": "5",
            "repository_id": "5", "repo_full_name": "o/r", "repo_full_name_lower": "o/r",
            "number": 7, "name": "Title", "user_name": user, "body": "",
            "source": "feature", "destination": "main", "status": status, "pr_created_at": "2024-01-01T00:00:00+00:00",
            "pr_updated_at": updated, "closed_at": closed, "merged_at": null, "additions": 10, "deletions": 2,
            "changed_files": 1, "commit_count": commits, "discussion_comment_count": 1, "review_comment_count": 0,
            "reviewers": 0, "first_review_at": null, "review_cycles": 0, "rework_commit_count": 0,
        })
    };
    let (day2, day3) = ("2024-02-02T00:00:00+00:00", "2024-02-03T00:00:00+00:00");
    let tables = documents.tables().await;
    assert_eq!(tables["prs"], [pr(json!(day2), "CLOSED", day3, Value::Null, 2)]);
    assert_eq!(tables["prs_comments"][0]["body"], "k1 of 2024-01-05T00:00:00Z");

    documents.transform_cleanly(PULL_REQUESTS, &pull_request("PR_1", "OPEN", "2024-02-04T00:00:00Z")).await;
    let reopened = pr(Value::Null, "OPEN", "2024-02-04T00:00:00+00:00", json!("ann"), 2);
    assert_eq!(documents.tables().await["prs"], [reopened]);
}

#[tokio::test]
async fn one_commit_in_two_pull_requests_is_two_rows_and_values_are_kept_as_they_are() {
    let documents = Documents::new().await;
    let nasty = "'); DROP TABLE prs; -- \" \\ \u{1f600}";
    let long = "x".repeat(1_000_000);
    for id in ["PR_1", "PR_2"] {
        let mut document = pull_request(id, "OPEN", "2024-02-02T00:00:00Z");
        document["pr_data"]["body"] = json!(long);
        document["pr_data"]["title"] = json!(nasty);
        document["pr_data"]["commits"] =
            nodes(&json!([commit("same", "2024-01-01T00:00:00Z"), commit("same", "garbage")]));
        document["pr_data"]["reviews"] =
            nodes(&json!([null, review(id, "APPROVED", &json!(null), "2024-01-01T00:00:00Z")]));
        documents.add(PULL_REQUESTS, &document).await;
    }
    documents.serve(50).await;
    let tables = documents.tables().await;
    assert_eq!(tables["prs_commits"].len(), 2);
    for (pr, id) in tables["prs"].iter().zip(["PR_1", "PR_2"]) {
        assert_eq!((&pr["name"], pr["body"].as_str().map(str::len)), (&json!(nasty), Some(1_000_000)));
        assert_eq!((&pr["external_id"], &pr["commit_count"], &pr["reviewers"]), (&json!(id), &json!(1), &json!(0)));
    }
}

#[tokio::test]
async fn empty_documents_make_no_rows_and_unusable_ones_are_dead_letters() {
    let documents = Documents::new().await;
    let mut nothing_said = pull_request("PR_1", "OPEN", "2024-02-02T00:00:00Z");
    nothing_said["pr_data"] = json!({});
    for (kind, document) in [
        (REPOSITORIES, json!(null)),
        (REPOSITORIES, json!({})),
        (REPOSITORIES, json!([])),
        (REPOSITORIES, json!({"repositories": []})),
        (REPOSITORIES, json!({"repositories": null})),
        (PULL_REQUESTS, json!({})),
        (PULL_REQUESTS, nothing_said),
        (PAGES, page("PR_1", "commits", &json!([]))),
        (PAGES, page("PR_1", "review_threads", &json!([null]))),
        (PAGES, page("PR_1", "reviews", &json!(null))),
    ] {
        documents.add(kind, &document).await;
    }
    documents.serve(50).await;
    let open = documents.rows("SELECT id, type, raw_data FROM raw_extraction_data WHERE status <> 'completed'").await;
    assert!(open.is_empty(), "{open:?}");
    assert!(documents.tables().await.values().all(Vec::is_empty));
    assert!(counts(&documents).await.is_empty());

    documents.add(PAGES, &page("PR_1", "files", &json!([{"id": "x"}]))).await;
    documents.add(PAGES, &page("PR_1", "commits", &json!([{"commit": null}, 5]))).await;
    documents.add(REPOSITORIES, &json!([{"id": 5}])).await;
    documents.serve(50).await;
    let reasons: Vec<String> =
        documents.platform.dead_letters().await.into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["payload_shape"; 3]);
    assert!(documents.tables().await.values().all(Vec::is_empty));
}
