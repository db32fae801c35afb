//! Replacing a worker's process with the new one ready first, without ever having two processes for one lease.
//!
//! A *stand-in*, an ordinary worker in the next free slot of the same crew, is wanted first. Once it is ready the worker's
//! process is replaced; once the new process is ready, and those of the other workers that are to be replaced, one after the
//! other, the stand-in is removed. So at every moment at least as many workers are ready as were before, and the fleet itself knows
//! nothing of it: it hears events like any other.
//!
//! Decided by level, by looking at the fleet: nothing that is missed is lost.

use std::collections::{BTreeMap, VecDeque};

use etl_shared::{QueueType, TenantId, WorkerName};

use super::{Event, Fleet, StopCause};
use crate::clock::BootTime;

mod stage;
#[cfg(test)]
mod tests;

use stage::Stage;

/// The workers of one tenant for one kind of work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crew {
    /// The kind of work.
    pub queue_type: QueueType,
    /// Whose.
    pub tenant: TenantId,
}

impl Crew {
    /// The one that this worker belongs to.
    pub fn of(worker: &WorkerName) -> Self {
        Self { queue_type: worker.queue_type.clone(), tenant: worker.tenant }
    }
}

/// What makes a process new enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// That it is another one than the one that there was.
    Fresh,
    /// That it has this generation of its tenant's secrets.
    Generation(u32),
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Tell the fleet.
    Tell(Event),
    /// A relief is over.
    Over(Outcome),
}

/// What became of a relief.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whose.
    pub crew: Crew,
    /// What for.
    pub purpose: Purpose,
    /// How it ended.
    pub ending: Ending,
}

/// How a relief ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every process that was to be replaced, and still was there, is a new one.
    Done,
    /// A process that was to be replaced goes on, or its successor is not ready.
    Failed(String),
    /// Something else came first: the workers were stopped, or all of them replaced in another way.
    Abandoned,
}

/// Those who are to be replaced.
#[derive(Debug, Clone)]
struct Request {
    crew: Crew,
    workers: Vec<WorkerName>,
    cause: StopCause,
    purpose: Purpose,
}

/// A request that is being carried out.
#[derive(Debug)]
struct Relief {
    request: Request,
    stand_in: WorkerName,
    /// Those still to be replaced, each with the process that it had when it began.
    left: VecDeque<(WorkerName, u64)>,
    /// Those replaced, or being replaced.
    taken: Vec<WorkerName>,
    stage: Stage,
}

/// Every relief: at most one for each crew, and only so many at the same time.
#[derive(Debug, Default)]
pub struct Reliefs {
    places: usize,
    waiting: VecDeque<Request>,
    active: BTreeMap<Crew, Relief>,
}

impl Reliefs {
    /// None; at most so many at the same time.
    pub const fn new(places: usize) -> Self {
        Self { places, waiting: VecDeque::new(), active: BTreeMap::new() }
    }

    /// Changes how many there may be at the same time; those under way go on.
    pub const fn set_places(&mut self, places: usize) {
        self.places = places;
    }

    /// Asks that the processes of these workers are replaced. What has been asked for and is not over is not asked for twice.
    pub fn ask(&mut self, workers: impl IntoIterator<Item = WorkerName>, cause: StopCause, purpose: Purpose) {
        let mut crews: BTreeMap<Crew, Vec<WorkerName>> = BTreeMap::new();
        for worker in workers {
            crews.entry(Crew::of(&worker)).or_default().push(worker);
        }
        for (crew, mut workers) in crews {
            if let Some(relief) = self.active.get(&crew)
                && relief.request.purpose == purpose
                && !relief.stage.is_last()
            {
                workers.retain(|worker| !relief.request.workers.contains(worker) && relief.stand_in != *worker);
            }
            if let Some(request) =
                self.waiting.iter_mut().find(|request| request.crew == crew && request.purpose == purpose)
            {
                workers.retain(|worker| !request.workers.contains(worker));
                request.workers.extend(workers);
            } else if !workers.is_empty() {
                self.waiting.push_back(Request { crew, workers, cause, purpose });
            }
        }
    }

    /// Nothing is asked for and no stand-in is left.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty()
    }

    /// Whether this crew is being relieved, or waits for it.
    pub fn concerns(&self, crew: &Crew) -> bool {
        self.active.contains_key(crew) || self.waiting.iter().any(|request| request.crew == *crew)
    }

    /// Whom this worker stands in for, if that is what it is here for.
    pub fn stands_in_for(&self, worker: &WorkerName) -> Option<&WorkerName> {
        let relief = self.active.get(&Crew::of(worker)).filter(|relief| relief.stand_in == *worker)?;
        relief.taken.last().or_else(|| relief.request.workers.first())
    }

    /// Whether this worker is wanted only as a stand-in.
    pub fn wants(&self, worker: &WorkerName) -> bool {
        self.active.get(&Crew::of(worker)).is_some_and(|relief| relief.stand_in == *worker && !relief.stage.is_last())
    }

    /// What the worker's next process is for, where it is a stand-in or the successor of one that is being replaced.
    pub fn purpose_of(&self, worker: &WorkerName) -> Option<Purpose> {
        let relief = self.active.get(&Crew::of(worker)).filter(|relief| !relief.stage.is_last())?;
        (relief.stand_in == *worker || relief.taken.contains(worker)).then_some(relief.request.purpose)
    }

    /// When [`Reliefs::advance`] is due at the latest.
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.active.values().filter_map(|relief| relief.stage.deadline()).min()
    }

    /// Takes every relief as far as the fleet allows. Whoever calls it tells the fleet, and calls it again until there is no step.
    pub fn advance(&mut self, fleet: &Fleet, now: BootTime) -> Vec<Step> {
        let mut steps = Vec::new();
        self.active.retain(|_, relief| relief.advance(fleet, now, &mut steps));
        let mut passed_over = VecDeque::new();
        while self.active.len() < self.places.max(1)
            && let Some(request) = self.waiting.pop_front()
        {
            if self.active.contains_key(&request.crew) {
                passed_over.push_back(request);
            } else if let Some(relief) = Relief::begin(request, fleet, now, &mut steps) {
                self.active.insert(relief.request.crew.clone(), relief);
            }
        }
        passed_over.append(&mut self.waiting);
        self.waiting = passed_over;
        steps
    }

    /// These crews are not to be relieved any longer: their stand-ins leave.
    pub fn abandon(&mut self, concerns: impl Fn(&Crew) -> bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for relief in self.active.values_mut().filter(|relief| concerns(&relief.request.crew)) {
            relief.end(Ending::Abandoned, &mut steps);
        }
        let (dropped, kept) = self.waiting.drain(..).partition(|request| concerns(&request.crew));
        self.waiting = kept;
        let dropped: VecDeque<Request> = dropped;
        steps.extend(dropped.into_iter().map(|request| request.is_over(Ending::Abandoned)));
        steps
    }
}

impl Request {
    fn is_over(&self, ending: Ending) -> Step {
        Step::Over(Outcome { crew: self.crew.clone(), purpose: self.purpose, ending })
    }
}
