//! Counts that only ever grow, however often the processes that counted them were replaced.
//!
//! Every process counts from zero. What is added here is what a look at a process shows beyond the look before it, and beyond
//! nothing for a process that is new; so a late look, or a look at the same, adds nothing. The last look is the one at a process
//! that has ended. What a process had counted before this supervisor came is not ours: its first look is where we begin.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use etl_shared::{
    QueueType, TenantId, Verdict, WorkerName,
    flight::counters::{BUCKETS, Counters, REASONS},
};

use super::labels::{broker_reason, restart_reason};
use life::Life;

mod life;

/// Counts of a tenant that is none any longer are kept for so long.
const GONE_KEPT: Duration = Duration::from_hours(1);
/// Upper bounds of the buckets of cold starts, in milliseconds.
pub const COLD_START_BOUNDS_MS: [u64; 10] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 30_000];

/// A tenant's workers of one kind.
pub type Crew = (TenantId, QueueType);

/// What one look at a process shows, from its start on.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Processor time.
    pub cpu_seconds: f64,
    /// Messages done, dead-lettered and held for another try; `None`: it does not say, or the reading fell into a write.
    pub messages: Option<[u64; 3]>,
    /// From its flight record, where it keeps some.
    pub counters: Option<Box<Counters>>,
}

/// What a crew has done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Processor time.
    pub cpu_seconds: f64,
    /// Messages done, dead-lettered and held for another try.
    pub messages: [u64; 3],
}

/// Durations of messages of one kind of queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Messages in each bucket.
    pub buckets: [u64; BUCKETS],
    /// All of them together.
    pub micros: u64,
}

/// How long workers took to become ready.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ColdStarts {
    /// Starts in each bucket.
    pub buckets: [u64; COLD_START_BOUNDS_MS.len() + 1],
    /// All of them together.
    pub seconds: f64,
}

/// Everything that is counted.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Of each crew.
    pub work: BTreeMap<Crew, Work>,
    /// Of each kind of queue.
    pub durations: BTreeMap<QueueType, Durations>,
    /// Messages given up by workers, in the order of [`REASONS`].
    pub dead_letters: [u64; REASONS.len()],
    /// Messages given up by the broker.
    pub returned: BTreeMap<String, u64>,
    /// Starts after the first one, by how the process before ended.
    pub restarts: BTreeMap<(Crew, String), u64>,
    /// Of each kind of queue.
    pub cold_starts: BTreeMap<QueueType, ColdStarts>,
    /// Changes of how many workers are wanted: up or down, and what kept it from being more.
    pub scaled: BTreeMap<(&'static str, &'static str), u64>,
    /// What one worker may have in memory: told, not counted.
    pub memory_limits: BTreeMap<QueueType, u64>,
}

#[derive(Debug, Default)]
struct Counts {
    totals: Totals,
    lives: HashMap<WorkerName, Life>,
    /// Tenants that are tenants no longer, each since when.
    gone: BTreeMap<TenantId, Instant>,
}

