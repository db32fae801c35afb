//! Broker and database that are down, are stopped, or are killed. On a stack of their own, one test at a time.

use std::time::Duration;

use etl_shared::api::{FleetStatus, WorkerState};
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    eventually, fleet,
    http::Call,
    platform::{KIND, message, queue_of},
    stack::{OwnStack, Part},
    waiting::holds_for,
};

/// Long enough for a broker to come up and for everybody to connect again: the longest pause of a worker's backoff is 30 s.
const AFTER_AN_OUTAGE: Duration = Duration::from_mins(1);

async fn scene(tenants: &[i64]) -> (OwnStack, Platform) {
    let stack = OwnStack::acquire().await;
    let platform = Platform::on(&stack.endpoints).await;
    for tenant in tenants {
        platform.add_tenant(*tenant).await;
    }
    (stack, platform)
}

fn small(seed: u64) -> serde_json::Value {
    createmeta(seed, Shape::SMALL).document
}

/// Whether some part is not well, and says so about this.
fn complains(status: &FleetStatus, part: &str) -> bool {
    status.supervisor.parts.get(part).is_some_and(|part| !part.ok && !part.detail.is_empty())
}

fn all_well(status: &FleetStatus) -> bool {
    fleet::well(status, &["keeper", "broker", "database", "tenants"])
}

/// No worker has been given up, and none has spent a restart on the outage.
fn assert_no_budget_spent(status: &FleetStatus) {
    for worker in status.tenants.values().flat_map(|tenant| &tenant.workers) {
        assert_ne!(worker.state, WorkerState::Fatal, "{}", fleet::summary(status));
        let verdict = worker.last_exit.as_ref().map(|exit| exit.verdict.to_string());
        assert!(matches!(verdict.as_deref(), None | Some("DEPENDENCY")), "{}", fleet::summary(status));
    }
}

/// Raw rows of two tenants by turns, and a message for each.
async fn publish(platform: &Platform, raws: &mut Vec<i64>, count: usize, first_seed: u64) {
    for number in 0..count {
        let tenant = 1 + i64::try_from(number % 2).expect("small");
        raws.push(platform.add_raw(tenant, KIND, &small(first_seed + number as u64)).await);
        platform.publish(&queue_of(tenant), &message(tenant, raws[raws.len() - 1])).await;
    }
}

#[tokio::test]
async fn started_while_the_broker_is_down() {
    let (stack, platform) = scene(&[1, 2]).await;
    stack.stop(Part::Broker).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until("it is up and says that the broker is away", |status| complains(status, "broker")).await;
    supervisor.tcp(Call::get("/livez")).await.expect_status(200);

    stack.start(Part::Broker).await;
    let status = supervisor
        .until_within("it goes on by itself", AFTER_AN_OUTAGE, |status| {
            fleet::running(status, &[1, 2]) && all_well(status)
        })
        .await;
    assert_no_budget_spent(&status);
    let raw = platform.submit(1, &small(1)).await;
    platform.completed(&[raw]).await;
}

#[tokio::test]
async fn started_for_the_first_time_while_the_database_is_down() {
    let (stack, platform) = scene(&[1, 2]).await;
    stack.stop(Part::Database).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    let status =
        supervisor.until("it is up and says that the database is away", |status| complains(status, "database")).await;
    assert!(status.tenants.is_empty(), "nobody has ever told it of a tenant");
    supervisor.tcp(Call::get("/livez")).await.expect_status(200);

    stack.start(Part::Database).await;
    supervisor
        .until_within("it goes on by itself", AFTER_AN_OUTAGE, |status| {
            fleet::running(status, &[1, 2]) && all_well(status)
        })
        .await;
}

#[tokio::test]
async fn started_again_while_the_database_is_down_it_uses_the_tenants_that_it_knew() {
    let (stack, platform) = scene(&[1, 2]).await;
    let mut supervisor = Supervisor::start(&Setup::on(&platform)).await;
    supervisor.until_running(&[1, 2]).await;
    supervisor.signal(nix::sys::signal::Signal::SIGTERM);
    supervisor.ended().await;

    stack.stop(Part::Database).await;
    supervisor.start_brain().await;
    supervisor
        .until("it knows both tenants", |status| status.tenants.len() == 2 && complains(status, "database"))
        .await;
    stack.start(Part::Database).await;
    supervisor
        .until_within("everybody runs", AFTER_AN_OUTAGE, |status| fleet::running(status, &[1, 2]) && all_well(status))
        .await;
}

