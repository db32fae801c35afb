//! Counts that only ever grow, however often the processes that counted them were replaced.
//!
//! Every process counts from zero. What is added here is what a look at a process shows beyond the look before it, and beyond
//! nothing for a process that is new; so a late look, or a look at the same, adds nothing. The last look is the one at a process
//! that has ended. What a process had counted before this supervisor came is not ours: its first look is where we begin.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etl_shared::{
    QueueType, TenantId, Verdict, WorkerName,
    flight::counters::{BUCKETS, Counters, REASONS},
};

/// Upper bounds of the buckets of cold starts, in milliseconds.
pub const COLD_START_BOUNDS_MS: [u64; 10] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 30_000];

/// A tenant's workers of one kind.
pub type Crew = (TenantId, QueueType);

/// What one look at a process shows, from its start on.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Processor time.
    pub cpu_seconds: f64,
    /// Messages done, dead-lettered and held for another try.
    pub messages: [u64; 3],
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
}

/// The newest process of a worker that was looked at.
#[derive(Debug)]
struct Life {
    incarnation: u64,
    /// `None`: found, and not looked at yet.
    seen: Option<Look>,
}

/// Counts for everybody who holds a clone of it. Whoever counts waits for nobody but a reader who copies the totals.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    /// A process was there before us.
    pub fn adopted(&self, worker: &WorkerName, incarnation: u64) {
        self.lock().lives.insert(worker.clone(), Life { incarnation, seen: None });
    }

    /// How many messages the process had settled and retried when it was looked at last.
    pub fn messages_seen(&self, worker: &WorkerName, incarnation: u64) -> Option<[u64; 3]> {
        let counts = self.lock();
        let life = counts.lives.get(worker).filter(|life| life.incarnation == incarnation)?;
        life.seen.as_ref().map(|look| look.messages)
    }

    /// A process was looked at, while it lived or after its end.
    pub fn looked(&self, worker: &WorkerName, incarnation: u64, look: Look) {
        let mut counts = self.lock();
        let Counts { totals, lives } = &mut *counts;
        let life = match lives.get_mut(worker) {
            Some(life) if life.incarnation > incarnation => return,
            Some(life) => life,
            None => lives.entry(worker.clone()).or_insert(Life { incarnation, seen: Some(Look::default()) }),
        };
        if life.incarnation < incarnation {
            *life = Life { incarnation, seen: Some(Look::default()) };
        }
        match &mut life.seen {
            none @ None => *none = Some(look),
            Some(seen) => {
                totals.add(worker, seen, &look);
                seen.cpu_seconds = seen.cpu_seconds.max(look.cpu_seconds);
                seen.messages = std::array::from_fn(|n| seen.messages[n].max(look.messages[n]));
                seen.counters = look.counters.or(seen.counters.take());
            }
        }
    }

    /// A worker is no more.
    pub fn removed(&self, worker: &WorkerName) {
        self.lock().lives.remove(worker);
    }

    /// A worker is started again, after a process that ended like this.
    pub fn restarted(&self, worker: &WorkerName, after: &Verdict) {
        let key = (crew(worker), after.to_string());
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

    /// More or fewer workers are wanted; `clamp` says what kept it from being what was asked for.
    pub fn scaled(&self, direction: &'static str, clamp: &'static str, workers: u64) {
        *self.lock().totals.scaled.entry((direction, clamp)).or_default() += workers;
    }

    /// What one worker may have in memory.
    pub fn set_memory_limits(&self, limits: BTreeMap<QueueType, u64>) {
        self.lock().totals.memory_limits = limits;
    }

    /// A copy of everything.
    pub fn totals(&self) -> Totals {
        self.lock().totals.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Numbers stay numbers after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn add(&mut self, worker: &WorkerName, seen: &Look, look: &Look) {
        let work = self.work.entry(crew(worker)).or_default();
        work.cpu_seconds += (look.cpu_seconds - seen.cpu_seconds).max(0.0);
        for n in 0..3 {
            work.messages[n] += look.messages[n].saturating_sub(seen.messages[n]);
        }
        let Some(now) = &look.counters else { return };
        let before = seen.counters.as_deref().copied().unwrap_or_default();
        let durations = self.durations.entry(worker.queue_type.clone()).or_default();
        for n in 0..BUCKETS {
            durations.buckets[n] += now.durations[n].saturating_sub(before.durations[n]);
        }
        durations.micros += now.duration_micros.saturating_sub(before.duration_micros);
        for n in 0..REASONS.len() {
            self.dead_letters[n] += now.dead_letters[n].saturating_sub(before.dead_letters[n]);
        }
    }
}

fn crew(worker: &WorkerName) -> Crew {
    (worker.tenant, worker.queue_type.clone())
}

/// The broker's own words, and one for whatever somebody wrote into a message's headers: a label must not come from there.
fn broker_reason(reason: &str) -> &str {
    match reason {
        "delivery_limit" | "expired" | "maxlen" | "rejected" | "unknown_origin" => reason,
        _ => "other",
    }
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
        Look { cpu_seconds, messages: [done, 0, 0], counters: Some(Box::new(counters)) }
    }

    fn done(tally: &Tally) -> (u64, u64, u64) {
        let totals = tally.totals();
        let durations = totals.durations.values().map(|durations| durations.buckets.iter().sum::<u64>()).sum();
        (totals.work.values().map(|work| work.messages[0]).sum(), durations, totals.dead_letters[0])
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
    fn no_label_comes_from_a_messages_headers() {
        let tally = Tally::default();
        for reason in ["expired", "whatever", "else"] {
            tally.returned(reason);
        }
        assert_eq!(tally.totals().returned, BTreeMap::from([("expired".to_owned(), 1), ("other".to_owned(), 2)]));
    }
}
