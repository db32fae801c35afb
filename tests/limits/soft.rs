//! More memory than the soft limit: replaced where that helps, left alone where it does not.

use std::time::Duration;

use nix::sys::signal::Signal;
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    eventually,
    faults::{Fault, faulty},
    fleet,
    platform::queue_of,
    scripted::Do,
    waiting::holds_for,
};

#[tokio::test]
async fn a_worker_that_has_grown_is_replaced_while_its_queue_is_consumed_all_the_time() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let setup = Setup::faulty(&platform, &[]).set("queues.transform", "memory_soft", "\"64MiB\"");
    let supervisor = Supervisor::start(&setup).await;
    let before = fleet::pids(&supervisor.until_running(&[1, 2]).await, &[1, 2]);
    let mut raws = vec![platform.submit(1, &faulty(1, Fault::Keep(100))).await];
    let mut number = 1;
    let status = eventually("the worker is replaced", SOON, async || {
        let consumers = platform.broker.depth(&queue_of(1)).await.expect("there is a queue").consumers;
        assert!(consumers > 0, "nobody consumes the queue\n{}", supervisor.log());
        number += 1;
        raws.push(platform.submit(1, &createmeta(number, Shape::SMALL).document).await);
        let status = supervisor.status().await?;
        let crew = &status.tenants.values().next().expect("there are tenants").workers;
        let replaced = fleet::running(&status, &[1]) && fleet::last_verdict(&status, 1) == "RECYCLE";
        if replaced && crew.len() == 1 { Ok(status) } else { Err(fleet::summary(&status)) }
    })
    .await;
    assert_ne!(fleet::pids(&status, &[1])[0], before[0]);
    assert_eq!(fleet::pids(&status, &[2])[0], before[1], "the other tenant's worker has not noticed anything");
    platform.completed(&raws).await;
    assert_eq!(platform.dead_letters().await, []);
}

#[tokio::test]
async fn a_program_that_needs_more_from_its_start_is_left_running_and_the_limit_is_named() {
    let setup = |soft: &str| {
        let setup = Setup::scripted("[1, 2]").set("queues.transform", "memory_soft", soft);
        setup.set("queues.transform", "memory_max", "\"1GiB\"")
    };
    let supervisor = Supervisor::start_prepared(&setup("\"64MiB\""), |home| home.plan(1, &[Do::Memory(100)])).await;
    let says_so =
        |supervisor: &Supervisor| supervisor.log().matches("memory_soft is too small for this program").count();
    let reason = |status: &_| fleet::worker(status, 1).map(|worker| worker.reason.clone()).unwrap_or_default();
    let status =
        supervisor.until("the limit is named", |status| reason(status).contains("memory_soft is too small")).await;
    let pid = fleet::pids(&status, &[1])[0];
    assert!(fleet::running(&status, &[1]) && reason(&status).contains("fresh it uses 1"), "{}", reason(&status));
    holds_for("it is left alone, and that is not said again", Duration::from_secs(4), async || {
        let status = supervisor.status().await?;
        let same = fleet::pid(&status, 1) == Some(pid) && says_so(&supervisor) == 1;
        if same { Ok(()) } else { Err(fleet::summary(&status)) }
    })
    .await;

    supervisor.configure(&setup("\"512MiB\""));
    supervisor.signal(Signal::SIGHUP);
    supervisor.until("the limit is large enough", |status| !reason(status).contains("memory_soft")).await;
    supervisor.configure(&setup("\"64MiB\""));
    supervisor.signal(Signal::SIGHUP);
    supervisor.until("it is not any more", |status| reason(status).contains("memory_soft")).await;
    supervisor.control("restart", Some(1)).await;
    let another = |status: &_| fleet::pid(status, 1).is_some_and(|now| now != pid);
    supervisor
        .until("an operator has it begin anew", |status| another(status) && !reason(status).contains("memory_soft"))
        .await;
    supervisor.until("and it is said anew", |status| reason(status).contains("memory_soft")).await;
    assert_eq!((supervisor.home.born_of(1).len(), supervisor.home.born_of(2).len(), says_so(&supervisor)), (2, 1, 3));
}
