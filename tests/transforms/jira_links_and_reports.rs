//! Links to pull requests, and sprint reports.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use system_tests::{
    documents::{Documents, TENANT},
    platform::RawRow,
    worker::Worker,
};

const DEV_STATUS: &str = "jira_dev_status";
const REPORT: &str = "jira_sprint_reports";

/// Issues BEN-1 to BEN-4 with the ids 101 to 104, as if they had been transformed before.
async fn with_issues() -> Documents {
    let documents = Documents::new().await;
    sql(
        &documents,
        "INSERT INTO work_items (tenant_id, integration_id, external_id, key, created)
         SELECT 1, 10, (100 + n)::text, 'BEN-' || n, '2024-01-01T00:00:00Z' FROM generate_series(1, 4) n",
    )
    .await;
    documents
}

async fn sql(documents: &Documents, statement: &str) {
    documents.platform.database.client().batch_execute(statement).await.expect("a statement");
}

fn completed(row: &RawRow, warnings: &Value) {
    assert_eq!(row.status, "completed", "{row:?}");
    assert_eq!(row.error_details.as_ref().map_or(Value::Null, |details| details["warnings"].clone()), *warnings);
}

fn request(number: u32, status: &str, repository: Value) -> Value {
    let mut request = json!({"id": format!("#{number}"), "name": "n", "url": format!("https://github.com/o/r/pull/{number}"),
        "status": status, "source": {"branch": "b"}, "lastUpdate": "2024-01-15T10:30:00.000+0000"});
    request["repositoryId"] = repository;
    request
}

fn details(requests: &[Value]) -> Value {
    json!({"errors": [], "detail": [{"pullRequests": requests}]})
}

fn dev_status(id: u32, requests: &[Value]) -> Value {
    json!({"issue_id": id.to_string(), "issue_key": format!("BEN-{}", id % 100), "dev_status": details(requests)})
}

fn link(issue: &str, number: u32, repository: &str, status: &str) -> Value {
    json!({"tenant_id": 1, "integration_id": 10, "work_item_id": issue, "external_repo_id": repository,
        "repo_full_name": "o/r", "pull_request_number": number, "branch_name": "b", "commit_sha": null,
        "pr_status": status, "active": true})
}

#[tokio::test]
async fn a_link_follows_its_pull_request_and_keeps_the_repository_once_it_is_known() {
    let documents = with_issues().await;
    let links = async || documents.tables().await.remove("work_items_prs_links").unwrap_or_default();
    documents.transform_cleanly(DEV_STATUS, &dev_status(101, &[request(12, "OPEN", json!(null))])).await;
    assert_eq!(links().await, [link("101", 12, "o/r", "OPEN")]);
    documents.transform_cleanly(DEV_STATUS, &dev_status(101, &[request(12, "MERGED", json!("r-7"))])).await;
    assert_eq!(links().await, [link("101", 12, "r-7", "MERGED")]);

    documents.transform_cleanly(DEV_STATUS, &dev_status(101, &[request(12, "DECLINED", json!(null))])).await;
    assert_eq!(links().await, [link("101", 12, "r-7", "DECLINED")]);

    let before = documents.platform.versions().await;
    for sparse in [json!({"url": "https://github.com/o/r/pull/12"}), request(12, "DECLINED", json!(null))] {
        documents.transform_cleanly(DEV_STATUS, &dev_status(101, &[sparse])).await;
    }
    assert_eq!(documents.platform.versions().await, before, "nothing new, nothing written");
}

#[tokio::test]
async fn an_issue_is_found_by_id_or_else_by_key_and_two_names_meet_in_one_row() {
    let documents = with_issues().await;
    let open = details(&[request(1, "OPEN", json!(null))]);
    let merged = details(&[request(1, "MERGED", json!("r-7"))]);
    let batch = json!({"dev_status": [
        {"issue_id": "101", "issue_key": "BEN-4", "dev_details": open},
        {"issue_key": "BEN-1", "dev_details": merged},
        {"issue_id": "999", "issue_key": "BEN-2", "dev_details": open},
        {"issue_id": "404", "issue_key": "BEN-404", "dev_details": open}, {"issue_id": "103", "dev_details": {}}]});
    let row = documents.transform(DEV_STATUS, &batch).await;
    completed(&row, &json!([{"reason": "unresolved_issue", "count": 1, "ids": ["404"]}]));
    let links = documents.rows(
        "SELECT w.key, count(*)::int AS links, min(l.external_repo_id) AS repository FROM work_items_prs_links l
         JOIN work_items w ON w.id = l.work_item_id GROUP BY w.key ORDER BY w.key",
    );
    let expected = [
        json!({"key": "BEN-1", "links": 1, "repository": "r-7"}),
        json!({"key": "BEN-2", "links": 1, "repository": "o/r"}),
    ];
    assert_eq!(links.await, expected);
}

