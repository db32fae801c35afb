//! Every way in which a message can end its worker.

use serde_json::Value;
use system_tests::{
    Platform, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    faults::{Fault, faulty},
};

use crate::{deaths, everything_is_settled, the_poison};

/// The poison between two others; returns the exit report.
async fn dies_of(fault: Fault<'_>, verdict: &str, set: impl Fn(Setup) -> Setup) -> Value {
    let platform = Platform::with_tenants(&[1]).await;
    let before = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    let poison = platform.submit(1, &faulty(2, fault)).await;
    let after = platform.submit(1, &createmeta(3, Shape::SMALL).document).await;
    let supervisor = Supervisor::start(&set(Setup::faulty(&platform, &[]))).await;
    let report = the_poison(&platform, poison).await;
    platform.completed(&[before, after]).await;
    assert_eq!((&report["verdict"], &report["strikes"]), (&verdict.into(), &2.into()), "{report}");
    assert_eq!(report["earlier"][0]["verdict"], verdict, "{report}");
    assert_eq!(deaths(&supervisor, 1, verdict), 2);
    everything_is_settled(&platform, &supervisor).await;
    report
}

#[tokio::test]
async fn a_stack_that_overflows() {
    dies_of(Fault::Overflow, "CRASH(SIGABRT)", |setup| setup).await;
}

#[tokio::test]
async fn a_panic() {
    // As it is shipped, a program aborts where it would unwind during development.
    let verdict = if cfg!(debug_assertions) { "EXIT(101)" } else { "CRASH(SIGABRT)" };
    dies_of(Fault::Panic, verdict, |setup| setup).await;
}

#[tokio::test]
async fn memory_that_is_not_its_own() {
    let report = dies_of(Fault::Segfault, "CRASH(SIGSEGV)", |setup| setup).await;
    assert_eq!(report["signal"], 11);
}

#[tokio::test]
async fn more_memory_than_it_may_have() {
    dies_of(Fault::Memory, "CRASH(SIGABRT)", |setup| setup).await;
}

#[tokio::test]
async fn work_that_never_ends() {
    dies_of(Fault::Hang, "HUNG", |setup| {
        setup.set("queues.transform", "job_timeout", "\"500ms\"").set("queues.transform", "grace", "\"300ms\"")
    })
    .await;
}
