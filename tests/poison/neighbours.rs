//! One message that ends its worker among 499 that were delivered together with it.

use system_tests::{
    Platform, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    faults::{Fault, faulty},
    fleet,
    platform::queue_of,
};

use crate::{deaths, everything_is_settled, the_poison};

const MESSAGES: u64 = 500;
const POISON: u64 = 230;

async fn one_among_many(platform: Platform, kind: &str) {
    let (mut innocents, mut poison) = (Vec::new(), 0);
    for number in 1..=MESSAGES {
        if number == POISON {
            poison = platform.submit(1, &faulty(number, Fault::Abort)).await;
        } else {
            innocents.push(platform.submit(1, &createmeta(number, Shape::SMALL).document).await);
        }
    }
    let queue = platform.broker.describe(&queue_of(1)).await.expect("there is a queue");
    assert_eq!(queue["type"], kind, "{queue}");
    let supervisor = Supervisor::start(&Setup::faulty(&platform, &["--prefetch", "500"])).await;
    let neighbour = fleet::pid(&supervisor.until_running(&[2]).await, 2);

    let report = the_poison(&platform, poison).await;
    platform.completed(&innocents).await;
    assert_eq!((&report["verdict"], &report["strikes"]), (&"CRASH(SIGABRT)".into(), &2.into()), "{report}");
    assert_eq!(deaths(&supervisor, 1, "CRASH(SIGABRT)"), 2, "it dies with its message twice, and not once more");
    let status = supervisor.status().await.expect("a status");
    assert_eq!(fleet::pid(&status, 2), neighbour, "the other tenant's worker has not noticed anything");
    everything_is_settled(&platform, &supervisor).await;
    assert_eq!(platform.counts(1).await.projects, MESSAGES.cast_signed() - 1);
}

#[tokio::test]
async fn on_a_quorum_queue() {
    one_among_many(Platform::with_tenants(&[1, 2]).await, "quorum").await;
}

#[tokio::test]
async fn on_a_classic_queue() {
    let platform = Platform::new().await;
    for tenant in [1, 2] {
        platform.add_tenant(tenant).await;
        platform.broker.declare_with(&queue_of(tenant), &[]).await;
    }
    one_among_many(platform, "classic").await;
}
