//! What the worker says of itself: the flight record, and a line to the service manager.

use std::{
    env, process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use etl_shared::{
    environment::INCARNATION,
    flight::{FlightRecord, FlightRecorder, Mark, Phase, counters::Counters, monotonic_ms},
};
use sd_notify::NotifyState;

use crate::job::Reason;

/// Writes one complete record a step.
pub(super) struct Flight {
    recorder: FlightRecorder,
    record: FlightRecord,
    counters: Counters,
}

impl Flight {
    pub(super) fn start() -> Self {
        let incarnation = env::var(INCARNATION).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let since_ms = monotonic_ms();
        let record = FlightRecord { pid: process::id(), incarnation, since_ms, ..FlightRecord::default() };
        let counters = Counters { incarnation, ..Counters::default() };
        let mut flight = Self { recorder: FlightRecorder::inherited(), record, counters };
        flight.write();
        flight
    }

    /// Nothing in hand, for this reason. Says nothing where nothing has changed.
    pub(super) fn rest(&mut self, phase: Phase, in_flight: usize) {
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        if self.record.phase != phase || self.record.in_flight != in_flight || !self.record.marks.is_empty() {
            if self.record.phase != phase || !self.record.marks.is_empty() {
                self.record.since_ms = monotonic_ms();
            }
            self.record.phase = phase;
            self.record.in_flight = in_flight;
            self.record.marks.clear();
            self.write();
        }
    }

    /// One message in hand.
    pub(super) fn transforming(&mut self, mark: Mark) {
        self.hold(Phase::Transforming, std::iter::once(mark));
    }

    /// A whole batch in hand: the database has it.
    pub(super) fn committing(&mut self, marks: impl Iterator<Item = Mark>) {
        self.hold(Phase::Committing, marks);
    }

    fn hold(&mut self, phase: Phase, marks: impl Iterator<Item = Mark>) {
        self.record.phase = phase;
        self.record.marks.clear();
        self.record.marks.extend(marks);
        self.record.since_ms = monotonic_ms();
        self.write();
    }

    /// How many deliveries are open while work is going on.
    pub(super) const fn in_flight(&mut self, count: u32) {
        self.record.in_flight = count;
    }

    /// Still alive.
    pub(super) fn beat(&mut self) {
        self.write();
    }

    pub(super) const fn count_done(&mut self) {
        self.record.done += 1;
    }

    pub(super) fn count_dead_letter(&mut self, reason: Reason) {
        self.record.dead_lettered += 1;
        self.counters.given_up(reason.as_str());
    }

    /// So many messages were settled, each after this time in hand. Written at once: nobody knows how long it is until the next.
    pub(super) fn settled_after(&mut self, messages: u64, duration: Duration) {
        if messages > 0 {
            self.counters.took(messages, duration);
            self.recorder.write_counters(&self.counters);
        }
    }

    pub(super) const fn count_retry(&mut self) {
        self.record.retried += 1;
    }

    /// Messages settled since the start.
    pub(super) const fn settled(&self) -> u64 {
        self.record.done + self.record.dead_lettered
    }

    pub(super) const fn counts(&self) -> &FlightRecord {
        &self.record
    }

    fn write(&mut self) {
        #[allow(clippy::disallowed_methods, reason = "the runtime is where the clock is read")]
        let now = SystemTime::now();
        self.record.heartbeat_ms =
            now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.recorder.write(&self.record);
    }
}

/// Tells the service manager, where there is one.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
