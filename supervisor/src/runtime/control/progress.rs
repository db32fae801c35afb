//! Workers that make no progress: at work on the same message, or batch, for longer than their `job_timeout`.
//!
//! The sampling round sees every worker now and then. Where it finds one at work, the moment at which that would be too long
//! is noted, and the worker is looked at again then; a worker that has gone on meanwhile has a later moment. So nothing is
//! done every second, and a hang is found in time however rare the round is.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use etl_shared::{WorkerName, flight::monotonic_ms};
use tokio::time::Instant;

use super::Control;
use crate::{
    lifecycle::{Event, Slot, State, StopCause},
    runtime::view::MessageSample,
};

/// When whose work would take too long, in milliseconds of the flight records' clock.
#[derive(Debug, Default)]
pub(super) struct Progress {
    deadlines: BTreeSet<(u64, WorkerName)>,
    of: HashMap<WorkerName, u64>,
}

impl Progress {
    fn set(&mut self, worker: &WorkerName, deadline: Option<u64>) {
        if self.of.get(worker).copied() == deadline {
            return;
        }
        if let Some(before) = self.of.remove(worker) {
            self.deadlines.remove(&(before, worker.clone()));
        }
        if let Some(deadline) = deadline {
            self.of.insert(worker.clone(), deadline);
            self.deadlines.insert((deadline, worker.clone()));
        }
    }

    /// Takes the first worker whose time has come.
    fn take_due(&mut self, now_ms: u64) -> Option<WorkerName> {
        let (deadline, worker) = self.deadlines.first()?;
        if *deadline > now_ms {
            return None;
        }
        let worker = worker.clone();
        self.set(&worker, None);
        Some(worker)
    }
}

impl Control {
    /// A worker was looked at.
    pub(super) fn watch_progress(&mut self, worker: &WorkerName, messages: Option<MessageSample>) {
        let at_work = messages.filter(|messages| messages.phase.has_messages_in_hand() && messages.since_ms > 0);
        let timeout = self.parts.settings.queues.get(&worker.queue_type).map(|queue| queue.job_timeout);
        let (Some(messages), Some(timeout)) = (at_work, timeout) else {
            return self.progress.set(worker, None);
        };
        let deadline = messages.since_ms.saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        if deadline > monotonic_ms() {
            return self.progress.set(worker, Some(deadline));
        }
        self.progress.set(worker, None);
        // Whoever has been told to leave already has its own deadline.
        let state = self.fleet.slot(worker).map(Slot::state);
        if !matches!(state, Some(State::Starting { .. } | State::Running { .. })) {
            return;
        }
        tracing::warn!(%worker, tenant = worker.tenant.get(), phase = messages.phase.as_str(), ?timeout, "no progress");
        self.happened(Event::Replace { worker: worker.clone(), cause: StopCause::Hung });
    }

    /// When a worker has to be looked at again.
    pub(super) fn progress_due(&self) -> Option<Instant> {
        let (deadline, _) = self.progress.deadlines.first()?;
        // Rounded up to the timer's own step.
        Some(Instant::now() + Duration::from_millis(deadline.saturating_sub(monotonic_ms()) + 1))
    }

    /// Looks at those whose moment has come.
    pub(super) fn look_for_progress(&mut self) {
        if self.progress.deadlines.is_empty() {
            return;
        }
        let now_ms = monotonic_ms();
        while let Some(worker) = self.progress.take_due(now_ms) {
            self.look_now(&worker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_one_moment_and_the_latest_counts() {
        let (mut progress, worker): (_, WorkerName) = (Progress::default(), "transform-7-1".parse().unwrap());
        let other: WorkerName = "transform-8-1".parse().unwrap();
        progress.set(&worker, Some(10));
        progress.set(&other, Some(15));
        progress.set(&worker, Some(20));
        assert_eq!(progress.take_due(14), None);
        assert_eq!(progress.take_due(30), Some(other));
        assert_eq!(progress.take_due(30), Some(worker.clone()));
        assert_eq!(progress.take_due(30), None);
        progress.set(&worker, Some(5));
        progress.set(&worker, None);
        assert!(progress.deadlines.is_empty() && progress.of.is_empty());
    }
}
