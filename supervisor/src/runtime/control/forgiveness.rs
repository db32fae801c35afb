//! Messages that a person wants tried again, and the processes that would refuse them.
//!
//! A process keeps to what it was told when it started. So forgiving is more than forgetting: whoever was told to refuse the
//! message has to leave, whether or not anything is held against it by now. Both can be asked for again, in whatever moment
//! the first try ended.

use std::collections::{BTreeSet, HashMap};

use etl_shared::{QueueName, WorkerName, suspicion::Suspicions};

use super::Control;
use crate::{
    lifecycle::{Event, StopCause},
    poison::Suspect,
    runtime::{
        handle::ControlError,
        news::{AfterStrikes, Answer},
    },
};

/// What the loop remembers of it.
#[derive(Debug, Default)]
pub(super) struct Forgiveness {
    /// The last process of each worker that was started in this life of the supervisor, and what it refuses.
    told: HashMap<WorkerName, (u64, BTreeSet<u64>)>,
    /// How many wait until the emptied page stands on disk.
    unrecorded: usize,
    waiting: Vec<Waiting>,
    /// The keeper has said which processes there are.
    processes_known: bool,
}

/// Somebody waits until no process is left that was told of what is forgiven now.
#[derive(Debug)]
struct Waiting {
    queue: QueueName,
    fingerprint: u64,
    answer: Answer<bool>,
    /// Something was held against it.
    held: bool,
    /// `None` until the keeper has said which processes there are.
    told: Option<Vec<(WorkerName, u64)>>,
}

impl Forgiveness {
    /// This process knows what it is told now.
    pub(super) fn tells(&mut self, worker: &WorkerName, incarnation: u64, suspicions: &Suspicions) {
        let refused = suspicions.condemned.iter().map(|condemned| condemned.mark.fingerprint).collect();
        self.told.insert(worker.clone(), (incarnation, refused));
    }

    /// Nobody knows what an adopted process was told: it may refuse anything.
    fn refuses(&self, worker: &WorkerName, incarnation: u64, fingerprint: u64) -> bool {
        match self.told.get(worker) {
            Some((known, refused)) if *known == incarnation => refused.contains(&fingerprint),
            _ => true,
        }
    }

    pub(super) fn removed(&mut self, worker: &WorkerName) {
        self.told.remove(worker);
    }

    pub(super) const fn processes_are_known(&mut self, known: bool) {
        self.processes_known = known;
    }
}

impl Control {
    /// A person wants a message tried again.
    pub(super) fn forgive(&mut self, queue: QueueName, fingerprint: u64, answer: Answer<bool>) {
        let forgiven = self.parts.strikes.forgive(&queue.to_string(), fingerprint);
        // While another page of forgiven messages is on its way, this message may be missing from it, and come back if it fails.
        if forgiven.is_empty() && self.forgiveness.unrecorded == 0 {
            self.replace_those_told(queue, fingerprint, answer, false);
        } else {
            self.keep_forgiven(queue, fingerprint, forgiven, answer);
        }
    }

    fn keep_forgiven(&mut self, queue: QueueName, fingerprint: u64, forgiven: Vec<Suspect>, answer: Answer<bool>) {
        self.forgiveness.unrecorded += 1;
        self.keep_strikes(&queue.clone(), AfterStrikes::Forgiven { queue, fingerprint, forgiven, answer });
    }

    /// The page without the message stands on disk, or cannot be written there.
    pub(super) fn forgiven(
        &mut self,
        queue: QueueName,
        fingerprint: u64,
        forgiven: Vec<Suspect>,
        answer: Answer<bool>,
        error: Option<String>,
    ) {
        self.forgiveness.unrecorded -= 1;
        if let Some(error) = error {
            self.parts.strikes.restore(&queue.to_string(), forgiven);
            // Or the next page that can be written would forget them after all.
            self.keep_strikes(&queue, AfterStrikes::Nothing);
            let _ = answer.send(Err(ControlError::NotRecorded(error)));
            return;
        }
        // Another try may have failed meanwhile and brought it back.
        let again = self.parts.strikes.forgive(&queue.to_string(), fingerprint);
        if again.is_empty() {
            self.replace_those_told(queue, fingerprint, answer, true);
        } else {
            self.keep_forgiven(queue, fingerprint, again, answer);
        }
    }

    fn replace_those_told(&mut self, queue: QueueName, fingerprint: u64, answer: Answer<bool>, held: bool) {
        self.forgiveness.waiting.push(Waiting { queue, fingerprint, answer, held, told: None });
        self.answer_the_forgiving();
    }

    pub(super) fn answer_the_forgiving(&mut self) {
        if !self.forgiveness.processes_known {
            return;
        }
        let mut waiting = std::mem::take(&mut self.forgiveness.waiting);
        for one in waiting.iter_mut().filter(|one| one.told.is_none()) {
            let told = self.told_to_refuse(&one.queue, one.fingerprint);
            for (worker, _) in &told {
                self.happened(Event::Replace { worker: worker.clone(), cause: StopCause::Recycle });
            }
            one.held |= !told.is_empty();
            one.told = Some(told);
        }
        let fleet = &self.fleet;
        let lives = |(worker, incarnation): &(WorkerName, u64)| {
            fleet.slot(worker).is_some_and(|slot| slot.state().incarnation() == Some(*incarnation))
        };
        for done in waiting.extract_if(.., |one| !one.told.iter().flatten().any(lives)) {
            let _ = done.answer.send(Ok(done.held));
        }
        self.forgiveness.waiting = waiting;
    }

    /// A process that is only expected counts: what it is told is on its way.
    fn told_to_refuse(&self, queue: &QueueName, fingerprint: u64) -> Vec<(WorkerName, u64)> {
        let of_the_queue = self.fleet.slots().filter(|(worker, _)| worker.queue() == *queue);
        let processes = of_the_queue.filter_map(|(worker, slot)| Some((worker.clone(), slot.state().incarnation()?)));
        processes.filter(|(worker, process)| self.forgiveness.refuses(worker, *process, fingerprint)).collect()
    }
}
