//! One relief, step by step.

use std::{collections::VecDeque, num::NonZeroU16, time::Duration};

use etl_shared::WorkerName;

use super::{Crew, Ending, Purpose, Relief, Request, Step};
use crate::{
    clock::BootTime,
    lifecycle::{Event, Fleet, Slot, State, Wanted, Why},
};

/// Beyond the time that a worker may take by itself: for its turn to start, and for a process that is stuck in the kernel.
const MARGIN: Duration = Duration::from_secs(30);

/// Where a relief stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// The stand-in is not ready yet.
    Coming {
        /// When it has to be.
        ready_by: BootTime,
    },
    /// A worker's process is being replaced.
    Replacing {
        /// Whose.
        worker: WorkerName,
        /// The process that leaves.
        old: u64,
        /// When the new one has to be ready.
        ready_by: BootTime,
    },
    /// The stand-in has to leave; everything else is over.
    Leaving,
}

impl Stage {
    pub(super) const fn deadline(&self) -> Option<BootTime> {
        match self {
            Self::Coming { ready_by } | Self::Replacing { ready_by, .. } => Some(*ready_by),
            Self::Leaving => None,
        }
    }

    pub(super) const fn is_last(&self) -> bool {
        matches!(self, Self::Leaving)
    }
}

impl Relief {
    /// Wants a stand-in, unless there is nothing to replace.
    pub(super) fn begin(request: Request, fleet: &Fleet, now: BootTime, steps: &mut Vec<Step>) -> Option<Self> {
        let left: VecDeque<(WorkerName, u64)> = request
            .workers
            .iter()
            .filter_map(|worker| Some((worker.clone(), replaceable(fleet.slot(worker)?)?)))
            .collect();
        let Some(slot) = left.front().and_then(|(first, _)| fleet.slot(first)) else {
            steps.push(request.is_over(Ending::Abandoned));
            return None;
        };
        let Some(stand_in) = next_free(&request.crew, fleet) else {
            steps.push(request.is_over(Ending::Failed("there is no free slot for a stand-in".to_owned())));
            return None;
        };
        let timing = slot.timing();
        let blocked = slot.blocked().map(str::to_owned);
        steps.push(Step::Tell(Event::Want { worker: stand_in.clone(), timing, blocked }));
        let stage = Stage::Coming { ready_by: now + timing.start_timeout + MARGIN };
        Some(Self { request, stand_in, left, taken: Vec::new(), stage })
    }

    /// One step further, if the fleet allows it. `false`: it is over and nothing of it is left.
    pub(super) fn advance(&mut self, fleet: &Fleet, now: BootTime, steps: &mut Vec<Step>) -> bool {
        let stand_in = fleet.slot(&self.stand_in);
        match self.stage.clone() {
            // It was wanted for good meanwhile, because more workers are configured: then it is no stand-in any longer.
            Stage::Leaving => return stand_in.is_some_and(|slot| matches!(slot.wanted(), Wanted::Gone(_))),
            Stage::Coming { ready_by } => {
                self.left.retain(|(worker, _)| fleet.slot(worker).and_then(replaceable).is_some());
                if self.left.is_empty() {
                    self.end(Ending::Abandoned, steps);
                } else if let Some(why) = stand_in.map_or(Some("it was removed".to_owned()), trouble_of) {
                    self.end(Ending::Failed(format!("{}, which was to stand in: {why}", self.stand_in)), steps);
                } else if stand_in.is_some_and(is_ready) {
                    self.replace_next(fleet, now, steps);
                } else if now >= ready_by {
                    let why = format!("{}, which was to stand in, did not become ready in its time", self.stand_in);
                    self.end(Ending::Failed(why), steps);
                }
            }
            Stage::Replacing { worker, old, ready_by } => {
                let slot = fleet.slot(&worker).filter(|slot| slot.wanted() == Wanted::Up);
                // Stopped, removed or at rest: somebody else decided about it, and it has no old process any longer.
                let settled = slot.is_none_or(|slot| slot.incarnation() > old && is_ready(slot));
                if settled {
                    self.replace_next(fleet, now, steps);
                } else if now >= ready_by {
                    let state = slot.map_or("", |slot| slot.state().shown().as_str());
                    self.end(Ending::Failed(format!("the new process of {worker} is not ready: {state}")), steps);
                }
            }
        }
        true
    }

    fn replace_next(&mut self, fleet: &Fleet, now: BootTime, steps: &mut Vec<Step>) {
        while let Some((worker, before)) = self.left.pop_front() {
            let Some(slot) = fleet.slot(&worker) else { continue };
            let Some(old) = replaceable(slot) else { continue };
            // Its own restart came first.
            if self.request.purpose == Purpose::Fresh && old != before {
                continue;
            }
            if !fleet.slot(&self.stand_in).is_some_and(is_ready) {
                let why = format!("{}, which stood in, is not ready any longer", self.stand_in);
                return self.end(Ending::Failed(why), steps);
            }
            let timing = slot.timing();
            let ready_by = now + timing.grace + timing.start_timeout + MARGIN;
            steps.push(Step::Tell(Event::Replace { worker: worker.clone(), cause: self.request.cause }));
            self.taken.push(worker.clone());
            self.stage = Stage::Replacing { worker, old, ready_by };
            return;
        }
        let ending = if self.taken.is_empty() { Ending::Abandoned } else { Ending::Done };
        self.end(ending, steps);
    }

    /// It is over as soon as the stand-in has left. What became of it is told once.
    pub(super) fn end(&mut self, ending: Ending, steps: &mut Vec<Step>) {
        if self.stage.is_last() {
            return;
        }
        self.stage = Stage::Leaving;
        steps.push(Step::Tell(Event::Remove { worker: self.stand_in.clone(), why: Why::NotListed }));
        steps.push(self.request.is_over(ending));
    }
}

/// The process of a worker that should run; without one there is nothing to replace.
fn replaceable(slot: &Slot) -> Option<u64> {
    if slot.wanted() == Wanted::Up { slot.state().incarnation() } else { None }
}

const fn is_ready(slot: &Slot) -> bool {
    matches!(slot.state(), State::Running { .. })
}

/// Why a stand-in will not do.
fn trouble_of(slot: &Slot) -> Option<String> {
    if slot.wanted() != Wanted::Up {
        return Some("somebody else decided about it".to_owned());
    }
    // Its slot is new: whatever ended in it was a stand-in.
    let death = slot.tally().next_back()?;
    let detail = death.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    Some(format!("it ended with {}{detail}", death.verdict))
}

/// The slot behind the last one that anybody knows of.
fn next_free(crew: &Crew, fleet: &Fleet) -> Option<WorkerName> {
    let last = fleet.crew(&crew.queue_type, crew.tenant).map(|(worker, _)| worker.slot).max();
    let slot = last.map_or(Some(NonZeroU16::MIN), |last| last.checked_add(1))?;
    Some(WorkerName { queue_type: crew.queue_type.clone(), tenant: crew.tenant, slot })
}
