//! The admin API while a thousand workers run: how fast it answers, what that does to supervising, and how soon everybody who
//! listens hears of what happens.

use std::time::Duration;

use etl_shared::api::Role;

use crate::{
    Bench,
    measure::{megabytes, processor_time, proportional_set_size, seconds},
    outcome::Outcome,
    record::now,
    report::Report,
    supervise::{self, Running},
};

mod door;
mod events;
mod load;
pub(crate) mod page;

use load::Load;

const TENANTS: usize = 1000;
/// Connections that stay open, each with one request under way at any time.
const CONNECTIONS: usize = 32;
/// Tokens that nobody uses here: a real installation has some, and every request has to find its own among them.
const OTHER_TOKENS: usize = 50;
/// What has to be reached, and what supervising has to bear.
const RATE: u32 = 10_000;
const WARM: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(10);

pub(crate) fn run(bench: &Bench, report: &mut Report) -> Outcome<()> {
    supervise::attempt(bench, report, TENANTS, measure)
}

fn measure(running: &mut Running<'_>, report: &mut Report) -> Outcome<()> {
    running.launch()?;
    let admin = door::token(&running.supervisor.socket(), Role::Admin)?;
    for _ in 0..OTHER_TOKENS {
        door::token(&running.supervisor.socket(), Role::Viewer)?;
    }
    running.settle()?;
    status(running, report, &admin.token)?;
    events::measure(running, report, &admin.token)?;
    page::measure(running, report, &admin.token)
}

fn status(running: &Running<'_>, report: &mut Report, token: &str) -> Outcome<()> {
    let quiet = running.single_kills()?;
    running.settle()?;
    let [brain, _] = running.own_processes()?;
    let memory = proportional_set_size(brain)?;
    let begin = |rate| Load::begin(running.supervisor.address()?, token, TENANTS, CONNECTIONS, rate);
    let load = begin(None)?;
    running.pause(WARM)?;
    load.take();
    let own = i32::try_from(std::process::id())?;
    let (used, own_used, from) = (processor_time(brain)?, processor_time(own)?, now());
    running.pause(WINDOW)?;
    let latencies = load.take();
    let took = seconds(from, now());
    let used = processor_time(brain)?.saturating_sub(used);
    let own_used = processor_time(own)?.saturating_sub(own_used);
    let beside_all = running.single_kills()?;
    load.end()?;
    running.settle()?;

    let load = begin(Some(RATE))?;
    running.pause(WARM)?;
    load.take();
    let from = now();
    let beside = running.single_kills()?;
    let (paced, paced_took) = (load.take(), seconds(from, now()));
    load.end()?;

    let what = format!("status of one of {TENANTS} tenants, {CONNECTIONS} connections that ask again at once");
    let answers = latencies.len();
    report.at_least(&what, per(answers, took), "requests/s", f64::from(RATE));
    report.context("  median", latencies.median(), "ms");
    report.figure("  p99", latencies.percentile(99), "ms", 20.0);
    report.context("  the slowest", latencies.max(), "ms");
    report.context("  processor time of the supervisor for each", microseconds(used, answers), "µs");
    report.context("  processor time of the client for each", microseconds(own_used, answers), "µs");
    report.context("  more memory of the brain afterwards (PSS)", grown(brain, memory)?, "MB");
    let what = format!("{CONNECTIONS} connections that ask for {RATE} a second together, while workers are killed");
    report.at_least(what, per(paced.len(), paced_took), "requests/s", 0.98 * f64::from(RATE));
    report.figure("  p99", paced.percentile(99), "ms", 20.0);
    report.context("SIGKILL of one worker → its successor's main(), nothing else to do, median", quiet.median(), "ms");
    report.context("  beside these requests, median", beside.median(), "ms");
    report.figure("  beside these requests : nothing else to do", beside.median() / quiet.median(), "×", 1.5);
    report.context("  beside as many requests as both processors can do, median", beside_all.median(), "ms");
    report.context("  beside as many requests as both processors can do, p99", beside_all.percentile(99), "ms");
    Ok(())
}

fn grown(pid: i32, before: u64) -> Outcome<f64> {
    Ok(megabytes(proportional_set_size(pid)?) - megabytes(before))
}

#[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
fn per(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn microseconds(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / per(count, 1.0)
}
