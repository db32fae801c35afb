//! What is counted for the metrics. A process that ends is looked at once more, before another one can write over its record.

use etl_shared::{
    WorkerName,
    flight::{FlightRecord, counters::Counters},
};

use super::Control;
use crate::{
    history::tally::Look,
    keeper::protocol::Usage,
    lifecycle::{Slot, State},
    runtime::view::{MessageSample, Sample},
};

impl Control {
    /// A process is about to be started; it replaces another one where an earlier one has ended.
    pub(super) fn count_start(&self, worker: &WorkerName) {
        let Some(slot) = self.fleet.slot(worker) else { return };
        if let Some(death) = slot.tally().next_back() {
            self.parts.board.tally().restarted(worker, &death.verdict);
        }
    }

    /// A process was looked at.
    pub(super) fn count_look(&self, worker: &WorkerName, pid: i32, sample: &Sample) {
        let process = self.fleet.slot(worker).map(Slot::state).and_then(State::process);
        let Some((incarnation, ..)) = process.filter(|(_, its_pid, _)| *its_pid == pid) else { return };
        let tally = self.parts.board.tally();
        let messages = sample.messages.as_ref().map(counts);
        // Where nothing has happened since, there is nothing to read.
        let counters = messages
            .filter(|messages| tally.wants_counters(worker, incarnation, *messages))
            .and_then(|_| self.counters(worker, incarnation));
        tally.looked(worker, incarnation, Look { cpu_seconds: sample.cpu_seconds, messages, counters });
    }

    /// A process has ended, and its record is still there.
    pub(super) fn count_last_look(&self, worker: &WorkerName, incarnation: u64, usage: &Usage) {
        // An end that is told late, of a process that this supervisor has never had, is not counted as if it had worked just now.
        if self.fleet.slot(worker).and_then(|slot| slot.state().incarnation()) != Some(incarnation) {
            return;
        }
        let path = self.parts.settings.runtime.flight_directory().join(worker.to_string());
        let record = FlightRecord::read(&path).ok().filter(|record| record.incarnation == incarnation);
        #[expect(clippy::cast_precision_loss, reason = "processor time far below 2^53 microseconds")]
        let cpu_seconds = usage.cpu_micros as f64 / 1e6;
        let messages = record.map(|record| [record.done, record.dead_lettered, record.retried]);
        let counters = self.counters(worker, incarnation);
        self.parts.board.tally().looked(worker, incarnation, Look { cpu_seconds, messages, counters });
    }

    /// What a worker may have in memory, for those who draw it beside what it has.
    pub(super) fn tell_memory_limits(&self) {
        let queues = self.parts.settings.queues.iter();
        self.parts
            .board
            .tally()
            .set_memory_limits(queues.map(|(name, queue)| (name.clone(), queue.memory_max)).collect());
    }

    fn counters(&self, worker: &WorkerName, incarnation: u64) -> Option<Box<Counters>> {
        let path = self.parts.settings.runtime.flight_directory().join(worker.to_string());
        // Once more where the first reading fell into a write.
        let read = (0..3).find_map(|_| Counters::read(&path));
        read.filter(|counters| counters.incarnation == incarnation).map(Box::new)
    }
}

const fn counts(sample: &MessageSample) -> [u64; 3] {
    [sample.done, sample.dead_lettered, sample.retried]
}
