//! What happens is seen as it happens, and is remembered: over restarts of the supervisor, and while the database is away.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use etl_shared::api::{EventKind, EventPage, FleetEvent, WorkerState};
use nix::sys::signal::Signal;
use system_tests::{
    Platform, SOON, Setup, Supervisor, binaries, eventually, fleet,
    http::Call,
    processes,
    stack::{OwnStack, Part},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// `etl-supervisor events --follow`, and what it has printed.
struct Follower {
    process: Child,
    output: PathBuf,
}

impl Follower {
    fn of(supervisor: &Supervisor, tenant: i64) -> Self {
        let output = supervisor.directory().join("followed");
        let file = File::create(&output).expect("a file for what it prints");
        let mut command = Command::new(binaries::supervisor());
        command.args(["events", "--follow", "--output", "json"]).arg(tenant.to_string());
        command.arg("--config").arg(supervisor.config()).stdin(Stdio::null()).stdout(file);
        Self { process: command.spawn().expect("the command can be started"), output }
    }

    fn events(&self) -> Vec<FleetEvent> {
        let text = fs::read_to_string(&self.output).expect("what it has printed");
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }

    async fn sees(&self, what: &str, is_it: impl Fn(&FleetEvent) -> bool) {
        eventually(what, SOON, async || {
            let events = self.events();
            if events.iter().any(&is_it) { Ok(()) } else { Err(format!("{events:#?}")) }
        })
        .await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The tenant's history, the oldest first.
async fn history(supervisor: &Supervisor, parameters: &str) -> Result<Vec<FleetEvent>, String> {
    let path = format!("/api/v1/admin/workers/history?limit=500&{parameters}");
    let reply = supervisor.socket(Call::get(&path)).await.map_err(|error| error.to_string())?;
    if reply.status != 200 {
        return Err(format!("{reply:?}"));
    }
    let mut events = reply.json::<EventPage>().events;
    events.reverse();
    Ok(events)
}

fn is_kill(event: &FleetEvent) -> bool {
    event.verdict.as_ref().is_some_and(|verdict| verdict.to_string() == "CRASH(SIGKILL)")
}

/// Whether a stream behind this event begins with another one, because nobody can tell what was missed.
async fn begins_again(supervisor: &Supervisor, last: u64) -> bool {
    let mut stream = UnixStream::connect(supervisor.run_directory().join("api.sock")).await.expect("the socket");
    let path = format!("/api/v1/admin/workers/events?last_event_id={last}");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let reading = async {
        loop {
            assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "it has ended");
            let text = String::from_utf8_lossy(&answer);
            if let Some((_, stream)) = text.split_once("retry: 2000\n")
                && let Some((first, _)) = stream.split_once("\n\n")
            {
                return first != format!("id: {last}");
            }
        }
    };
    timeout(SOON, reading).await.expect("an answer")
}

/// Kills the worker of tenant 1 and waits for its successor.
async fn crash(supervisor: &Supervisor) {
    let before = fleet::pid(&supervisor.until_running(&[1]).await, 1).expect("it has a process");
    processes::signal(before, Signal::SIGKILL);
    let is_replaced = |status: &_| fleet::running(status, &[1]) && fleet::pid(status, 1) != Some(before);
    supervisor.until("the worker is replaced", is_replaced).await;
}

#[tokio::test]
async fn a_crash_is_seen_live_and_remembered_and_who_follows_misses_nothing_over_restarts() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let mut supervisor = Supervisor::start(&Setup::on(&platform)).await;
    let follower = Follower::of(&supervisor, 1);
    crash(&supervisor).await;
    follower.sees("the crash", is_kill).await;

    // Gracefully, and then without any warning.
    let last = history(&supervisor, "").await.expect("the history").last().expect("an event").id;
    supervisor.signal(Signal::SIGTERM);
    supervisor.ended().await;
    supervisor.start_brain().await;
    assert!(!begins_again(&supervisor, last).await, "nothing was lost");
    supervisor.until_running(&[1, 2]).await;
    crash(&supervisor).await;
    let remembered = async || {
        let told = history(&supervisor, "tenant_id=1").await?;
        let kills = told.iter().filter(|event| is_kill(event)).count();
        let written = "SELECT count(*) FROM worker_events WHERE verdict = 'CRASH(SIGKILL)'";
        let written: i64 = platform.database.client().query_one(written, &[]).await.unwrap().get(0);
        if written == 2 && kills == 2 { Ok(()) } else { Err(format!("{written} written, {kills} told: {told:#?}")) }
    };
    eventually("both crashes are remembered", SOON, remembered).await;
    supervisor.kill_brain();
    supervisor.start_brain().await;
    // What the database did not have yet is gone with it.
    assert!(begins_again(&supervisor, last).await, "nobody knows what was lost");
    supervisor.until_running(&[1, 2]).await;
    supervisor.control("restart", Some(1)).await;
    let is_order = |event: &FleetEvent| event.kind == EventKind::Order && event.reason.contains("restart");
    follower.sees("the order", is_order).await;

    supervisor.until_running(&[1, 2]).await;
    eventually("who follows has seen what is remembered", SOON, async || {
        let (seen, known) = (follower.events(), history(&supervisor, "tenant_id=1").await?);
        assert!(seen.is_sorted_by(|one, next| one.id < next.id), "out of order or twice: {seen:#?}");
        assert!(seen.iter().all(|event| event.tenant_id.is_some_and(|tenant| tenant.get() == 1)), "{seen:#?}");
        if seen == known { Ok(()) } else { Err(format!("seen {seen:#?}\n\nremembered {known:#?}")) }
    })
    .await;
    let seen = follower.events();
    assert_eq!(seen.iter().filter(|event| is_kill(event)).count(), 2, "{seen:#?}");
    let order = seen.iter().find(|event| is_order(event)).unwrap();
    assert!(order.by.as_ref().is_some_and(|by| by.starts_with("uid ")), "{order:?}");
    let stopping = seen.iter().find(|event| event.id > order.id && event.to == Some(WorkerState::Stopping));
    assert!(stopping.is_some(), "the order comes before what it leads to: {seen:#?}");

    let line = supervisor.cli_ok(&["events", "1"]).await;
    assert!(line.contains("transform-1-1") && line.contains("→ STARTING  CRASH(SIGKILL)"), "{line}");
}

#[tokio::test]
async fn what_happens_while_the_database_is_away_is_remembered_when_it_is_back() {
    let stack = OwnStack::acquire().await;
    let platform = Platform::on(&stack.endpoints).await;
    platform.add_tenant(1).await;
    let supervisor = Supervisor::start(&Setup::on(&platform)).await;
    let pid = fleet::pid(&supervisor.until_running(&[1]).await, 1).unwrap();
    let follower = Follower::of(&supervisor, 1);
    follower.sees("it follows", |event| event.to == Some(WorkerState::Running)).await;
    stack.stop(Part::Database).await;
    processes::signal(pid, Signal::SIGKILL);
    follower.sees("the crash, all the same", is_kill).await;
    stack.start(Part::Database).await;
    let _platform = platform.reconnected().await;
    supervisor.until_running(&[1]).await;

    eventually("all of it is remembered", SOON, async || {
        let (seen, known) = (follower.events(), history(&supervisor, "tenant_id=1").await?);
        if seen == known { Ok(()) } else { Err(format!("seen {seen:#?}\n\nremembered {known:#?}")) }
    })
    .await;
    // Whoever watches the database may come back to it later than whoever writes the history.
    eventually("it is told that the database was away", SOON, async || {
        let events = history(&supervisor, "").await?;
        let says =
            |words: &str| events.iter().any(|event| event.kind == EventKind::Part && event.reason.starts_with(words));
        if says("database does not work") && says("database works again") {
            Ok(())
        } else {
            Err(format!("{events:#?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn events_that_are_too_old_are_forgotten_and_no_others() {
    let platform = Platform::with_tenants(&[1]).await;
    let insert = |count: u32, first: u32, days: u32| {
        format!(
            "INSERT INTO worker_events (id, source, at, kind, reason)
             SELECT {first} + n, 'elsewhere', now() - interval '{days} days', 'order', 'x' FROM generate_series(1, {count}) AS n"
        )
    };
    platform.database.client().batch_execute(&insert(12_000, 0, 31)).await.unwrap();
    platform.database.client().batch_execute(&insert(3, 20_000, 29)).await.unwrap();
    let _supervisor = Supervisor::start(&Setup::on(&platform)).await;
    eventually("the old ones are gone", SOON, async || {
        let select = "SELECT count(*) FILTER (WHERE id < 20000), count(*) FILTER (WHERE id BETWEEN 20000 AND 20100)
                      FROM worker_events";
        let row = platform.database.client().query_one(select, &[]).await.unwrap();
        match (row.get::<_, i64>(0), row.get::<_, i64>(1)) {
            (0, 3) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_tenant_that_comes_or_goes_is_told_once_and_a_restart_is_no_news() {
    let platform = Platform::with_tenants(&[1, 2, 3]).await;
    let setup = Setup::on(&platform).set("database", "refresh", "\"200ms\"");
    let mut supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1, 2, 3]).await;
    platform.add_tenant(4).await;
    supervisor.until_running(&[4]).await;
    platform.database.client().batch_execute("UPDATE tenants SET active = false WHERE id = 3").await.unwrap();
    supervisor.until("tenant 3 is gone", |status| fleet::worker(status, 3).is_none()).await;
    supervisor.signal(Signal::SIGTERM);
    supervisor.ended().await;
    supervisor.start_brain().await;
    supervisor.until_running(&[1, 2, 4]).await;
    let told: Vec<_> = history(&supervisor, "")
        .await
        .unwrap()
        .into_iter()
        .filter(|event| event.kind == EventKind::Tenants)
        .map(|event| (event.tenant_id.map(etl_shared::TenantId::get), event.reason))
        .collect();
    let words: Vec<_> = told.iter().map(|(tenant, reason)| (*tenant, reason.as_str())).collect();
    let expected = [
        (None, "3 tenants added, 0 removed: 3 now, from the database"),
        (Some(1), "tenant 1 added"),
        (Some(2), "tenant 2 added"),
        (Some(3), "tenant 3 added"),
        (None, "1 tenants added, 0 removed: 4 now, from the database"),
        (Some(4), "tenant 4 added"),
        (None, "0 tenants added, 1 removed: 3 now, from the database"),
        (Some(3), "tenant 3 removed"),
        // Until then it was shown, and whoever shows it has to hear when to stop.
        (Some(3), "the last worker of tenant 3 is gone"),
    ];
    assert_eq!(words, expected);
}
