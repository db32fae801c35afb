//! Somebody kills workers: what they had in hand is not to blame.

use etl_shared::flight::{FlightRecord, Phase};
use nix::sys::signal::Signal;
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    eventually, fleet, processes,
};

use crate::{everything_is_settled, suspected};

/// The worker's process, once it has messages in hand.
async fn at_work(supervisor: &Supervisor) -> FlightRecord {
    let path = supervisor.run_directory().join("flight/transform-1-1");
    eventually("the worker has messages in hand", SOON, async || match FlightRecord::read(&path) {
        Ok(record) if record.phase == Phase::Committing && !record.marks.is_empty() && alive(&record) => Ok(record),
        other => Err(format!("{other:?}")),
    })
    .await
}

fn pid(record: &FlightRecord) -> i32 {
    i32::try_from(record.pid).expect("a pid is small")
}

fn alive(record: &FlightRecord) -> bool {
    processes::alive(pid(record))
}

#[tokio::test]
async fn killed_again_and_again_with_a_batch_in_hand() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut raws = Vec::new();
    for number in 1..=50 {
        raws.push(platform.submit(1, &createmeta(number, Shape::SMALL).document).await);
    }
    // Whoever has this one in hand, in company or alone, does not get on.
    let holder = platform.hold_raw(raws[0]).await;
    let setup = Setup::faulty(&platform, &[]).set("restart", "max_restarts", "1000");
    let supervisor = Supervisor::start(&setup).await;
    for kills in 1..=4 {
        let record = at_work(&supervisor).await;
        // How many come together is the broker's affair, the first time; from then on the one that is held runs alone.
        assert!(kills == 1 || record.marks.len() == 1, "{record:?}");
        processes::signal(pid(&record), Signal::SIGKILL);
        suspected(&supervisor, kills).await;
    }
    holder.batch_execute("ROLLBACK").await.unwrap();

    platform.completed(&raws).await;
    assert_eq!(platform.dead_letters().await, []);
    let status = supervisor.status().await.unwrap();
    assert_eq!(fleet::last_verdict(&status, 1), "CRASH(SIGKILL)");
    everything_is_settled(&platform, &supervisor).await;
    assert_eq!(platform.counts(1).await.projects, 50);
}
