//! What was seen of every process at the last looks: the newest sample, and how fast its messages get done.

use std::collections::HashMap;

use etl_shared::WorkerName;

use crate::{
    clock::BootTime,
    runtime::{WorkerView, view::Sample},
};

/// The last look at one worker's process.
#[derive(Debug, Clone, Copy)]
struct Look {
    pid: i32,
    at: BootTime,
    resident_memory_bytes: u64,
    /// Messages done since its process started; `None`: it does not say.
    done: Option<u64>,
    /// Per second, since the look before.
    throughput: Option<f32>,
}

/// The last look at everybody.
#[derive(Debug, Default)]
pub struct Tally(HashMap<WorkerName, Look>);

impl Tally {
    /// Takes in what the view or a look of one's own says of a worker; an older sample than the last one says nothing new.
    pub fn note(&mut self, worker: &WorkerView, sample: Option<Sample>) {
        let Some((process, sample)) = worker.process.and_then(|process| Some((process, sample.or(process.sample)?)))
        else {
            if worker.process.is_none() {
                self.0.remove(&worker.name);
            }
            return;
        };
        let before = self.0.get(&worker.name).filter(|look| look.pid == process.pid).copied();
        if before.is_some_and(|before| sample.at <= before.at) {
            return;
        }
        let done = sample.messages.map(|messages| messages.done);
        // The first look at a process knows what it has done since its start.
        let (since, done_then) = before.map_or((process.started_at, Some(0)), |before| (before.at, before.done));
        let seconds = sample.at.since(since).as_secs_f32();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = |done: u64, then: u64| (done.saturating_sub(then)) as f32 / seconds.max(0.001);
        let look = Look {
            pid: process.pid,
            at: sample.at,
            resident_memory_bytes: sample.resident_memory_bytes,
            done,
            throughput: done.zip(done_then).map(|(done, then)| rate(done, then)),
        };
        match self.0.get_mut(&worker.name) {
            Some(place) => *place = look,
            None => drop(self.0.insert(worker.name.clone(), look)),
        }
    }

    /// Forgets workers that are gone.
    pub fn retain(&mut self, is_there: impl Fn(&WorkerName) -> bool) {
        self.0.retain(|worker, _| is_there(worker));
    }

    /// Resident memory in bytes at the newest look.
    pub fn memory(&self, worker: &WorkerView) -> Option<u64> {
        let process = worker.process?;
        let newer = self.look(worker).filter(|look| process.sample.is_none_or(|sample| sample.at <= look.at));
        newer.map(|look| look.resident_memory_bytes).or(process.sample.map(|sample| sample.resident_memory_bytes))
    }

    /// Messages done per second between the last two looks.
    pub fn throughput(&self, worker: &WorkerView) -> Option<f32> {
        self.look(worker)?.throughput
    }

    fn look(&self, worker: &WorkerView) -> Option<&Look> {
        let pid = worker.process?.pid;
        self.0.get(&worker.name).filter(|look| look.pid == pid)
    }
}

#[cfg(test)]
mod tests {
    use etl_shared::flight::Phase;

    use super::*;
    use crate::{api::tests::fleet::synthetic, runtime::view::MessageSample};

    fn sample(seconds: u64, done: u64) -> Sample {
        let messages =
            MessageSample { phase: Phase::Idle, since_ms: 0, in_flight: 0, done, dead_lettered: 0, retried: 0 };
        let at = BootTime(seconds * 1_000_000);
        Sample { at, resident_memory_bytes: seconds, cpu_seconds: 0.0, messages: Some(messages) }
    }

    #[test]
    fn throughput_is_what_was_done_between_two_looks_at_the_same_process() {
        let mut worker = WorkerView::clone(&synthetic(1).workers[0]);
        let process = worker.process.as_mut().unwrap();
        (process.started_at, process.sample) = (BootTime(100_000_000), None);
        let mut tally = Tally::default();
        let rate = |tally: &Tally, worker: &WorkerView| tally.throughput(worker).map(f32::round);
        assert_eq!(rate(&tally, &worker), None);
        tally.note(&worker, Some(sample(110, 50)));
        assert_eq!(rate(&tally, &worker), Some(5.0));
        tally.note(&worker, Some(sample(120, 70)));
        tally.note(&worker, Some(sample(115, 9_000)));
        assert_eq!((rate(&tally, &worker), tally.memory(&worker)), (Some(2.0), Some(120)));

        // A new process begins at nothing.
        let process = worker.process.as_mut().unwrap();
        (process.pid, process.started_at) = (5, BootTime(130_000_000));
        assert_eq!((rate(&tally, &worker), tally.memory(&worker)), (None, None));
        tally.note(&worker, Some(sample(140, 10)));
        assert_eq!(rate(&tally, &worker), Some(1.0));
        worker.process = None;
        tally.note(&worker, None);
        assert_eq!(tally.0.len(), 0);
    }
}
