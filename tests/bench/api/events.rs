//! Hundreds of clients that follow what happens, while workers are killed: when each of them hears of it.

use std::{collections::BTreeSet, time::Duration};

use etl_shared::api::{EventKind, FleetEvent, WorkerState};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{grown, microseconds, per};
use crate::{
    measure::{Samples, megabytes, processor_time, proportional_set_size, seconds},
    outcome::{Doing, Outcome},
    record::now,
    report::Report,
    supervise::Running,
};

mod follower;
mod followers;
mod sleeper;

use followers::Followers;
use sleeper::Sleeper;

/// Clients that follow.
const FOLLOWERS: usize = 500;
/// Each of them is two changes of a state: its process ends and the next one is started, which is then running.
const KILLS_A_SECOND: u32 = 52;
const WINDOW: Duration = Duration::from_secs(25);
/// What was told last has arrived by then, or it is late anyway.
const LATEST: Duration = Duration::from_secs(2);

pub(super) fn measure(running: &Running<'_>, report: &mut Report, token: &str) -> Outcome<()> {
    // The events that are kept in memory for latecomers are as many as there will ever be.
    for _ in 0..3 {
        running.kill_everybody()?;
    }
    running.settle()?;
    let [brain, _] = running.own_processes()?;
    let alone = proportional_set_size(brain)?;
    let address = running.supervisor.address()?;
    let followers = Followers::begin(address, token, FOLLOWERS)?;
    let sleeper = Sleeper::begin(address, token)?;
    running.settle()?;
    let connected = proportional_set_size(brain)?;

    let own = i32::try_from(std::process::id())?;
    let (used, own_used, began) = (processor_time(brain)?, processor_time(own)?, now());
    let killed = kill_steadily(running, KILLS_A_SECOND, WINDOW)?;
    let took = seconds(began, now());
    let after = proportional_set_size(brain)?;
    running.pause(LATEST)?;
    let used = processor_time(brain)?.saturating_sub(used);
    let own_used = processor_time(own)?.saturating_sub(own_used);
    let heard = followers.end()?;
    let cut_off = sleeper.was_cut_off()?;

    let events = heard.told.len();
    report.at_least(
        format!("state changes while {FOLLOWERS} clients follow"),
        per(changes(&heard.told), took),
        "a second",
        100.0,
    );
    report.context("  workers killed", per(killed, 1.0), "");
    let mut lost = heard.missing;
    lost += killed.saturating_sub(running_again(&heard.told));
    report.figure("  events that a client did not get, of all clients", per(lost, 1.0), "", 0.0);
    let delays = Samples::from(heard.delays);
    report.figure("  from the event until a client has it, the slowest of all", delays.max(), "ms", 250.0);
    report.context("  p99", delays.percentile(99), "ms");
    report.context("  median", delays.median(), "ms");
    report.context(
        "  processor time of the supervisor for each event and client",
        microseconds(used, events * FOLLOWERS),
        "µs",
    );
    report.context("  processor time of the clients for the same", microseconds(own_used, events * FOLLOWERS), "µs");
    report.context(
        "  memory of the brain with these clients and without them (PSS)",
        megabytes(connected) - megabytes(alone),
        "MB more",
    );
    report.figure("  what it grew by while they were told", megabytes(after) - megabytes(connected), "MB", 5.0);
    report.figure("  clients that do not read and are still connected", if cut_off { 0.0 } else { 1.0 }, "", 0.0);
    running.settle()?;
    report.context("  memory afterwards, more than before", grown(brain, alone)?, "MB");
    Ok(())
}

/// Kills workers at this rate for this long; returns how many.
pub(super) fn kill_steadily(running: &Running<'_>, rate: u32, window: Duration) -> Outcome<usize> {
    let (began, mut killed) = (now(), 0_u32);
    loop {
        // A status that is asked for at once may still name the process that was killed last.
        running.pause(Duration::from_millis(200))?;
        let (_, workers) = running.wait_for_status()?;
        for pid in workers.values().step_by(2) {
            let due = began + u64::from(killed) * 1_000_000_000 / u64::from(rate);
            running.pause(Duration::from_nanos(due.saturating_sub(now())))?;
            if Duration::from_nanos(now() - began) > window {
                return Ok(usize::try_from(killed)?);
            }
            kill(Pid::from_raw(*pid), Signal::SIGKILL).doing("kill a worker")?;
            killed += 1;
        }
    }
}

fn changes(told: &[FleetEvent]) -> usize {
    told.iter().filter(|event| event.kind == EventKind::State).count()
}

/// Processes that were started and told to be RUNNING.
fn running_again(told: &[FleetEvent]) -> usize {
    let running = told.iter().filter(|event| event.to == Some(WorkerState::Running));
    running.filter_map(|event| Some((event.worker.clone()?, event.incarnation?))).collect::<BTreeSet<_>>().len()
}
