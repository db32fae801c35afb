//! Which workers are looked at more often than everybody, and when.
//!
//! The sampling round sees every worker now and then. One that has at least half of its soft limit goes onto the watch list: to
//! get past its limit unseen, any other has to double between two rounds. A program at rest needs far less than half of a
//! limit that was chosen with sense, so a quiet fleet has an empty list.

use std::collections::{BTreeSet, HashMap};

use etl_shared::WorkerName;

use super::verdict::{Finding, Look, Memory, MemoryLimits};
use crate::clock::BootTime;

/// What is remembered of the workers' memory.
#[derive(Debug, Default)]
pub struct Watches {
    of: HashMap<WorkerName, Watch>,
    due: BTreeSet<(BootTime, WorkerName)>,
}

#[derive(Debug, Default)]
struct Watch {
    memory: Memory,
    look_at: Option<BootTime>,
}

impl Watches {
    /// A worker's process was looked at.
    pub fn looked(&mut self, worker: &WorkerName, look: Look, limits: MemoryLimits, now: BootTime) -> Finding {
        // Nearly everybody, nearly always.
        if look.resident < limits.soft / 2 && !self.of.contains_key(worker) {
            return Finding::Fine;
        }
        let watch = self.of.entry(worker.clone()).or_default();
        let finding = watch.memory.looked(look, limits, now);
        let (look_at, forget) = (watch.memory.next_look(look, limits, now), watch.memory.is_empty());
        self.schedule(worker, look_at);
        if forget && look_at.is_none() {
            self.of.remove(worker);
        }
        finding
    }

    /// When somebody is to be looked at.
    pub fn next_due(&self) -> Option<BootTime> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes those whose time has come, the longest due first, at most so many.
    pub fn take_due(&mut self, now: BootTime, most: usize) -> Vec<WorkerName> {
        let due: Vec<_> =
            self.due.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, worker)| worker.clone()).collect();
        for worker in &due {
            self.schedule(worker, None);
        }
        due
    }

    /// Whatever was seen of this worker is forgotten: it is gone, or an operator wants it to begin anew.
    pub fn forget(&mut self, worker: &WorkerName) {
        self.schedule(worker, None);
        self.of.remove(worker);
    }

    fn schedule(&mut self, worker: &WorkerName, look_at: Option<BootTime>) {
        let Some(watch) = self.of.get_mut(worker) else { return };
        if let Some(before) = std::mem::replace(&mut watch.look_at, look_at) {
            self.due.remove(&(before, worker.clone()));
        }
        if let Some(at) = look_at {
            self.due.insert((at, worker.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: MemoryLimits = MemoryLimits { soft: 100, max: 200, held: false };

    fn worker(tenant: i64) -> WorkerName {
        format!("transform-{tenant}-1").parse().unwrap()
    }

    fn at(milliseconds: u64) -> BootTime {
        BootTime(1_000_000_000 + milliseconds * 1000)
    }

    fn with(resident: u64) -> Look {
        Look { incarnation: 1, resident, age: Duration::from_hours(1), leaving: false, work: None }
    }

    #[test]
    fn only_those_near_their_limit_are_watched_and_a_quiet_fleet_costs_nothing() {
        let mut watches = Watches::default();
        watches.looked(&worker(1), with(49), LIMITS, at(0));
        assert!(watches.next_due().is_none() && watches.of.is_empty());
        watches.looked(&worker(2), with(50), LIMITS, at(0));
        watches.looked(&worker(3), with(101), LIMITS, at(0));
        assert_eq!(watches.next_due(), Some(at(200)), "over its soft limit it is looked at more often");
        assert_eq!(watches.take_due(at(199), 9), []);
        assert_eq!(watches.take_due(at(1000), 9), [worker(3), worker(2)]);
        assert_eq!(watches.take_due(at(1000), 9), []);
        watches.looked(&worker(2), with(49), LIMITS, at(1000));
        assert!(
            watches.next_due().is_none() && !watches.of.contains_key(&worker(2)),
            "below half, it is nobody's concern"
        );
    }

    #[test]
    fn where_the_kernel_holds_the_limit_nobody_is_in_a_hurry() {
        let mut watches = Watches::default();
        watches.looked(&worker(1), with(150), MemoryLimits { held: true, ..LIMITS }, at(0));
        assert_eq!(watches.next_due(), Some(at(1000)));
    }

    #[test]
    fn a_worker_that_is_looked_at_in_between_has_one_turn_only() {
        let mut watches = Watches::default();
        for milliseconds in [0, 300, 700] {
            watches.looked(&worker(1), with(60), LIMITS, at(milliseconds));
        }
        assert_eq!(watches.due.len(), 1);
        assert_eq!(watches.next_due(), Some(at(1700)));
        watches.forget(&worker(1));
        assert!(watches.due.is_empty() && watches.of.is_empty());
    }

    #[test]
    fn where_many_are_due_those_come_first_that_have_waited_longest() {
        let mut watches = Watches::default();
        for tenant in 1..=5 {
            watches.looked(&worker(tenant), with(60), LIMITS, at(10 * tenant.unsigned_abs()));
        }
        assert_eq!(watches.take_due(at(5000), 2), [worker(1), worker(2)]);
        watches.looked(&worker(1), with(60), LIMITS, at(5000));
        assert_eq!(watches.take_due(at(9000), 9), [worker(3), worker(4), worker(5), worker(1)]);
    }
}
