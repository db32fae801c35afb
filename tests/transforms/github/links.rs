//! What comes in another order than it belongs together.

use serde_json::{Value, json};
use system_tests::documents::Documents;

use super::{
    PAGES, PULL_REQUESTS, REPOSITORIES, comment, commit, counts, nodes, page, pull_request, repository, review,
};

async fn links(documents: &Documents) -> Vec<Value> {
    let select =
        "SELECT p.external_id AS pr, p.repo_full_name, p.external_repo_id, r.external_id AS repository, p.active
        FROM prs p LEFT JOIN repositories r ON r.id = p.repository_id ORDER BY 1";
    documents.rows(select).await
}

#[tokio::test]
async fn a_pull_request_is_linked_when_its_repository_comes_and_stays_linked() {
    let documents = Documents::new().await;
    let mut early = pull_request("PR_1", "OPEN", "2024-02-01T00:00:00Z");
    early["full_name"] = json!("O/R");
    let row = documents.transform(PULL_REQUESTS, &early).await;
    assert_eq!(row.status, "completed");
    let missing = json!({"warnings": [{"reason": "unresolved_repository", "count": 1, "ids": ["o/r"]}]});
    assert_eq!(row.error_details, Some(missing));
    documents.transform(PAGES, &page("PR_2", "commits", &json!([commit("c", "2024-01-01T00:00:00Z")]))).await;
    let linked = |pr: &str, name: &str, repository: Value, active: bool| json!({"pr": pr, "repo_full_name": name, "external_repo_id": repository, "repository": repository, "active": active});
    assert_eq!(
        links(&documents).await,
        [linked("PR_1", "O/R", Value::Null, true), linked("PR_2", "o/r", Value::Null, false)]
    );

    documents.transform_cleanly(REPOSITORIES, &json!([repository(&json!(5), "o/r")])).await;
    assert_eq!(
        links(&documents).await,
        [linked("PR_1", "O/R", json!("5"), true), linked("PR_2", "o/r", json!("5"), false)]
    );

    // The repository is renamed; the pull request's own message still has the old name, or another one that nobody knows.
    documents.transform_cleanly(REPOSITORIES, &json!({"repositories": [repository(&json!(5), "o/new")]})).await;
    let mut gone = pull_request("PR_1", "OPEN", "2024-02-02T00:00:00Z");
    gone["full_name"] = json!("o/gone");
    documents.transform(PULL_REQUESTS, &gone).await;
    assert_eq!(links(&documents).await[0], linked("PR_1", "o/gone", json!("5"), true));
}

#[tokio::test]
async fn of_several_repositories_of_one_name_the_greatest_number_is_taken() {
    let documents = Documents::new().await;
    let ids = [
        json!("99"),
        json!("9007199254740993"),
        json!("no number"),
        json!("100000000000000000000000000000000001"),
        json!("0100000000000000000000000000000000002"),
        json!("00000000000000000000000000000000000000000000000000008"),
        json!("-7"),
        json!("zz"),
    ];
    let same: Vec<Value> = ids.iter().map(|id| repository(id, "O/r")).collect();
    documents.add(PULL_REQUESTS, &pull_request("PR_1", "OPEN", "2024-02-01T00:00:00Z")).await;
    documents.add(REPOSITORIES, &json!(same)).await;
    documents.add(PULL_REQUESTS, &pull_request("PR_2", "OPEN", "2024-02-01T00:00:00Z")).await;
    documents.serve(50).await;
    let found: Vec<Value> = links(&documents).await.iter().map(|row| row["repository"].clone()).collect();
    assert_eq!(found, [ids[4].clone(), ids[4].clone()]);
}

#[tokio::test]
async fn pages_come_before_their_pull_request_in_any_order_and_twice() {
    let documents = Documents::new().await;
    let ann = json!({"login": "ann"});
    let third = page("PR_1", "commits", &json!([commit("c3", "2024-01-05T00:00:00Z")]));
    let second = page("PR_1", "commits", &json!([null, commit("c2", "2024-01-03T00:00:00Z")]));
    let reviews = page(
        "PR_1",
        "reviews",
        &json!([
            review("r1", "COMMENTED", &ann, "2024-01-04T00:00:00Z"),
            review("r2", "CHANGES_REQUESTED", &ann, "2024-01-04T01:00:00Z"),
            review("r3", "APPROVED", &json!(null), "2024-01-06T00:00:00Z"),
            review("r4", "PENDING", &json!({"login": "eve"}), "2023-01-01T00:00:00Z"),
        ]),
    );
    let threads = page(
        "PR_1",
        "review_threads",
        &json!([{"id": "t1", "isResolved": true, "comments": {"nodes": [comment("l1", "2024-01-04T00:00:00Z"), null]}},
            {"id": "t2", "isResolved": false}, null]),
    );
    let comments = page("PR_1", "comments", &json!([comment("k1", "2024-01-04T00:00:00Z")]));
    for page in [&third, &reviews, &second, &third, &threads, &comments] {
        documents.add_as(PAGES, PULL_REQUESTS, page).await;
    }
    documents.serve(2).await;
    let expected = |commits: i32, rework: i32| json!({"pr": "PR_1", "counts": [commits, 1, 1, 2, 1, rework, "2024-01-04 00:00:00+00"]});
    assert_eq!(counts(&documents).await, [expected(2, 1)]);
    let placeholder = documents.rows("SELECT active, number, status, pr_created_at FROM prs").await;
    assert_eq!(placeholder, [json!({"active": false, "number": null, "status": null, "pr_created_at": null})]);

    let mut whole = pull_request("PR_1", "OPEN", "2024-02-01T00:00:00Z");
    whole["pr_data"]["commits"] =
        nodes(&json!([commit("c1", "2024-01-01T00:00:00Z"), commit("c2", "2024-01-03T00:00:00Z")]));
    documents.transform(PULL_REQUESTS, &whole).await;
    assert_eq!(counts(&documents).await, [expected(3, 1)]);
    assert_eq!(documents.rows("SELECT active, number FROM prs").await, [json!({"active": true, "number": 7})]);

    let before = documents.platform.versions().await;
    for document in [&whole, &third, &reviews, &threads, &comments] {
        documents.add_as("github_prs", PULL_REQUESTS, document).await;
    }
    documents.serve(50).await;
    assert_eq!(documents.platform.versions().await, before, "the same again changes nothing");
}
