//! Replays that are interrupted at the worst moments, and done again: nothing is lost, nothing is doubled.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use system_tests::{Platform, Supervisor, eventually, platform::queue_of};

use super::letters::{
    LONG, count, given_up, hold_commits, ids, letter, mend, open, release, replay, replay_is_held, settle, supervisor,
};

/// A variable with the seed of a run to repeat.
const SEED: &str = "REPLAY_SEED";

/// Begins a replay of everything, and returns when its message is in the queue and its commit is held.
async fn replay_up_to_its_commit(platform: &Platform, supervisor: &Supervisor) {
    let replaying = settle(supervisor, "replay", json!({"filter": {}}));
    tokio::select! {
        reply = replaying => panic!("the replay was not held: {reply:?}"),
        () = replay_is_held(platform) => {}
    }
}

/// Ends the held session as a server that goes down would: what was not committed is rolled back.
async fn roll_back_the_held_replay(platform: &Platform) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
               AND application_name = 'etl-supervisor operators'";
    platform.database.connect_as_admin().await.execute(end, &[]).await.expect("a session can be ended");
    eventually("the held session is gone", LONG, async || {
        let select = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND application_name = 'etl-supervisor operators'";
        let row = platform.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
        if row.get::<_, i64>(0) == 0 { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;
}

#[tokio::test]
async fn killed_between_publishing_and_commit_with_a_document_that_is_good_now() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut supervisor = supervisor(&platform).await;
    let rows = given_up(&platform, 1, 1).await;
    mend(&platform, &rows).await;
    let holder = hold_commits(&platform).await;
    replay_up_to_its_commit(&platform, &supervisor).await;
    supervisor.kill_brain();
    roll_back_the_held_replay(&platform).await;
    release(&holder).await;
    // The message was in the queue, so the work is done, and nobody knows it of the letter.
    platform.completed(&rows).await;
    assert_eq!(open(&platform).await, 1, "the letter is open again");
    let versions = platform.versions().await;

    supervisor.start_brain().await;
    supervisor.until_running(&[1]).await;
    assert_eq!(replay(&supervisor, json!({"filter": {}})).await.done, 1);
    supervisor.control("stop", Some(1)).await;
    platform.broker.settled(&queue_of(1)).await;
    assert_eq!(platform.versions().await, versions, "a message that is done is acknowledged without work");
    assert_eq!((ids(&platform).await.len(), open(&platform).await), (1, 0));
}

#[tokio::test]
async fn killed_between_publishing_and_commit_with_a_document_that_is_still_bad() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut supervisor = supervisor(&platform).await;
    let rows = given_up(&platform, 1, 1).await;
    let holder = hold_commits(&platform).await;
    replay_up_to_its_commit(&platform, &supervisor).await;
    supervisor.kill_brain();
    roll_back_the_held_replay(&platform).await;
    release(&holder).await;
    // The message fails once more and finds its letter open.
    eventually("it was given up a second time", LONG, async || match platform.raw(rows[0]).await {
        row if row.attempts >= 2 => Ok(()),
        row => Err(format!("{row:?}")),
    })
    .await;
    assert_eq!((ids(&platform).await.len(), open(&platform).await), (1, 1), "one letter, not two");

    supervisor.start_brain().await;
    supervisor.until_running(&[1]).await;
    mend(&platform, &rows).await;
    assert_eq!(replay(&supervisor, json!({"filter": {}})).await.done, 1);
    platform.completed(&rows).await;
    assert_eq!((ids(&platform).await.len(), open(&platform).await), (1, 0));
}

#[tokio::test]
async fn killed_when_the_commit_was_sent_and_its_answer_was_not_read() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut supervisor = supervisor(&platform).await;
    let rows = given_up(&platform, 1, 1).await;
    mend(&platform, &rows).await;
    let holder = hold_commits(&platform).await;
    replay_up_to_its_commit(&platform, &supervisor).await;
    supervisor.kill_brain();
    release(&holder).await;
    platform.completed(&rows).await;
    eventually("the commit took place", LONG, async || match open(&platform).await {
        0 => Ok(()),
        open => Err(format!("{open} open")),
    })
    .await;
    supervisor.start_brain().await;
    supervisor.until_running(&[1]).await;
    assert_eq!(replay(&supervisor, json!({"filter": {}})).await.matched, 0);
}

