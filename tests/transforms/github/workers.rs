//! Two workers at once. Each is a real process that is held after it has written and counted, just before it commits.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{
    SOON,
    documents::{Documents, TENANT},
    eventually,
    platform::queue_of,
    worker::{Worker, WorkerRun},
};

use super::{PAGES, PULL_REQUESTS, REPOSITORIES, commit, page, pull_request, repository, review};

/// Keeps everybody from marking a raw row as completed until it is let go.
struct Gate(tokio_postgres::Client);

impl Gate {
    async fn close(documents: &Documents) -> Self {
        let holder = documents.platform.database.connect().await;
        let close = "CREATE OR REPLACE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
            CREATE OR REPLACE TRIGGER gate BEFORE UPDATE ON raw_extraction_data
                FOR EACH ROW WHEN (NEW.status = 'completed') EXECUTE FUNCTION wait_at_the_gate();
            SELECT pg_advisory_lock(1)";
        holder.batch_execute(close).await.expect("a trigger and a lock");
        Self(holder)
    }

    async fn open(self) {
        self.0.batch_execute("SELECT pg_advisory_unlock(1)").await.expect("the lock is held");
    }
}

/// A worker that serves one raw row.
async fn worker(documents: &Documents, kind: &str, document: &Value) -> Worker {
    let raw = documents.platform.add_raw(TENANT, kind, document).await;
    let arguments = ["--queue", &queue_of(TENANT), "--raw-data-id", &raw.to_string(), "--lock-timeout", "30s"];
    WorkerRun::on(&documents.platform).arguments(&arguments).start()
}

async fn workers_wait(documents: &Documents, workers: i64) {
    eventually(format!("{workers} workers wait for a lock"), SOON, async || {
        let select = "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), string_agg(query, '; ')
            FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let row =
            documents.platform.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
        let waiting: i64 = row.get(0);
        if waiting == workers { Ok(()) } else { Err(format!("{waiting}: {:?}", row.get::<_, Option<String>>(1))) }
    })
    .await;
}

/// Serves these documents by a worker each: each begins when the ones before it wait, and all end together.
async fn at_once(documents: &Documents, given: &[(&str, Value)]) {
    let gate = Gate::close(documents).await;
    let mut running = Vec::new();
    for (n, (kind, document)) in (1..).zip(given) {
        running.push(worker(documents, kind, document).await);
        workers_wait(documents, n).await;
    }
    gate.open().await;
    for worker in &mut running {
        let status = worker.wait_within(Duration::from_secs(30)).await;
        assert_eq!(status.code(), Some(0), "{}", worker.log());
    }
}

#[tokio::test]
async fn no_count_is_lost_when_pages_of_one_pull_request_are_written_at_once() {
    let documents = Documents::new().await;
    let whole = pull_request("PR_1", "OPEN", "2024-02-01T00:00:00Z");
    documents.transform(PULL_REQUESTS, &whole).await;
    let ann = json!({"login": "ann"});
    let mut again = whole.clone();
    again["pr_data"]["reviews"] = json!({"nodes": [review("r2", "APPROVED", &ann, "2024-01-02T00:00:00Z")]});
    at_once(
        &documents,
        &[
            (PAGES, page("PR_1", "commits", &json!([commit("c1", "2024-01-05T00:00:00Z")]))),
            (PAGES, page("PR_1", "commits", &json!([commit("c2", "2024-01-05T00:00:00Z")]))),
            (PAGES, page("PR_1", "reviews", &json!([review("r1", "CHANGES_REQUESTED", &ann, "2024-01-03T00:00:00Z")]))),
            (PULL_REQUESTS, again),
        ],
    )
    .await;
    let counts = documents.rows("SELECT commit_count, reviewers, review_cycles, rework_commit_count FROM prs").await;
    let expected = json!({"commit_count": 2, "reviewers": 1, "review_cycles": 1, "rework_commit_count": 2});
    assert_eq!(counts, [expected]);
}

#[tokio::test]
async fn pages_of_an_unknown_pull_request_make_one_placeholder_at_once() {
    let documents = Documents::new().await;
    at_once(
        &documents,
        &[
            (PAGES, page("PR_1", "commits", &json!([commit("c1", "2024-01-05T00:00:00Z")]))),
            (PULL_REQUESTS, pull_request("PR_1", "OPEN", "2024-02-01T00:00:00Z")),
            (PAGES, page("PR_1", "commits", &json!([commit("c2", "2024-01-05T00:00:00Z")]))),
        ],
    )
    .await;
    let counts = documents.rows("SELECT commit_count, number, active FROM prs").await;
    assert_eq!(counts, [json!({"commit_count": 2, "number": 7, "active": true})]);
}

#[tokio::test]
async fn a_pull_request_and_its_repository_find_each_other_when_they_are_written_at_once() {
    let pull_request = (PULL_REQUESTS, pull_request("PR_1", "OPEN", "2024-02-01T00:00:00Z"));
    let repository = (REPOSITORIES, json!([repository(&json!(5), "O/R")]));
    for given in [[pull_request.clone(), repository.clone()], [repository, pull_request]] {
        let documents = Documents::new().await;
        at_once(&documents, &given).await;
        let linked = documents.rows("SELECT external_repo_id, repository_id IS NOT NULL AS linked FROM prs").await;
        assert_eq!(linked, [json!({"external_repo_id": "5", "linked": true})], "first {}", given[0].0);
    }
}