/// Counts for everybody who holds a clone of it. Whoever counts waits for nobody but a reader who copies the totals.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    /// A process was there before us, or before the connection to its keeper; in the second case it is known already.
    pub fn adopted(&self, worker: &WorkerName, incarnation: u64) {
        let mut counts = self.lock();
        if counts.lives.get(worker).is_none_or(|life| life.incarnation != incarnation) {
            counts.lives.insert(worker.clone(), Life::found(incarnation));
        }
    }

    /// Whether a process that has counted so many messages may have counted more of their durations and reasons.
    pub fn wants_counters(&self, worker: &WorkerName, incarnation: u64, messages: [u64; 3]) -> bool {
        let counts = self.lock();
        let life = counts.lives.get(worker).filter(|life| life.incarnation == incarnation);
        life.map_or(messages != [0; 3], |life| life.counters_may_follow || life.messages != Some(messages))
    }

    /// A process was looked at, while it lived or after its end.
    pub fn looked(&self, worker: &WorkerName, incarnation: u64, look: Look) {
        let mut counts = self.lock();
        let Counts { totals, lives, gone } = &mut *counts;
        let life = match lives.get_mut(worker) {
            Some(life) if life.incarnation > incarnation => return,
            Some(life) => life,
            None => lives.entry(worker.clone()).or_insert_with(|| Life::ours(incarnation)),
        };
        if life.incarnation < incarnation {
            *life = Life::ours(incarnation);
        }
        gone.remove(&worker.tenant);
        totals.add(worker, life, look);
    }

    /// A worker is no more.
    pub fn removed(&self, worker: &WorkerName) {
        self.lock().lives.remove(worker);
    }

    /// Nobody asks for this tenant any longer: after a while its counts are forgotten.
    pub fn tenant_gone(&self, tenant: TenantId, now: Instant) {
        let mut counts = self.lock();
        counts.gone.insert(tenant, now);
        counts.forget(now);
    }

    /// A worker is started again, after a process that ended like this.
    pub fn restarted(&self, worker: &WorkerName, after: &Verdict) {
        let key = (crew(worker), restart_reason(after));
        *self.lock().totals.restarts.entry(key).or_default() += 1;
    }

    /// A worker has become ready.
    pub fn became_ready(&self, worker: &WorkerName, after: Duration) {
        let mut counts = self.lock();
        let starts = counts.totals.cold_starts.entry(worker.queue_type.clone()).or_default();
        starts.buckets[COLD_START_BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < after)] += 1;
        starts.seconds += after.as_secs_f64();
    }

    /// The broker has given up a message.
    pub fn returned(&self, reason: &str) {
        *self.lock().totals.returned.entry(broker_reason(reason).to_owned()).or_default() += 1;
    }

    /// A crew is to have more or fewer workers; `clamp` says what kept it from being what was asked for.
    pub fn scaled(&self, direction: &'static str, clamp: &'static str) {
        *self.lock().totals.scaled.entry((direction, clamp)).or_default() += 1;
    }

    /// What one worker may have in memory.
    pub fn set_memory_limits(&self, limits: BTreeMap<QueueType, u64>) {
        self.lock().totals.memory_limits = limits;
    }

    /// A copy of everything.
    pub fn totals(&self) -> Totals {
        let mut counts = self.lock();
        counts.forget(Instant::now());
        counts.totals.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Numbers stay numbers after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn forget(&mut self, now: Instant) {
        let (totals, lives) = (&mut self.totals, &self.lives);
        self.gone.retain(|tenant, since| {
            let stays =
                now.saturating_duration_since(*since) < GONE_KEPT || lives.keys().any(|name| name.tenant == *tenant);
            if !stays {
                totals.work.retain(|crew, _| crew.0 != *tenant);
                totals.restarts.retain(|(crew, _), _| crew.0 != *tenant);
            }
            stays
        });
    }
}

