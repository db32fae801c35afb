//! Somebody kills workers: what they had in hand is not to blame.

use nix::sys::signal::Signal;
use system_tests::{
    Platform, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    fleet, processes,
};

use crate::{everything_is_settled, suspected};

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
        let status = supervisor.until_running(&[1]).await;
        platform.someone_waits_for_a_lock().await;
        processes::signal(fleet::pid(&status, 1).unwrap(), Signal::SIGKILL);
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
