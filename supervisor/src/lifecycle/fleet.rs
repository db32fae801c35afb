//! All workers: who is starting, who waits for a turn, and when the next deadline is.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroU16,
    ops::Bound,
};

use etl_shared::{QueueType, TenantId, WorkerName};

use super::{
    effect::Effect,
    event::{Event, Timing},
    restart::RestartPolicy,
    slot::{Context, Slot},
    state::{State, Wanted},
};
use crate::clock::BootTime;

/// Every worker of this supervisor.
#[derive(Debug)]
pub struct Fleet {
    policy: RestartPolicy,
    seed: u64,
    keeper_up: bool,
    slots: BTreeMap<WorkerName, Slot>,
    /// The queued workers, each once, in the order in which they came to be queued.
    turns: VecDeque<WorkerName>,
    /// How many workers are starting.
    places_taken: usize,
    deadlines: BTreeSet<(BootTime, WorkerName)>,
}

impl Fleet {
    /// Without workers and without a keeper. `seed` chooses the jitter.
    pub const fn new(policy: RestartPolicy, seed: u64) -> Self {
        Self {
            policy,
            seed,
            keeper_up: false,
            slots: BTreeMap::new(),
            turns: VecDeque::new(),
            places_taken: 0,
            deadlines: BTreeSet::new(),
        }
    }

    /// Changes the rules; what is under way keeps the deadlines that it has.
    pub fn set_policy(&mut self, policy: RestartPolicy) {
        self.policy = policy;
    }

    /// Every worker with its name.
    pub fn slots(&self) -> impl Iterator<Item = (&WorkerName, &Slot)> {
        self.slots.iter()
    }

    /// One worker.
    pub fn slot(&self, worker: &WorkerName) -> Option<&Slot> {
        self.slots.get(worker)
    }

    /// One tenant's workers for one kind of work.
    pub fn crew(&self, queue_type: &QueueType, tenant: TenantId) -> impl Iterator<Item = (&WorkerName, &Slot)> {
        let worker = |slot| WorkerName { queue_type: queue_type.clone(), tenant, slot };
        self.slots.range(worker(NonZeroU16::MIN)..=worker(NonZeroU16::MAX))
    }

