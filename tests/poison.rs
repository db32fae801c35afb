//! Messages that end their worker: they become dead letters with a report, and nobody else pays for it.

#[path = "poison/adopted.rs"]
mod adopted;
#[path = "poison/deaths.rs"]
mod deaths;
#[path = "poison/neighbours.rs"]
mod neighbours;
#[path = "poison/outside.rs"]
mod outside;

use serde_json::Value;
use system_tests::{Platform, SOON, Supervisor, eventually, platform::queue_of};

/// The one dead letter that there is in the end: poison, with its exit report; the raw row is failed.
async fn the_poison(platform: &Platform, raw: i64) -> Value {
    let row = platform.ended(raw).await;
    assert_eq!(row.status, "failed", "{row:?}");
    assert_eq!(row.error_details.unwrap_or_default()["reason"], "poison");
    let letters = platform.dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let (letter, body) = (&letters[0], serde_json::from_slice::<Value>(&letters[0].body));
    assert_eq!((letter.tenant_id, letter.queue.as_str(), letter.reason.as_str()), (Some(1), &*queue_of(1), "poison"));
    assert_eq!(body.expect("the message as it was")["raw_data_id"], raw);
    let select = "SELECT exit_report FROM dead_letters";
    let report = platform.database.client().query_one(select, &[]).await.expect("a report").get::<_, Option<Value>>(0);
    let report = report.expect("the dead letter says how the workers ended");
    assert_eq!((&report["worker"], &report["in_hand"]), (&"transform-1-1".into(), &1.into()), "{report}");
    assert!(letter.detail.contains(report["verdict"].as_str().expect("a verdict")), "{letter:?}");
    report
}

/// How often a process of a tenant's worker has ended with this, by the supervisor's log.
fn deaths(supervisor: &Supervisor, tenant: i64, verdict: &str) -> usize {
    let ended = |line: &&str| {
        line.contains(&format!("transform-{tenant}-1"))
            && line.contains(&format!("\"verdict\":\"{verdict}"))
            && line.contains("\"from\"")
    };
    supervisor.log().lines().filter(ended).count()
}

/// Waits until so many processes of tenant 1 have left a suspect behind.
async fn suspected(supervisor: &Supervisor, times: usize) {
    eventually(format!("{times} strikes"), SOON, async || {
        let log = supervisor.log();
        let count = log.lines().filter(|line| line.contains("suspected") || line.contains("condemned")).count();
        if count >= times { Ok(()) } else { Err(log) }
    })
    .await;
}

/// Stops the workers and checks that nothing is left in the queue.
async fn everything_is_settled(platform: &Platform, supervisor: &Supervisor) {
    supervisor.control("stop", None).await;
    supervisor.until("everybody is stopped", |status| !status.running).await;
    platform.broker.settled(&queue_of(1)).await;
}
