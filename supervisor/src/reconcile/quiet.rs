//! Whether a tenant's messages are all done: nothing waits in its queue, and nobody has anything in hand.
//!
//! The broker says what is ready and how many consume, but not what they hold. That stands in the flight records of the workers. Where
//! it cannot be known, the tenant is not quiet: to publish a message that is still somewhere would double the work.

use std::{fs, path::Path};

use etl_shared::{
    TenantId,
    flight::{FlightRecord, Phase},
};

use crate::runtime::{FleetView, WorkerView, view::QueueSample};

/// Looks at the workers now; the depth was read just before.
pub(super) fn is_quiet(view: &FleetView, tenant: TenantId, queue: &str, depth: QueueSample, flights: &Path) -> bool {
    let workers = view.workers_of(tenant).iter().filter(|worker| worker.name.queue().to_string() == queue);
    let alive = workers.filter_map(|worker| Some((worker, worker.process?.pid)));
    let Some(phases) = alive.map(|(worker, pid)| at_rest(worker, pid, flights)).collect::<Option<Vec<_>>>() else {
        return false;
    };
    // A consumer that is no worker of ours keeps its own counsel, and a worker that takes no messages is not the one that is counted.
    let consuming = phases.iter().filter(|phase| !matches!(phase, Phase::Paused | Phase::Holding)).count();
    depth.messages_ready == 0 && usize::try_from(depth.consumers).is_ok_and(|consumers| consumers <= consuming)
}

/// What it is doing, where it certainly has nothing in hand.
fn at_rest(worker: &WorkerView, pid: i32, flights: &Path) -> Option<Phase> {
    // A process that was stopped may have messages in its socket that it has not seen.
    if is_stopped(pid) {
        return None;
    }
    // A program that keeps no record may have anything.
    let record = FlightRecord::read(&flights.join(worker.name.to_string())).ok()?;
    let rests = record.incarnation == worker.incarnation
        && record.in_flight == 0
        && matches!(record.phase, Phase::Idle | Phase::Paused | Phase::Holding);
    rests.then_some(record.phase)
}

/// By a signal or a debugger. A process that has just gone has nothing in hand, and what it had is back in the queue.
fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    matches!(state, Some('T' | 't'))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::OwnedFd};

    use etl_shared::flight::FlightRecorder;

    use super::*;
    use crate::{
        api::tests::fleet::{synthetic, tenant},
        clock::BootTime,
    };

    const QUEUE: &str = "transform_queue_tenant_1";

    fn depth(messages_ready: u32, consumers: u32) -> QueueSample {
        QueueSample { messages_ready, consumers, at: BootTime::now(), ..QueueSample::default() }
    }

    #[test]
    fn a_tenant_is_quiet_only_when_that_is_certain() {
        let flights = tempfile::tempdir().unwrap();
        let view = synthetic(1);
        let incarnation = view.workers[0].incarnation;
        let quiet = |depth| is_quiet(&view, tenant(1), QUEUE, depth, flights.path());
        let note = |record: FlightRecord| {
            let file = File::create(flights.path().join("transform-1-1")).unwrap();
            FlightRecorder::over(Some(OwnedFd::from(file))).write(&record);
        };
        assert!(!quiet(depth(0, 1)), "a worker without a record may hold anything");
        note(FlightRecord { incarnation, phase: Phase::Idle, ..FlightRecord::default() });
        assert!(quiet(depth(0, 1)) && quiet(depth(0, 0)));
        assert!(!quiet(depth(1, 1)), "a message waits");
        assert!(!quiet(depth(0, 2)), "somebody else consumes");
        note(FlightRecord { incarnation, phase: Phase::Idle, in_flight: 1, ..FlightRecord::default() });
        assert!(!quiet(depth(0, 1)), "a message is held for another try");
        note(FlightRecord { incarnation, phase: Phase::Transforming, ..FlightRecord::default() });
        assert!(!quiet(depth(0, 1)), "it works");
        for phase in [Phase::Paused, Phase::Holding] {
            note(FlightRecord { incarnation, phase, ..FlightRecord::default() });
            assert!(quiet(depth(0, 0)));
            assert!(!quiet(depth(0, 1)), "whoever consumes, it is not this worker");
        }
        note(FlightRecord { incarnation: incarnation - 1, phase: Phase::Idle, ..FlightRecord::default() });
        assert!(!quiet(depth(0, 1)), "the record of an earlier process says nothing of this one");
    }

    #[test]
    fn where_no_process_is_there_is_nobody_to_hold_anything() {
        let flights = tempfile::tempdir().unwrap();
        let view = FleetView { workers: std::sync::Arc::new([]), ..synthetic(1) };
        assert!(is_quiet(&view, tenant(1), QUEUE, depth(0, 0), flights.path()));
        assert!(!is_quiet(&view, tenant(1), QUEUE, depth(0, 1), flights.path()));
    }
}