#[tokio::test]
async fn a_document_about_unknown_issues_waits_for_them() {
    let documents = Documents::new().await;
    let waiting = documents.add(DEV_STATUS, &dev_status(101, &[request(1, "OPEN", json!(null))])).await;
    let empty = documents.add(DEV_STATUS, &json!({"issue_id": "101", "issue_key": "BEN-1", "dev_status": {}})).await;
    documents.serve(50).await;
    let letters = documents.platform.dead_letters().await;
    assert_eq!(letters.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>(), ["parent_missing"]);
    assert_eq!(documents.platform.raw(waiting).await.status, "failed");
    completed(&documents.platform.raw(empty).await, &json!(null));
    assert!(documents.tables().await["work_items_prs_links"].is_empty());
}

#[tokio::test]
async fn an_issue_that_is_stored_while_its_links_are_written_is_linked_or_missed_and_never_forgotten() {
    let documents = with_issues().await;
    // Somebody holds a link of the first issue, so the statement waits with a view of the issues from before.
    let holder = documents.platform.database.connect().await;
    holder.batch_execute("BEGIN").await.expect("a transaction");
    let link =
        "INSERT INTO work_items_prs_links (tenant_id, integration_id, work_item_id, external_repo_id, repo_full_name,
            pull_request_number) SELECT 1, 10, id, 'o/r', 'o/r', 1 FROM work_items WHERE external_id = '101'";
    holder.batch_execute(link).await.expect("a link");
    let open = details(&[request(1, "OPEN", json!(null))]);
    let both = json!({"dev_status": [
        {"issue_id": "101", "dev_details": open}, {"issue_id": "105", "dev_details": open}]});
    let raw = documents.add(DEV_STATUS, &both).await;
    let worker = Worker::of_tenant(&documents.platform, TENANT);
    documents.platform.someone_waits_for_a_lock().await;
    let issue = "INSERT INTO work_items (tenant_id, integration_id, external_id, key) VALUES (1, 10, '105', 'BEN-5')";
    sql(&documents, issue).await;
    holder.batch_execute("ROLLBACK").await.expect("the lock ends");
    completed(
        &documents.platform.ended(raw).await,
        &json!([{"reason": "unresolved_issue", "count": 1, "ids": ["105"]}]),
    );
    worker.drain().await;
    assert_eq!(documents.tables().await["work_items_prs_links"].len(), 1);
}

fn report(board: Value, sprint: Value, contents: Value) -> Value {
    let mut document = json!({"sprint_id": 42, "sprint_report": {}});
    document["board_id"] = board;
    document["sprint_report"]["sprint"] = sprint;
    document["sprint_report"]["contents"] = contents;
    document
}

fn sprint_7() -> Value {
    json!({"id": 42, "name": "Sprint 7", "state": "CLOSED", "goal": "ship", "startDate": "15/Jan/24 10:30 AM",
        "isoStartDate": "2024-01-15T10:30:00+0100", "isoEndDate": "2024-01-29T10:30:00+0100"})
}

fn contents(completed: &[&str], punted: &[&str]) -> Value {
    let issues = |keys: &[&str]| -> Vec<Value> {
        keys.iter().map(|key| json!({"key": key, "estimateStatistic": {"statFieldValue": {"value": 3.0}}})).collect()
    };
    json!({"completedIssues": issues(completed), "issuesNotCompletedInCurrentSprint": issues(&["BEN-3"]),
        "puntedIssues": issues(punted), "issueKeysAddedDuringSprint": {"BEN-2": true},
        "completedIssuesEstimateSum": {"value": 6.0}, "issuesNotCompletedEstimateSum": {"value": 3.0},
        "puntedIssuesEstimateSum": {}, "allIssuesEstimateSum": {"value": 12.0}})
}

