//! Exactly once in effect: twenty thousand messages of every data type, while everything around them is killed.

use std::{collections::BTreeMap, env, time::Duration};

use serde_json::Value;
use system_tests::{
    Platform, Setup, Supervisor, accounts::Installation, eventually, platform::queue_of, worker::Worker,
};

#[path = "torture/chaos.rs"]
mod chaos;
#[path = "torture/github.rs"]
mod github;
#[path = "torture/jira.rs"]
mod jira;
#[path = "torture/world.rs"]
mod world;

use chaos::{Chaos, Summary};
use world::{Message, TENANTS, World};

/// The seed of this run; another one with `TORTURE_SEED=n`.
const SEED: u64 = 3;
/// For so long everything is killed.
const LASTS: Duration = Duration::from_mins(1);
/// Until everything is done after that.
const AFTERWARDS: Duration = Duration::from_mins(2);

/// What is left when all messages are done.
#[derive(Debug, PartialEq)]
struct Outcome {
    tables: BTreeMap<&'static str, Vec<Value>>,
    /// Of every raw row: its status, and why it failed.
    rows: Vec<(i64, String, Option<String>)>,
    /// Of every dead letter: its tenant, its reason, its body.
    letters: Vec<(Option<i64>, String, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_the_tables_are_those_of_an_undisturbed_run() {
    let seed = env::var("TORTURE_SEED").ok().map_or(SEED, |text| text.parse().expect("TORTURE_SEED is a number"));
    let world = World::new(seed);
    assert!(world.messages() >= 20_000, "{} messages", world.messages());

    let expected = undisturbed(&world).await;
    let (found, summary) = disturbed(&world, seed).await;
    summary.assert_enough();
    println!("TORTURE_SEED={seed}: {} messages; {summary}", world.messages());
    compare(&found, &expected);
    for (table, rows) in &found.tables {
        for row in rows {
            assert!(world::belongs(row), "a row of another tenant in {table}: {row}");
        }
    }
}

/// Each tenant's worker has accounts of its own here, so that what they may do has to be enough for everything there is to do.
async fn undisturbed(world: &World) -> Outcome {
    let (installation, _task) = Installation::with_tenants(&TENANTS).await;
    let platform = &installation.platform;
    let workers: Vec<Worker> = TENANTS.map(|tenant| installation.worker(tenant)).into();
    world.lay_the_ground(platform).await;
    let messages = world.store(platform).await;
    platform.broker.publish_all(messages.iter().map(Message::parts)).await;
    done(platform).await;
    for worker in workers {
        worker.drain().await;
    }
    outcome(platform).await
}

async fn disturbed(world: &World, seed: u64) -> (Outcome, Summary) {
    let platform = Platform::with_tenants(&TENANTS).await;
    let setup = Setup::on(&platform)
        .set("restart", "max_restarts", "100000")
        .set("restart", "backoff_max", "\"500ms\"")
        .set("restart", "reset_after", "\"1s\"");
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&TENANTS).await;
    world.lay_the_ground(&platform).await;
    let messages = world.store(&platform).await;

    let mut chaos = Chaos::new(seed, supervisor);
    chaos.while_publishing(&platform, &messages, LASTS).await;
    let (supervisor, summary) = chaos.over().await;
    done(&platform).await;
    supervisor.control("stop", None).await;
    supervisor.until("everybody is stopped", |status| !status.running).await;
    for tenant in TENANTS {
        platform.broker.settled(&queue_of(tenant)).await;
    }
    (outcome(&platform).await, summary)
}

/// Waits until no message is left that could change anything.
async fn done(platform: &Platform) {
    eventually("every message is done", AFTERWARDS, async || {
        let select = "SELECT (SELECT count(*) FROM raw_extraction_data WHERE status = 'pending'),
                             (SELECT count(*) FROM dead_letters)";
        let row = platform.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
        let (pending, letters): (i64, i64) = (row.get(0), row.get(1));
        let expected = i64::try_from(world::DEAD_LETTERS).expect("a small number");
        if pending == 0 && letters == expected {
            return Ok(());
        }
        Err(format!("{pending} rows pending, {letters} dead letters ({expected} expected)"))
    })
    .await;
}

async fn outcome(platform: &Platform) -> Outcome {
    let client = platform.database.client();
    let rows = "SELECT id, status, CASE status WHEN 'failed' THEN error_details->>'reason' END
                FROM raw_extraction_data ORDER BY id";
    let rows = client.query(rows, &[]).await.expect("raw rows can be read");
    let letters = "SELECT tenant_id, reason, convert_from(body, 'UTF8') FROM dead_letters ORDER BY 1, 2, 3";
    let letters = client.query(letters, &[]).await.expect("dead letters can be read");
    Outcome {
        tables: platform.tables().await,
        rows: rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
        letters: letters.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
    }
}

/// Equality that shows the first difference instead of two large heaps.
fn compare(found: &Outcome, expected: &Outcome) {
    for (table, rows) in &expected.tables {
        let other = &found.tables[table];
        if let Some((expected, found)) = rows.iter().zip(other).find(|(a, b)| a != b) {
            panic!("{table} differs: expected {expected:#?}\nfound {found:#?}");
        }
        assert_eq!(other.len(), rows.len(), "rows of {table}");
        assert!(!rows.is_empty(), "nothing was written to {table}");
    }
    let different = found.rows.iter().zip(&expected.rows).find(|(a, b)| a != b);
    assert_eq!(different, None, "raw rows (found, expected)");
    assert_eq!(found.letters, expected.letters, "dead letters");
    assert_eq!(found.rows.len(), expected.rows.len());
}