    /// One tenant's workers for any kind of work, also for one that is not configured any more.
    pub fn workers_of(&self, tenant: TenantId) -> impl Iterator<Item = (&WorkerName, &Slot)> {
        let kind = |worker: &WorkerName| worker.queue_type.clone();
        let mut kinds: Vec<QueueType> = self.slots.keys().next().map(kind).into_iter().collect();
        while let Some(last) = kinds.last()
            && let Ok(greatest) = TenantId::try_from(i64::MAX)
        {
            let greatest = WorkerName { queue_type: last.clone(), tenant: greatest, slot: NonZeroU16::MAX };
            let mut others = self.slots.range((Bound::Excluded(greatest), Bound::Unbounded));
            let Some((first, _)) = others.next() else { break };
            kinds.push(kind(first));
        }
        kinds.into_iter().flat_map(move |kind| self.crew(&kind, tenant).collect::<Vec<_>>())
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Takes a fact and returns the orders that follow from it, in the order in which they are to be carried out.
    pub fn handle(&mut self, event: Event, now: BootTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        let out = &mut effects;
        match event {
            Event::Want { worker, timing, blocked } => {
                self.slots.entry(worker.clone()).or_insert_with(|| Slot::new(worker.clone(), timing));
                self.with(&worker, now, out, |slot, context| slot.want(timing, blocked, context));
            }
            Event::Retime { worker, timing } => self.with(&worker, now, out, |slot, _| slot.retime(timing)),
            Event::Unwant { worker, why } => {
                self.add_undecided(&worker);
                self.with(&worker, now, out, |slot, context| slot.unwant(Wanted::Down(why), context));
            }
            Event::Remove { worker, why } => {
                self.with(&worker, now, out, |slot, context| slot.unwant(Wanted::Gone(why), context));
            }
            Event::Revive { worker } => self.with(&worker, now, out, Slot::revive),
            Event::Replace { worker, cause } => {
                self.with(&worker, now, out, |slot, context| slot.replace(cause, context));
            }
            Event::Rest { worker } => self.with(&worker, now, out, Slot::rest),
            Event::Wake { worker } => self.with(&worker, now, out, Slot::wake),
            Event::Hurry { worker } => self.with(&worker, now, out, Slot::hurry),
            Event::Blocked { worker, on } => self.with(&worker, now, out, |slot, _| slot.block(on)),
            Event::Unblocked { worker } => self.with(&worker, now, out, Slot::unblock),
            Event::DependencyUp => self.with_all(now, out, Slot::dependency_up),
            Event::Found(worker, found) => {
                self.add_undecided(&worker);
                self.with(&worker, now, out, |slot, context| slot.found(found, context));
            }
            Event::Spawned { worker, incarnation, pid, started_at } => {
                self.with(&worker, now, out, |slot, context| slot.spawned(incarnation, pid, started_at, context));
            }
            Event::SpawnFailed { worker, incarnation, trouble } => {
                self.with(&worker, now, out, |slot, context| slot.spawn_failed(incarnation, trouble, context));
            }
            Event::Ready { worker, incarnation } => {
                self.with(&worker, now, out, |slot, context| slot.ready(incarnation, context));
            }
            Event::Exited { worker, incarnation, exit } => {
                // Before it is up, a keeper tells of exits that no supervisor has seen; from then on an exit of an unknown
                // worker is late news of one that is gone.
                if !self.keeper_up {
                    self.add_undecided(&worker);
                }
                self.with(&worker, now, out, |slot, context| slot.exited(incarnation, exit, context));
            }
            Event::KeeperUp => {
                self.keeper_up = true;
                self.with_all(now, out, Slot::keeper_up);
            }
            Event::KeeperLost => {
                self.keeper_up = false;
                self.with_all(now, out, Slot::keeper_lost);
            }
            Event::Tick => {
                while let Some((deadline, worker)) = self.deadlines.first().cloned()
                    && deadline <= now
                {
                    self.with(&worker, now, out, Slot::tick);
                }
            }
        }
        self.give_turns(now, out);
        #[cfg(test)]
        self.check_invariants();
        effects
    }

    /// A worker of which only its name is known. Its real timing comes with [`Event::Want`].
    fn add_undecided(&mut self, worker: &WorkerName) {
        let timing = Timing {
            start_timeout: std::time::Duration::from_mins(1),
            grace: std::time::Duration::from_secs(30),
            ready_on_exec: false,
        };
        self.slots.entry(worker.clone()).or_insert_with(|| Slot::new(worker.clone(), timing));
    }

    fn with_all(&mut self, now: BootTime, effects: &mut Vec<Effect>, act: fn(&mut Slot, &mut Context<'_>)) {
        let workers: Vec<WorkerName> = self.slots.keys().cloned().collect();
        for worker in &workers {
            self.with(worker, now, effects, act);
        }
    }

    /// Lets one slot act, and keeps the deadlines, the turns and the count of places in step with it.
    fn with(
        &mut self,
        worker: &WorkerName,
        now: BootTime,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Slot, &mut Context<'_>),
    ) {
        let Some(slot) = self.slots.get_mut(worker) else { return };
        let before = slot.state().clone();
        let mut context =
            Context { now, policy: &self.policy, seed: self.seed, keeper_up: self.keeper_up, effects, verdict: None };
        act(slot, &mut context);
        let verdict = context.verdict;
        let after = slot.state();
        if before != *after || verdict.is_some() {
            let (from, to) = (before.shown(), after.shown());
            effects.push(Effect::Changed { worker: worker.clone(), from, to, verdict });
        }
        if before.deadline() != after.deadline() {
            if let Some(deadline) = before.deadline() {
                self.deadlines.remove(&(deadline, worker.clone()));
            }
            if let Some(deadline) = after.deadline() {
                self.deadlines.insert((deadline, worker.clone()));
            }
        }
        self.places_taken += usize::from(after.holds_place());
        self.places_taken -= usize::from(before.holds_place());
        match (before == State::Queued, *after == State::Queued) {
            (false, true) => self.turns.push_back(worker.clone()),
            (true, false) => {
                if let Some(turn) = self.turns.iter().position(|queued| queued == worker) {
                    self.turns.remove(turn);
                }
            }
            (true, true) | (false, false) => {}
        }
        if slot.is_done() {
            self.slots.remove(worker);
            effects.push(Effect::Removed { worker: worker.clone() });
        }
    }

    fn give_turns(&mut self, now: BootTime, effects: &mut Vec<Effect>) {
        while self.places_taken < self.policy.max_concurrent_starts.max(1) {
            let Some(worker) = self.turns.front().cloned() else { return };
            self.with(&worker, now, effects, Slot::spawn);
        }
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let places = self.slots.values().filter(|slot| slot.state().holds_place()).count();
        assert_eq!(places, self.places_taken, "places are miscounted");
        let deadlines: BTreeSet<_> =
            self.slots.iter().filter_map(|(name, slot)| Some((slot.state().deadline()?, name.clone()))).collect();
        assert_eq!(deadlines, self.deadlines, "deadlines are out of step");
        let queued = self.slots.iter().filter(|(_, slot)| *slot.state() == State::Queued).map(|(name, _)| name);
        assert_eq!(self.turns.len(), queued.clone().count(), "a worker has more than one turn");
        assert!(queued.eq(self.turns.iter().collect::<BTreeSet<_>>()), "turns are out of step: {:?}", self.turns);
        for (name, slot) in &self.slots {
            let state = slot.state();
            if *state == State::Queued {
                assert!(self.keeper_up, "{name} is queued without a keeper");
                assert!(slot.blocked().is_none(), "{name} is queued although something is missing");
            }
            if matches!(state, State::Queued | State::Backoff { .. } | State::Waiting { .. } | State::Fatal { .. }) {
                let wanted = slot.wanted();
                let fatal_at_rest = matches!(state, State::Fatal { .. }) && wanted == Wanted::Resting;
                assert!(wanted == Wanted::Up || fatal_at_rest, "{name} is {state:?} but {wanted:?}");
            }
            if let Some(incarnation) = state.incarnation() {
                assert!(incarnation <= slot.incarnation(), "{name} has a process from the future");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Why;

    #[test]
    fn a_tenants_workers_are_found_whatever_kind_of_work_they_do() {
        let mut fleet = Fleet::new(RestartPolicy::default(), 1);
        for name in ["analyse-7-1", "analyse-8-1", "mail-6-1", "transform-7-1", "transform-7-2", "zip-7-1"] {
            let worker = name.parse().unwrap();
            fleet.handle(Event::Unwant { worker, why: Why::Operator }, BootTime(0));
        }
        let of = |tenant: i64| -> Vec<String> {
            fleet.workers_of(tenant.try_into().unwrap()).map(|(worker, _)| worker.to_string()).collect()
        };
        assert_eq!(of(7), ["analyse-7-1", "transform-7-1", "transform-7-2", "zip-7-1"]);
        assert_eq!(of(6), ["mail-6-1"]);
        assert!(of(9).is_empty());
    }
}
