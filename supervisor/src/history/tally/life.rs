//! One process, and what each look at it adds.

use etl_shared::{WorkerName, flight::counters::Counters};

use super::{Look, Totals, crew};

/// No process settles more messages in a second of processor time.
const MOST_MESSAGES: f64 = 100_000.0;
/// No message is in hand for longer than a day.
const LONGEST_MICROS: u64 = 24 * 3_600_000_000;

/// The newest process of a worker that was looked at.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) incarnation: u64,
    /// What has been seen of it; `None`: it was there before us, and this has not been seen yet.
    cpu_seconds: Option<f64>,
    pub(super) messages: Option<[u64; 3]>,
    counters: Option<Box<Counters>>,
    /// The counters are written a moment after the messages they count, and may not be complete yet.
    pub(super) counters_may_follow: bool,
}

impl Life {
    /// Of a process that began under our eyes.
    pub(super) fn ours(incarnation: u64) -> Self {
        let (cpu_seconds, messages, counters) = (Some(0.0), Some([0; 3]), Some(Box::default()));
        Self { incarnation, cpu_seconds, messages, counters, counters_may_follow: false }
    }

    /// Of one that was there.
    pub(super) const fn found(incarnation: u64) -> Self {
        Self { incarnation, cpu_seconds: None, messages: None, counters: None, counters_may_follow: true }
    }
}

impl Totals {
    /// Workers write what is added here. Whatever they write, no count goes down, and what cannot be is not counted.
    pub(super) fn add(&mut self, worker: &WorkerName, life: &mut Life, look: Look) {
        let work = self.work.entry(crew(worker)).or_default();
        let cpu_seconds = life.cpu_seconds.get_or_insert(look.cpu_seconds);
        work.cpu_seconds += (look.cpu_seconds - *cpu_seconds).max(0.0);
        *cpu_seconds = cpu_seconds.max(look.cpu_seconds);
        let Some(messages) = look.messages.filter(|messages| can_be(messages, look.cpu_seconds)) else { return };
        let first = life.messages.is_none();
        let seen = life.messages.get_or_insert(messages);
        let grown = first || *seen != messages;
        for n in 0..3 {
            work.messages[n] = work.messages[n].saturating_add(messages[n].saturating_sub(seen[n]));
            seen[n] = seen[n].max(messages[n]);
        }
        if first && messages == [0; 3] {
            life.counters = Some(Box::default());
        }
        life.counters_may_follow = grown;
        let Some(now) = look.counters else { return };
        if !agrees(&now, &messages) {
            // Either a lie, or a batch was settled between the two readings; then the next look shows both.
            life.counters_may_follow = true;
            return;
        }
        // What cannot be told apart from what was before us is not counted.
        let before = life.counters.get_or_insert_with(|| now.clone());
        let durations = self.durations.entry(worker.queue_type.clone()).or_default();
        grow(&mut durations.buckets, &mut before.durations, &now.durations);
        let (all, seen) =
            (std::slice::from_mut(&mut durations.micros), std::slice::from_mut(&mut before.duration_micros));
        grow(all, seen, &[now.duration_micros]);
        grow(&mut self.dead_letters, &mut before.dead_letters, &now.dead_letters);
    }
}

/// Adds what is more than was seen, and remembers it as seen.
fn grow(totals: &mut [u64], seen: &mut [u64], now: &[u64]) {
    for ((total, seen), now) in totals.iter_mut().zip(seen).zip(now) {
        *total = total.saturating_add(now.saturating_sub(*seen));
        *seen = (*seen).max(*now);
    }
}

/// The kernel counts processor time, and no message is for nothing.
fn can_be(messages: &[u64; 3], cpu_seconds: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "compared with something round")]
    let messages = messages.iter().fold(0_u64, |sum, count| sum.saturating_add(*count)) as f64;
    messages <= MOST_MESSAGES * (cpu_seconds + 1.0)
}

/// Counters say more of the same messages, and of no others.
fn agrees(counters: &Counters, [done, dead_lettered, _]: &[u64; 3]) -> bool {
    let sum = |counts: &[u64]| counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let messages = sum(&counters.durations);
    messages <= done.saturating_add(*dead_lettered)
        && sum(&counters.dead_letters) <= *dead_lettered
        && counters.duration_micros <= messages.saturating_mul(LONGEST_MICROS)
}
