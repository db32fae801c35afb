//! As much memory as the hard limit: the message that takes it is found out.

use system_tests::{
    Platform, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    faults::{Fault, faulty},
    fleet,
    platform::queue_of,
};

#[tokio::test]
async fn a_message_that_takes_all_memory_has_two_deaths_and_becomes_a_dead_letter() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let setup = Setup::faulty(&platform, &[]).set("queues.transform", "memory_soft", "\"64MiB\"").set(
        "queues.transform",
        "memory_max",
        "\"256MiB\"",
    );
    let before = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    let poison = platform.submit(1, &faulty(2, Fault::Grow(300))).await;
    let after = platform.submit(1, &createmeta(3, Shape::SMALL).document).await;
    let supervisor = Supervisor::start(&setup).await;
    let neighbour = fleet::pid(&supervisor.until_running(&[2]).await, 2);

    let row = platform.ended(poison).await;
    assert_eq!((row.status.as_str(), &row.error_details.unwrap()["reason"]), ("failed", &"poison".into()));
    platform.completed(&[before, after]).await;
    let letters = platform.dead_letters().await;
    assert!(letters.len() == 1 && letters[0].detail.contains("OOM"), "{letters:?}");
    let status = supervisor.until_running(&[1, 2]).await;
    assert_eq!((fleet::last_verdict(&status, 1).as_str(), fleet::pid(&status, 2)), ("OOM", neighbour));
    let killed = supervisor.log().matches("as much memory as its hard limit").count();
    assert_eq!(killed, 2, "one strike each time, and the message was alone the second time");
    supervisor.control("stop", None).await;
    supervisor.until("everybody is stopped", |status| !status.running).await;
    platform.broker.settled(&queue_of(1)).await;
}
