//! How many workers are starting at once, counted from what was ordered and reported.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;

use crate::{
    clock::BootTime,
    lifecycle::{Event, RestartPolicy},
};

/// A start counts from its order until it is ready, over, told to leave, or slow.
pub(super) struct Places {
    allowed: usize,
    hold: Duration,
    taken: BTreeMap<WorkerName, (u64, Option<BootTime>)>,
}

impl Places {
    pub(super) fn new(policy: &RestartPolicy) -> Self {
        Self { allowed: policy.max_concurrent_starts.max(1), hold: policy.place_hold, taken: BTreeMap::new() }
    }

    pub(super) fn become_as_many_as(&mut self, places: usize) {
        self.allowed = places.max(1);
    }

    pub(super) fn hears(&mut self, event: &Event, now: BootTime) {
        match event {
            Event::Spawned { worker, incarnation, .. } => {
                if let Some((taken_by, until @ None)) = self.taken.get_mut(worker)
                    && taken_by == incarnation
                {
                    *until = Some(now + self.hold);
                }
            }
            Event::Ready { worker, incarnation }
            | Event::Exited { worker, incarnation, .. }
            | Event::SpawnFailed { worker, incarnation, .. } => self.given_up_by(worker, *incarnation),
            Event::KeeperLost => self.taken.clear(),
            _ => {}
        }
    }

    pub(super) fn given_up_by(&mut self, worker: &WorkerName, incarnation: u64) {
        if self.taken.get(worker).is_some_and(|(taken_by, _)| *taken_by == incarnation) {
            self.taken.remove(worker);
        }
    }

    /// Its program cannot say that it is ready: it is as soon as it runs.
    pub(super) fn ready_on_exec(&mut self, worker: &WorkerName) {
        if self.taken.get(worker).is_some_and(|(_, until)| until.is_some()) {
            self.taken.remove(worker);
        }
    }

    pub(super) fn taken_by(&mut self, worker: &WorkerName, incarnation: u64, now: BootTime) {
        self.taken.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        self.taken.insert(worker.clone(), (incarnation, None));
        assert!(self.taken.len() <= self.allowed, "more than {} are starting: {:?}", self.allowed, self.taken);
    }
}