/// Two tenants, good and bad documents; the brain is killed at random moments while the command replays, again and again.
#[tokio::test]
async fn killed_at_random_until_everything_is_replayed() {
    const OF_EACH: i64 = 150;
    const KILLS: usize = 8;
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    let mut dice = StdRng::seed_from_u64(seed);
    let platform = Platform::with_tenants(&[1, 2]).await;
    let mut supervisor = supervisor(&platform).await;
    supervisor.until_running(&[1, 2]).await;
    let mut mended = Vec::new();
    for tenant in [1, 2] {
        let mut rows = Vec::new();
        for number in 0..OF_EACH {
            let row = letter(&platform, tenant, &json!({"projects": number})).await;
            // Every tenth document stays bad.
            if number % 10 != 0 {
                rows.push(row);
            }
        }
        mend(&platform, &rows).await;
        mended.extend(rows);
    }
    let written = ids(&platform).await;
    let first_round = *written.last().expect("there are letters");
    for _ in 0..KILLS {
        let command = supervisor.cli(&["dead-letters", "replay", "--all"]);
        let within = Duration::from_millis(dice.random_range(5..120));
        let began = Instant::now();
        let kill = eventually(format!("it is time to kill, seed {seed}"), LONG, async || {
            if began.elapsed() >= within { Ok(()) } else { Err(format!("{:?}", began.elapsed())) }
        });
        // Whether the command or the blow comes first is left to chance.
        tokio::join!(command, async {
            kill.await;
            supervisor.signal(nix::sys::signal::Signal::SIGKILL);
        });
        supervisor.kill_brain();
        supervisor.start_brain().await;
        supervisor.until_running(&[1, 2]).await;
    }
    let select = format!("id <= {first_round} AND replayed_at IS NULL");
    eventually(format!("every letter of the first round is replayed, seed {seed}"), LONG, async || {
        let printed = supervisor.cli(&["dead-letters", "replay", "--all", "--limit", "500"]).await;
        match count(platform.database.client(), &select).await {
            0 => Ok(()),
            left => Err(format!("{left} left; {printed:?}")),
        }
    })
    .await;
    platform.completed_within(&mended, LONG).await;

    // The rows that a second transformation writes are the same ones, but it would be counted.
    let attempts = "SELECT count(*) FROM raw_extraction_data WHERE id = ANY($1) AND attempts <> 1";
    let worked_twice = platform.database.client().query_one(attempts, &[&mended]).await.unwrap();
    assert_eq!(worked_twice.get::<_, i64>(0), 0, "documents that were not transformed exactly once, seed {seed}");
    let versions = platform.versions().await;

    // Every bad message has exactly one open letter, no good one has, and the rows are those of one transformation each.
    let bad = 2 * OF_EACH / 10;
    eventually(format!("{bad} messages have an open letter, seed {seed}"), LONG, async || {
        let open = open(&platform).await;
        if open == bad { Ok(()) } else { Err(format!("{open} open")) }
    })
    .await;
    supervisor.control("stop", None).await;
    for tenant in [1, 2] {
        platform.broker.settled(&queue_of(tenant)).await;
        let counts = platform.counts(tenant).await;
        let documents = OF_EACH - OF_EACH / 10;
        assert_eq!((counts.projects, counts.custom_fields), (documents, 2 * documents), "tenant {tenant}, seed {seed}");
    }
    assert_eq!(platform.versions().await, versions, "what came twice was done twice, seed {seed}");
    let client = platform.database.client();
    assert_eq!(open(&platform).await, bad, "seed {seed}");
    let rows = "SELECT count(*) FROM raw_extraction_data WHERE status <> 'completed' AND status <> 'failed'";
    assert_eq!(client.query_one(rows, &[]).await.unwrap().get::<_, i64>(0), 0, "seed {seed}");
    let doubled = "SELECT count(*) FROM (SELECT body_hash FROM dead_letters
                   WHERE replayed_at IS NULL AND discarded_at IS NULL GROUP BY queue, body_hash HAVING count(*) > 1) AS t";
    assert_eq!(client.query_one(doubled, &[]).await.unwrap().get::<_, i64>(0), 0, "seed {seed}");
}
