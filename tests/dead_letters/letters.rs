//! Letters to work with, and what is known of them afterwards.

use std::time::Duration;

use etl_shared::api::{DeadLetterPage, LettersSettled};
use serde_json::{Value, json};
use system_tests::{
    Platform, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    eventually,
    http::{Call, Reply},
    platform::{KIND, message, queue_of},
};
use tokio_postgres::Client;

pub(crate) const LETTERS: &str = "/api/v1/admin/dead-letters";
/// Long enough for hundreds of messages on a busy machine.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// A document that can never be transformed: `payload_shape`.
pub(crate) fn bad() -> Value {
    json!({"projects": 7})
}

/// A document of which each seed has rows of its own.
pub(crate) fn good(seed: u64) -> Value {
    createmeta(seed, Shape::SMALL).document
}

/// The real supervisor with real workers.
pub(crate) async fn supervisor(platform: &Platform) -> Supervisor {
    Supervisor::start(&Setup::on(platform)).await
}

/// Submits documents that cannot be transformed, and waits until each has its letter.
pub(crate) async fn given_up(platform: &Platform, tenant: i64, count: usize) -> Vec<i64> {
    let before = open(platform).await;
    let mut rows = Vec::new();
    for _ in 0..count {
        rows.push(platform.submit(tenant, &bad()).await);
    }
    let wanted = before + i64::try_from(count).expect("not so many");
    eventually(format!("{wanted} letters are open"), LONG, async || match open(platform).await {
        found if found == wanted => Ok(()),
        found => Err(format!("{found}")),
    })
    .await;
    rows
}

/// Writes a letter as a worker would have, without a worker: fast where many are needed. Its raw row is failed.
pub(crate) async fn letter(platform: &Platform, tenant: i64, document: &Value) -> i64 {
    let row = platform.add_raw(tenant, KIND, document).await;
    let client = platform.database.client();
    let fail = "UPDATE raw_extraction_data SET status = 'failed' WHERE id = $1";
    client.execute(fail, &[&row]).await.expect("a row can be marked");
    let insert = "INSERT INTO dead_letters (tenant_id, queue, body, headers, reason, detail)
                  VALUES ($1, $2, $3, '{\"job\": \"j-1\", \"x-delivery-count\": 3}', 'transform_failed', 'made by a test')";
    let body = message(tenant, row).to_string().into_bytes();
    client.execute(insert, &[&tenant, &queue_of(tenant), &body]).await.expect("a letter can be written");
    row
}

/// Makes the documents of these rows good ones, a seed each.
pub(crate) async fn mend(platform: &Platform, rows: &[i64]) {
    for (seed, row) in (1..).zip(rows) {
        let update = "UPDATE raw_extraction_data SET raw_data = $2 WHERE id = $1";
        let document = tokio_postgres::types::Json(good(seed));
        platform.database.client().execute(update, &[row, &document]).await.expect("a document can be replaced");
    }
}

/// How many letters are open.
pub(crate) async fn open(platform: &Platform) -> i64 {
    count(platform.database.client(), "replayed_at IS NULL AND discarded_at IS NULL").await
}

/// How many letters satisfy a condition.
pub(crate) async fn count(client: &Client, condition: &str) -> i64 {
    let select = format!("SELECT count(*) FROM dead_letters WHERE {condition}");
    client.query_one(&select, &[]).await.expect("letters can be counted").get(0)
}

/// Numbers of all letters, the oldest first.
pub(crate) async fn ids(platform: &Platform) -> Vec<i64> {
    let rows = platform.database.client().query("SELECT id FROM dead_letters ORDER BY id", &[]).await;
    rows.expect("letters can be listed").iter().map(|row| row.get(0)).collect()
}

/// A page of letters.
pub(crate) async fn page(supervisor: &Supervisor, query: &str) -> DeadLetterPage {
    let reply = supervisor.socket(Call::get(&format!("{LETTERS}?{query}"))).await.expect("the API answers");
    reply.expect_status(200).json()
}

/// Asks for a replay or a discard.
pub(crate) async fn settle(supervisor: &Supervisor, what: &str, selection: Value) -> Reply {
    let call = Call::post(&format!("{LETTERS}/{what}"), selection);
    supervisor.socket(call).await.expect("the API answers")
}

/// A replay that must be answered.
pub(crate) async fn replay(supervisor: &Supervisor, selection: Value) -> LettersSettled {
    settle(supervisor, "replay", selection).await.expect_status(200).json()
}

/// From now on every replay stops between its publishing and its commit, for as long as the returned connection keeps its lock: a
/// deferred trigger runs when the commit begins.
pub(crate) async fn hold_commits(platform: &Platform) -> Client {
    platform
        .database
        .client()
        .batch_execute(
            "CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER held AFTER UPDATE OF replayed_at ON dead_letters
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held();",
        )
        .await
        .expect("a trigger");
    let holder = platform.database.connect().await;
    holder.execute("SELECT pg_advisory_lock(4711)", &[]).await.expect("a lock");
    holder
}

/// Lets the commits go on.
pub(crate) async fn release(holder: &Client) {
    holder.execute("SELECT pg_advisory_unlock(4711)", &[]).await.expect("the lock is ours");
}

/// Waits until a replay stands between its publishing and its commit.
pub(crate) async fn replay_is_held(platform: &Platform) {
    eventually("a replay waits in its commit", system_tests::SOON, async || {
        let select = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND application_name = 'etl-supervisor operators' AND wait_event = 'advisory'";
        let row = platform.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
        if row.get::<_, i64>(0) > 0 { Ok(()) } else { Err("none does".to_owned()) }
    })
    .await;
}