/// Work goes on before, during and after an outage of a part; in the end everything has been done, exactly once in effect.
async fn nothing_is_lost(part: Part, how: impl AsyncFnOnce(&OwnStack)) {
    let (stack, platform) = scene(&[1, 2]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    // The broker writes down a new queue only some time after it has confirmed it: RabbitMQ 3.10 that is killed within that
    // time never elects a leader for the queue again. That is the broker's, and not what is tested here.
    holds_for("two queues grow old", Duration::from_secs(3), async || Ok(())).await;
    let mut raws = Vec::new();
    publish(&platform, &mut raws, 60, 1).await;

    // In the middle of it.
    how(&stack).await;
    let name = if part == Part::Broker { "broker" } else { "database" };
    supervisor.until("it says what is away", |status| complains(status, name)).await;
    stack.start(part).await;

    let platform = platform.reconnected().await;
    supervisor
        .until_within("everybody runs", AFTER_AN_OUTAGE, |status| fleet::running(status, &[1, 2]) && all_well(status))
        .await;
    publish(&platform, &mut raws, 20, 1_000).await;
    platform.completed_within(&raws, AFTER_AN_OUTAGE).await;
    let status = supervisor.status().await.expect("a status");
    assert_no_budget_spent(&status);
    if part == Part::Database {
        assert_eq!(fleet::pids(&status, &[1, 2]), before, "the workers have only held still");
    }
    assert_eq!(platform.dead_letters().await, []);
    assert_eq!(platform.counts(1).await.projects + platform.counts(2).await.projects, 80);
    supervisor.control("stop", None).await;
    supervisor.until("everybody is stopped", |status| !status.running).await;
    for tenant in [1, 2] {
        platform.broker.settled(&queue_of(tenant)).await;
    }
}

#[tokio::test]
async fn the_broker_is_stopped_and_started_under_load() {
    nothing_is_lost(Part::Broker, async |stack| stack.stop(Part::Broker).await).await;
}

#[tokio::test]
async fn the_broker_is_killed_and_started_under_load() {
    nothing_is_lost(Part::Broker, async |stack| stack.kill(Part::Broker).await).await;
}

#[tokio::test]
async fn the_database_is_stopped_and_started_under_load() {
    nothing_is_lost(Part::Database, async |stack| stack.stop(Part::Database).await).await;
}

#[tokio::test]
async fn the_database_is_killed_and_started_under_load() {
    nothing_is_lost(Part::Database, async |stack| stack.kill(Part::Database).await).await;
}

#[tokio::test]
async fn a_database_that_fails_stops_nobody() {
    let (stack, platform) = scene(&[1, 2, 3]).await;
    let setup = Setup::on(&platform).set("database", "refresh", "\"200ms\"");
    let supervisor = Supervisor::start(&setup).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2, 3]).await, &[1, 2, 3]);
    stack.stop(Part::Database).await;
    supervisor.until("it says that the database is away", |status| complains(status, "database")).await;
    holds_for("everybody keeps its process", Duration::from_secs(2), async || {
        let status = supervisor.status().await?;
        let same = fleet::running(&status, &[1, 2, 3]) && fleet::pids(&status, &[1, 2, 3]) == before;
        if same { Ok(()) } else { Err(fleet::summary(&status)) }
    })
    .await;
    stack.start(Part::Database).await;
    let status = supervisor.until_within("all is well again", AFTER_AN_OUTAGE, all_well).await;
    assert_eq!(fleet::pids(&status, &[1, 2, 3]), before);
}

#[tokio::test]
async fn most_tenants_disappearing_at_once_is_refused_until_somebody_confirms_it() {
    let (_stack, platform) = scene(&[1, 2, 3, 4, 5]).await;
    let everybody = [1, 2, 3, 4, 5];
    let setup = Setup::on(&platform).set("database", "refresh", "\"300ms\"");
    let supervisor = Supervisor::start(&setup).await;
    let before = fleet::pids(&supervisor.until_running(&everybody).await, &everybody);

    let client = platform.database.client();
    client.batch_execute("UPDATE tenants SET active = false WHERE id <> 1").await.unwrap();
    supervisor.until("it says that it refuses", |status| complains(status, "tenants")).await;
    holds_for("everybody keeps its process", Duration::from_millis(1500), async || {
        let status = supervisor.status().await?;
        let same = everybody.map(|tenant| fleet::pid(&status, tenant)).into_iter().eq(before.iter().copied().map(Some));
        if same { Ok(()) } else { Err(fleet::summary(&status)) }
    })
    .await;

    supervisor.cli_ok(&["tenants", "confirm"]).await;
    let status = supervisor
        .until("only tenant 1 is left", |status| {
            [2, 3, 4, 5].iter().all(|tenant| fleet::pid(status, *tenant).is_none())
        })
        .await;
    assert_eq!(fleet::pid(&status, 1), Some(before[0]));
}

#[tokio::test]
async fn a_tenants_query_that_returns_nothing_stops_nobody() {
    let (_stack, platform) = scene(&[1, 2]).await;
    let setup = Setup::on(&platform).set("database", "refresh", "\"200ms\"");
    let supervisor = Supervisor::start(&setup).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    platform.database.client().batch_execute("UPDATE tenants SET active = false").await.unwrap();
    supervisor.until("it says that it refuses", |status| complains(status, "tenants")).await;

    // The list comes back before anybody has confirmed its loss: as if nothing had happened.
    platform.database.client().batch_execute("UPDATE tenants SET active = true").await.unwrap();
    let status = supervisor.until("all is well again", all_well).await;
    assert_eq!(fleet::pids(&status, &[1, 2]), before);
}

#[tokio::test]
async fn messages_published_while_the_database_is_away_wait_without_being_tried_to_death() {
    let (stack, platform) = scene(&[1]).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    let before = fleet::pids(&supervisor.until_running(&[1]).await, &[1]);
    let mut raws = Vec::new();
    for seed in 1..=10 {
        raws.push(platform.add_raw(1, KIND, &small(seed)).await);
    }
    stack.stop(Part::Database).await;
    for raw in &raws {
        platform.publish(&queue_of(1), &message(1, *raw)).await;
    }
    eventually("the worker holds", SOON, async || {
        let status = supervisor.status().await?;
        let phase = fleet::worker(&status, 1).and_then(|worker| Some(worker.messages.as_ref()?.phase.clone()));
        if phase.as_deref() == Some("holding") { Ok(()) } else { Err(fleet::summary(&status) + &format!("{phase:?}")) }
    })
    .await;
    stack.start(Part::Database).await;
    let platform = platform.reconnected().await;
    platform.completed(&raws).await;
    assert_eq!(platform.dead_letters().await, []);
    assert_eq!(fleet::pids(&supervisor.status().await.unwrap(), &[1]), before);
}