const SPRINTS: &str = "SELECT external_id AS id, name, state, start_date = '2024-01-15T09:30:00Z' AS started, board_id AS board,
    completion_percentage AS percent, velocity, carry_over_count AS left_over, scope_change_count AS scope FROM sprints";
const MEMBERS: &str = "SELECT w.key, m.sprint_outcome AS outcome, m.added_during_sprint AS added, m.committed,
    m.estimate_at_end AS estimate, to_char(m.added_date AT TIME ZONE 'UTC', 'DD HH24:MI') AS since
    FROM work_items_sprints m JOIN work_items w ON w.id = m.work_item_id ORDER BY w.key";

fn member(key: &str, outcome: &str, added: bool, committed: bool, since: &str) -> Value {
    json!({"key": key, "outcome": outcome, "added": added, "committed": committed, "estimate": 3, "since": since})
}

#[tokio::test]
async fn a_report_stores_a_sprint_that_nobody_has_stored_and_adds_to_one_that_is() {
    let documents = with_issues().await;
    let row = documents
        .transform(REPORT, &report(json!(5), sprint_7(), contents(&["BEN-1", "BEN-2"], &["BEN-4", "BEN-9"])))
        .await;
    completed(&row, &json!([{"reason": "unresolved_issue", "count": 1, "ids": ["BEN-9"]}]));
    let sprint = json!({"id": "42", "name": "Sprint 7", "state": "closed", "started": true, "board": 5, "percent": 50,
        "velocity": 6, "left_over": 1, "scope": 1});
    assert_eq!(documents.rows(SPRINTS).await, std::slice::from_ref(&sprint));
    let members = [
        member("BEN-1", "completed", false, true, "15 09:30"),
        member("BEN-2", "completed", true, false, "15 09:30"),
        member("BEN-3", "not_completed", false, true, "15 09:30"),
        member("BEN-4", "punted", false, false, "15 09:30"),
    ];
    assert_eq!(documents.rows(MEMBERS).await, members);

    let before = documents.platform.versions().await;
    let renamed = json!({"id": 42, "name": "other", "state": "ACTIVE", "isoStartDate": "2020-01-01"});
    let again = contents(&["BEN-1", "BEN-2"], &["BEN-4"]);
    documents.transform_cleanly(REPORT, &report(json!(null), renamed, again.clone())).await;
    documents.transform_cleanly(REPORT, &report(json!("5"), json!(null), again)).await;
    assert_eq!(documents.platform.versions().await, before, "the sprint itself belongs to its issues");

    let mut others = contents(&[], &["BEN-1"]);
    others["completedIssuesEstimateSum"] = json!({"value": 1});
    let row = documents.transform(REPORT, &report(json!(6), sprint_7(), others)).await;
    completed(&row, &json!([{"reason": "other_board", "count": 1, "ids": ["42"]}]));
    assert_eq!(documents.platform.versions().await, before, "another board's report writes nothing");

    let mut empty = contents(&[], &[]);
    empty["allIssuesEstimateSum"] = json!({"value": 0});
    documents.transform_cleanly(REPORT, &report(json!(5), sprint_7(), empty)).await;
    assert_eq!(documents.rows(SPRINTS).await[0]["percent"], Value::Null);
    assert_eq!(documents.rows(MEMBERS).await.len(), 4, "what a report does not list stays");
}

