//! The worker at work: how fast it is beside a Python worker and beside itself without batches, how soon a lone message is
//! done, and what memory it takes.

use std::{process::Child, time::Duration};

use tokio::runtime;

use crate::{
    Bench,
    measure::{Samples, megabytes},
    outcome::{Doing, Outcome},
    report::Report,
};

mod contender;
mod load;
mod lone;
mod stage;

use contender::Contender;
use load::Load;
use stage::Stage;

/// Messages in the queue when a contender begins.
const QUEUED: usize = 20_000;
/// A contender that is not done by then is measured by what it has done.
const LONGEST: Duration = Duration::from_secs(20);
const SOME: usize = 1_000;
const MANY: usize = 100_000;

pub(crate) fn run(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    rates(bench, report, &runtime)?;
    lone::messages(bench, report, &runtime)?;
    lone::large_document(bench, report, &runtime)?;
    memory(bench, report, &runtime)
}

/// Every contender has the same documents, a database and a virtual host of its own.
fn rates(bench: &Bench, report: &mut Report, runtime: &runtime::Runtime) -> Outcome<()> {
    let mut rate = |contender: Contender| -> Outcome<f64> {
        let stage = Stage::new(runtime);
        stage.load(&Load::first(QUEUED))?;
        let mut process = contender.start(bench, &stage)?;
        let rate = stage.rate(bench, &mut process, QUEUED, LONGEST)?;
        report.context(format!("{}: messages/s", contender.name()), rate, "/s");
        Ok(rate)
    };
    let ours = rate(Contender::Ours)?;
    let single = rate(Contender::OursOneByOne)?;
    let python = rate(Contender::PythonOneByOne)?;
    let batching = rate(Contender::PythonBatching)?;
    report.at_least("ours : Python, a message a transaction", ours / python, "×", 15.0);
    report.at_least("ours : Python in batches of 50", ours / batching, "×", 3.0);
    report.at_least("ours : ours with batch 1", ours / single, "×", 6.0);
    Ok(())
}

/// One worker, first a thousand messages and then a hundred thousand.
fn memory(bench: &Bench, report: &mut Report, runtime: &runtime::Runtime) -> Outcome<()> {
    let stage = Stage::new(runtime);
    let mut worker = Contender::Ours.start(bench, &stage)?;
    let mut after = |from: usize, to: usize| -> Outcome<u64> {
        stage.load(&Load { from, to })?;
        stage.all_done(bench, &mut worker, to, Duration::from_mins(3))?;
        resident(&worker)
    };
    let few = after(0, SOME)?;
    let many = after(SOME, SOME + MANY)?;
    report.context(format!("resident memory after {SOME} messages"), megabytes(few), "MB");
    report.context(format!("resident memory after {MANY} more"), megabytes(many), "MB");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let ratio = many as f64 / few as f64;
    report.figure("  the second : the first", ratio, "×", 1.2);
    Ok(())
}

fn resident(process: &Child) -> Outcome<u64> {
    memory_line(process, "VmRSS:")
}

/// A line of `/proc/PID/status`, in bytes.
fn memory_line(process: &Child, line: &str) -> Outcome<u64> {
    let path = format!("/proc/{}/status", process.id());
    let text = std::fs::read_to_string(&path).doing(&path)?;
    let kilobytes =
        text.lines().find_map(|text| text.strip_prefix(line)?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| format!("{path} has no {line}").into())
}

/// The median and the extremes of times in milliseconds.
fn spread(report: &mut Report, what: &str, samples: &Samples, reach: f64) {
    report.figure(format!("{what}, median"), samples.median(), "ms", reach);
    report.context("  99th percentile", samples.percentile(99), "ms");
    report.context("  the slowest", samples.max(), "ms");
}
