//! One message at a time, on a worker with nothing else to do.

use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::createmeta::{Shape, createmeta};
use tokio::runtime::Runtime;

use super::{
    contender::{Contender, Running},
    memory_line, spread,
    stage::{Stage, TENANT},
};
use crate::{
    Bench,
    measure::{Samples, megabytes},
    outcome::{Doing, Outcome},
    report::Report,
};

const MESSAGES: u64 = 200;
const LARGE: u64 = 5;
/// So that the next message finds the worker waiting.
const PAUSE: Duration = Duration::from_millis(20);

/// From before the publishing until the raw row is seen to be completed, by a query that is asked again and again.
pub(super) fn messages(bench: &Bench, report: &mut Report, runtime: &Runtime) -> Outcome<()> {
    let stage = Stage::new(runtime);
    let mut worker = Contender::Ours.start(bench, &stage)?;
    let mut samples = Samples::default();
    // The first one opens the connections of both sides.
    served(&stage, &mut worker, &createmeta(0, Shape::SMALL).document)?;
    for seed in 1..=MESSAGES {
        bench.patience.pause(PAUSE)?;
        samples.add(served(&stage, &mut worker, &createmeta(seed, Shape::SMALL).document)?);
    }
    spread(report, &format!("a lone message, publish → committed, {MESSAGES} times"), &samples, 15.0);
    Ok(())
}

/// The same with documents of 7.8 MB.
pub(super) fn large_document(bench: &Bench, report: &mut Report, runtime: &Runtime) -> Outcome<()> {
    let stage = Stage::new(runtime);
    let mut worker = Contender::Ours.start(bench, &stage)?;
    let mut samples = Samples::default();
    for seed in 1..=LARGE {
        samples.add(served(&stage, &mut worker, &createmeta(seed, Shape::LARGE).document)?);
    }
    report.figure(format!("createmeta of 7.8 MB, the slowest of {LARGE}"), samples.max() / 1000.0, "s", 1.0);
    report.figure("  peak resident memory", megabytes(memory_line(&worker, "VmHWM:")?), "MB", 120.0);
    Ok(())
}

/// Milliseconds.
fn served(stage: &Stage<'_>, worker: &mut Running, document: &Value) -> Outcome<f64> {
    let platform = stage.platform();
    stage.wait(async {
        let client = platform.database.client();
        let status = client.prepare("SELECT status FROM raw_extraction_data WHERE id = $1").await.doing("prepare")?;
        let raw = platform.add_raw(TENANT, system_tests::platform::KIND, document).await;
        let began = Instant::now();
        let message = system_tests::platform::message(TENANT, raw);
        platform.publish(&system_tests::platform::queue_of(TENANT), &message).await;
        loop {
            let row = client.query_one(&status, &[&raw]).await.doing("look")?;
            match row.get::<_, &str>(0) {
                "completed" => return Ok(began.elapsed().as_secs_f64() * 1000.0),
                "pending" if began.elapsed() < Duration::from_secs(30) => worker.still_runs()?,
                other => return Err(format!("the raw row is {other} after {:?}", began.elapsed()).into()),
            }
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    })
}