#[tokio::test]
async fn a_report_touches_its_own_columns_only() {
    let documents = with_issues().await;
    sql(
        &documents,
        "INSERT INTO sprints (tenant_id, integration_id, external_id, name, state) VALUES (1, 10, '42', 'Sprint', 'active');
         UPDATE work_items SET created = NULL WHERE key IN ('BEN-1', 'BEN-2');
         INSERT INTO work_items_sprints (tenant_id, integration_id, work_item_id, sprint_id, added_date, removed_date, estimate_at_start)
         SELECT 1, 10, w.id, s.id, '2024-02-02T02:02:00Z', '2024-02-03T00:00:00Z', 8 FROM work_items w, sprints s
         WHERE w.key = 'BEN-1'",
    )
    .await;
    documents.transform_cleanly(REPORT, &report(json!(5), json!(null), contents(&["BEN-1", "BEN-2"], &[]))).await;
    let members = [
        member("BEN-1", "completed", false, true, "02 02:02"),
        member("BEN-3", "not_completed", false, true, "01 00:00"),
    ];
    assert_eq!(documents.rows(MEMBERS).await, members, "without any date there is no row to insert");
    let kept =
        "SELECT removed_date IS NOT NULL AS removed, estimate_at_start AS start FROM work_items_sprints ORDER BY id";
    assert_eq!(documents.rows(kept).await[0], json!({"removed": true, "start": 8}));
    let sprint = json!({"name": "Sprint", "state": "active", "board_id": 5, "start_date": null});
    assert_eq!(documents.rows("SELECT name, state, board_id, start_date FROM sprints").await, [sprint]);
}

#[tokio::test]
async fn a_report_without_its_sprint_waits_for_it() {
    let documents = with_issues().await;
    let raw = documents.add(REPORT, &report(json!(5), json!({"id": 42}), contents(&["BEN-1"], &[]))).await;
    documents.serve(50).await;
    assert_eq!(documents.platform.raw(raw).await.status, "failed");
    assert_eq!(documents.platform.dead_letters().await[0].reason, "parent_missing");
    let tables = documents.tables().await;
    assert!(tables["sprints"].is_empty() && tables["work_items_sprints"].is_empty());
}

/// Random documents about the same few issues, pull requests and sprints.
fn random(dice: &mut StdRng) -> (&'static str, Value) {
    if dice.random_bool(0.8) {
        let mut issue = || {
            let id = 100 + dice.random_range(1..6);
            let requests: Vec<Value> = (0..dice.random_range(0..3))
                .map(|_| {
                    let repository = if dice.random_bool(0.5) { json!(null) } else { json!(dice.random_range(1..3)) };
                    request(dice.random_range(1..4), if dice.random_bool(0.5) { "OPEN" } else { "MERGED" }, repository)
                })
                .collect();
            let mut meta = json!({"issue_key": format!("BEN-{}", id - 100), "dev_details": details(&requests)});
            if dice.random_bool(0.95) {
                meta["issue_id"] = json!(id);
            }
            meta
        };
        // BEN-1 is always there, so that no document has to wait.
        let known = json!({"issue_id": "101", "dev_details": {}});
        (DEV_STATUS, json!({"dev_status": [known, issue(), issue()]}))
    } else {
        let key = |dice: &mut StdRng| format!("BEN-{}", dice.random_range(1..6));
        let (one, two, three) = (key(dice), key(dice), key(dice));
        let board = if dice.random_bool(0.3) { json!(null) } else { json!(dice.random_range(1..3)) };
        let mut report = report(board, sprint_7(), contents(&[&one, &two], &[&three]));
        report["sprint_id"] = json!(dice.random_range(1..9));
        (REPORT, report)
    }
}

#[tokio::test]
async fn however_the_queue_is_cut_into_batches_the_tables_are_the_same() {
    let seed = 1;
    let mut dice = StdRng::seed_from_u64(seed);
    let all: Vec<(&str, Value)> = (0..100).map(|_| random(&mut dice)).collect();
    let mut ends = Vec::new();
    for batch in [1, 7, 50] {
        let documents = with_issues().await;
        for (kind, document) in &all {
            documents.add(kind, document).await;
        }
        documents.serve(batch).await;
        let select = "SELECT id, status, error_details FROM raw_extraction_data ORDER BY id";
        ends.push((batch, documents.tables().await, documents.rows(select).await));
    }
    assert!(!ends[0].1["work_items_prs_links"].is_empty() && !ends[0].1["work_items_sprints"].is_empty());
    for (batch, tables, rows) in &ends[1..] {
        assert_eq!(tables, &ends[0].1, "seed {seed}, batches of {batch}");
        assert_eq!(rows, &ends[0].2, "seed {seed}, batches of {batch}");
    }
}