fn crew(worker: &WorkerName) -> Crew {
    (worker.tenant, worker.queue_type.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerName {
        "transform-7-1".parse().unwrap()
    }

    fn look(cpu_seconds: f64, done: u64) -> Look {
        let mut counters = Counters::default();
        counters.took(done, Duration::from_millis(3));
        counters.dead_letters[0] = done / 10;
        Look { cpu_seconds, messages: Some([done - done / 10, done / 10, 0]), counters: Some(Box::new(counters)) }
    }

    fn done(tally: &Tally) -> (u64, u64, u64) {
        let totals = tally.totals();
        let durations = totals.durations.values().map(|durations| durations.buckets.iter().sum::<u64>()).sum();
        let settled = totals.work.values().map(|work| work.messages[0] + work.messages[1]).sum();
        (settled, durations, totals.dead_letters[0])
    }

    #[test]
    fn what_a_process_has_done_stays_counted_when_another_one_takes_its_place() {
        let tally = Tally::default();
        tally.looked(&worker(), 1, look(1.0, 10));
        tally.looked(&worker(), 1, look(2.0, 30));
        tally.looked(&worker(), 2, look(0.5, 5));
        assert_eq!(done(&tally), (35, 35, 3));
        let cpu = tally.totals().work.values().next().unwrap().cpu_seconds;
        assert!((cpu - 2.5).abs() < 1e-9, "{cpu}");
        tally.removed(&worker());
        assert_eq!(done(&tally), (35, 35, 3));
    }

    #[test]
    fn a_late_look_or_the_same_one_again_changes_nothing() {
        let tally = Tally::default();
        for (incarnation, count) in [(1, 10), (1, 10), (1, 8), (2, 4), (1, 12), (2, 4)] {
            let before = done(&tally);
            tally.looked(&worker(), incarnation, look(1.0, count));
            assert!(done(&tally) >= before);
        }
        assert_eq!(done(&tally).0, 14);
    }

    #[test]
    fn what_was_done_before_this_supervisor_is_not_counted_as_if_it_happened_now() {
        let tally = Tally::default();
        tally.adopted(&worker(), 4);
        tally.looked(&worker(), 4, look(100.0, 1_000));
        tally.looked(&worker(), 4, look(101.0, 1_010));
        assert_eq!(done(&tally), (10, 10, 1));
    }

    #[test]
    fn another_connection_to_the_same_keeper_forgets_nothing_that_is_to_be_counted() {
        let tally = Tally::default();
        tally.looked(&worker(), 1, look(1.0, 10));
        tally.adopted(&worker(), 1);
        tally.looked(&worker(), 1, look(2.0, 30));
        assert_eq!(done(&tally), (30, 30, 3));
    }

    #[test]
    fn a_first_reading_that_fell_into_a_write_makes_no_jump() {
        let tally = Tally::default();
        tally.adopted(&worker(), 4);
        assert!(tally.wants_counters(&worker(), 4, [1_000, 0, 0]));
        tally.looked(&worker(), 4, Look { counters: None, messages: None, ..look(100.0, 0) });
        tally.looked(&worker(), 4, Look { counters: None, ..look(100.0, 1_000) });
        assert!(tally.wants_counters(&worker(), 4, [900, 100, 0]), "they have not been read yet");
        tally.looked(&worker(), 4, look(101.0, 1_000));
        assert_eq!(done(&tally), (0, 0, 0));
        tally.looked(&worker(), 4, look(102.0, 1_010));
        assert_eq!(done(&tally), (10, 10, 1));

        let idle: WorkerName = "transform-8-1".parse().unwrap();
        tally.adopted(&idle, 1);
        tally.looked(&idle, 1, Look { counters: None, ..look(1.0, 0) });
        tally.looked(&idle, 1, look(1.0, 10));
        assert_eq!(done(&tally), (20, 20, 2), "it had done nothing before");
    }

    #[test]
    fn counters_that_follow_their_messages_are_waited_for() {
        let tally = Tally::default();
        tally.looked(&worker(), 1, Look { counters: look(1.0, 10).counters, ..look(1.0, 30) });
        assert!(tally.wants_counters(&worker(), 1, [27, 3, 0]));
        tally.looked(&worker(), 1, look(1.0, 30));
        assert_eq!(done(&tally), (30, 30, 3));
        assert!(!tally.wants_counters(&worker(), 1, [27, 3, 0]));
        // A batch more than the messages that were read before them.
        tally.looked(&worker(), 1, Look { counters: look(1.0, 50).counters, ..look(1.0, 40) });
        assert_eq!(done(&tally), (40, 30, 3));
        tally.looked(&worker(), 1, look(1.0, 50));
        assert_eq!(done(&tally), (50, 50, 5));
    }

    #[test]
    fn whatever_a_worker_writes_nobodys_counts_go_down_or_are_drowned() {
        let tally = Tally::default();
        tally.looked(&worker(), 1, look(1.0, 10));
        let liar: WorkerName = "transform-8-1".parse().unwrap();
        let counters = Counters {
            incarnation: 1,
            durations: [u64::MAX; BUCKETS],
            duration_micros: u64::MAX,
            dead_letters: [u64::MAX; REASONS.len()],
        };
        for messages in [[1, 1, 0], [u64::MAX, u64::MAX, u64::MAX]] {
            let counters = Some(Box::new(counters));
            tally.looked(&liar, 1, Look { cpu_seconds: 1.0, messages: Some(messages), counters });
            assert_eq!(done(&tally).1, 10);
        }
        // Down and up again is counted once.
        for count in [20, 0, 20, 0, 20] {
            tally.looked(&liar, 2, look(1.0, count));
        }
        assert_eq!(done(&tally).1, 30);
    }

    #[test]
    fn a_tenant_that_is_gone_is_forgotten_after_a_while_and_not_where_it_comes_back() {
        let tally = Tally::default();
        let back: WorkerName = "transform-8-1".parse().unwrap();
        let now = Instant::now();
        for name in [&worker(), &back] {
            tally.looked(name, 1, look(1.0, 10));
            tally.restarted(name, &Verdict::Oom);
            tally.removed(name);
            tally.tenant_gone(name.tenant, now);
        }
        assert_eq!(tally.totals().work.len(), 2);
        tally.looked(&back, 2, look(1.0, 10));
        tally.lock().forget(now + GONE_KEPT);
        let totals = tally.totals();
        assert!(
            totals.work.keys().chain(totals.restarts.keys().map(|(crew, _)| crew)).all(|crew| crew.0 == back.tenant)
        );
        assert_eq!(totals.work.len(), 1);
    }

    #[test]
    fn no_label_comes_from_a_messages_headers() {
        let tally = Tally::default();
        for reason in ["expired", "whatever", "else"] {
            tally.returned(reason);
        }
        assert_eq!(tally.totals().returned, BTreeMap::from([("expired".to_owned(), 1), ("other".to_owned(), 2)]));
    }
}
