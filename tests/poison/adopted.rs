//! Strikes outlive the supervisor that has counted them.

use etl_shared::api::FleetStatus;
use system_tests::{
    Platform, SOON, Setup, Supervisor, eventually,
    faults::{Fault, faulty},
    fleet,
    processes::alive,
};

use crate::{deaths, everything_is_settled, suspected, the_poison};

#[tokio::test]
async fn killed_after_the_first_death_and_away_during_the_second() {
    let platform = Platform::with_tenants(&[1]).await;
    let mut supervisor = Supervisor::prepare(&Setup::faulty(&platform, &[]));
    // Where a worker of another user may take a file away.
    let die = supervisor.home.path().join("die");
    let poison = platform.submit(1, &faulty(1, Fault::AbortWhen(&die))).await;
    supervisor.start_brain().await;
    let first = fleet::pid(&supervisor.until_running(&[1]).await, 1);
    std::fs::write(&die, "").unwrap();
    let another = |status: &FleetStatus| fleet::running(status, &[1]) && fleet::pid(status, 1) != first;
    let second = fleet::pid(&supervisor.until("the first worker is replaced", another).await, 1).unwrap();

    supervisor.kill_brain();
    // It takes the file away when it has the message in hand, and dies without anybody there to hear of it but the keeper.
    std::fs::write(&die, "").unwrap();
    eventually("the second worker dies", SOON, async || if alive(second) { Err(second.to_string()) } else { Ok(()) })
        .await;
    assert!(!die.exists());

    supervisor.start_brain().await;
    let report = the_poison(&platform, poison).await;
    assert_eq!((&report["verdict"], &report["strikes"]), (&"CRASH(SIGABRT)".into(), &2.into()), "{report}");
    everything_is_settled(&platform, &supervisor).await;
}

#[tokio::test]
async fn restarted_between_two_hangs() {
    let platform = Platform::with_tenants(&[1]).await;
    let setup = Setup::faulty(&platform, &[]).set("queues.transform", "job_timeout", "\"1s\"").set(
        "queues.transform",
        "grace",
        "\"200ms\"",
    );
    let poison = platform.submit(1, &faulty(1, Fault::Hang)).await;
    let mut supervisor = Supervisor::start(&setup).await;
    suspected(&supervisor, 1).await;
    supervisor.kill_brain();
    supervisor.start_brain().await;
    let report = the_poison(&platform, poison).await;
    assert_eq!((&report["verdict"], &report["strikes"]), (&"HUNG".into(), &2.into()), "{report}");
    everything_is_settled(&platform, &supervisor).await;
    assert_eq!(deaths(&supervisor, 1, "CRASH"), 0);
}
