//! What happens to a worker, told as situations.

use std::time::Duration;

use etl_shared::{Verdict, WorkerName, api::WorkerState};

use super::{
    Effect, Event, Exit, Fleet, Found, RestartPolicy, SpawnTrouble, State, StopCause, StopSignal, Timing, Why,
};
use crate::clock::BootTime;

mod adopted;
mod depending;
mod failing;
mod stopping;
mod turns;

pub(super) const TIMING: Timing =
    Timing { start_timeout: Duration::from_secs(20), grace: Duration::from_secs(30), ready_on_exec: false };

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Only just not `time`.
pub(super) fn almost(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(1))
}

pub(super) fn name(text: &str) -> WorkerName {
    text.parse().unwrap()
}

/// The only worker of most situations.
pub(super) fn one() -> WorkerName {
    name("transform-1-1")
}

/// A fleet with a hand on its clock, and short words for what happens to it.
pub(super) struct Scene {
    pub(super) fleet: Fleet,
    pub(super) now: BootTime,
}

impl Scene {
    /// Nothing is known and no keeper answers.
    pub(super) fn without_keeper(policy: RestartPolicy) -> Self {
        Self { fleet: Fleet::new(policy, 1), now: BootTime(1_000_000_000) }
    }

    pub(super) fn with(policy: RestartPolicy) -> Self {
        let mut scene = Self::without_keeper(policy);
        scene.tell(Event::KeeperUp);
        scene
    }

    pub(super) fn new() -> Self {
        Self::with(RestartPolicy::default())
    }

    /// A fleet with one worker that is RUNNING.
    pub(super) fn running() -> Self {
        let mut scene = Self::new();
        scene.want(&one());
        scene.comes_up(&one());
        assert_eq!(scene.shown(&one()), WorkerState::Running);
        scene
    }

    pub(super) fn tell(&mut self, event: Event) -> Vec<Effect> {
        self.fleet.handle(event, self.now)
    }

    /// Lets time pass, with a tick at every deadline on the way.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<Effect> {
        let end = self.now + time;
        let mut effects = Vec::new();
        while let Some(deadline) = self.fleet.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            effects.extend(self.tell(Event::Tick));
        }
        self.now = end;
        effects
    }

    pub(super) fn want(&mut self, worker: &WorkerName) -> Vec<Effect> {
        self.tell(Event::Want { worker: worker.clone(), timing: TIMING, blocked: None })
    }

    pub(super) fn stop(&mut self, worker: &WorkerName) -> Vec<Effect> {
        self.tell(Event::Unwant { worker: worker.clone(), why: Why::Operator })
    }

    pub(super) fn replace(&mut self, worker: &WorkerName, cause: StopCause) -> Vec<Effect> {
        self.tell(Event::Replace { worker: worker.clone(), cause })
    }

    pub(super) fn rest(&mut self, worker: &WorkerName) -> Vec<Effect> {
        self.tell(Event::Rest { worker: worker.clone() })
    }

    pub(super) fn wake(&mut self, worker: &WorkerName) -> Vec<Effect> {
        self.tell(Event::Wake { worker: worker.clone() })
    }

    pub(super) fn revive(&mut self, worker: &WorkerName) -> Vec<Effect> {
        self.tell(Event::Revive { worker: worker.clone() })
    }

    pub(super) fn found(&mut self, worker: &WorkerName, incarnation: u64, ready: bool) -> Vec<Effect> {
        let started_at = BootTime(900_000_000);
        self.tell(Event::Found(worker.clone(), Found { incarnation, pid: 4000, started_at, ready }))
    }

    /// The process that was asked for, or that lives.
    pub(super) fn incarnation(&self, worker: &WorkerName) -> u64 {
        let state = self.state(worker);
        state.incarnation().unwrap_or_else(|| panic!("{worker} has no process in {state:?}"))
    }

    pub(super) fn spawned(&mut self, worker: &WorkerName) -> Vec<Effect> {
        self.spawned_as(worker, self.incarnation(worker))
    }

    pub(super) fn spawned_as(&mut self, worker: &WorkerName, incarnation: u64) -> Vec<Effect> {
        self.tell(Event::Spawned { worker: worker.clone(), incarnation, pid: 4000, started_at: self.now })
    }

    pub(super) fn spawn_fails(&mut self, worker: &WorkerName, trouble: SpawnTrouble) -> Vec<Effect> {
        let incarnation = self.incarnation(worker);
        self.tell(Event::SpawnFailed { worker: worker.clone(), incarnation, trouble })
    }

    pub(super) fn ready(&mut self, worker: &WorkerName) -> Vec<Effect> {
        let incarnation = self.incarnation(worker);
        self.tell(Event::Ready { worker: worker.clone(), incarnation })
    }

    pub(super) fn comes_up(&mut self, worker: &WorkerName) {
        self.spawned(worker);
        self.ready(worker);
    }

    pub(super) fn exits(&mut self, worker: &WorkerName, exit: Exit) -> Vec<Effect> {
        let incarnation = self.incarnation(worker);
        self.tell(Event::Exited { worker: worker.clone(), incarnation, exit })
    }

    /// It comes up, and ends at once.
    pub(super) fn comes_up_and_crashes(&mut self, worker: &WorkerName) -> Vec<Effect> {
        self.comes_up(worker);
        self.exits(worker, CRASH)
    }

    pub(super) fn state(&self, worker: &WorkerName) -> &State {
        self.fleet.slot(worker).unwrap_or_else(|| panic!("{worker} is not known")).state()
    }

    pub(super) fn shown(&self, worker: &WorkerName) -> WorkerState {
        self.state(worker).shown()
    }

    /// How its last process ended.
    pub(super) fn last_verdict(&self, worker: &WorkerName) -> Option<Verdict> {
        self.fleet.slot(worker)?.tally().next_back().map(|death| death.verdict.clone())
    }

    pub(super) fn is_known(&self, worker: &WorkerName) -> bool {
        self.fleet.slot(worker).is_some()
    }
}

pub(super) const CRASH: Exit = Exit::Signal(11);

/// What the effects ask for, without the news about states: who is spawned, terminated, killed.
pub(super) fn orders(effects: &[Effect]) -> Vec<String> {
    let order = |effect: &Effect| match effect {
        Effect::Spawn { worker, .. } => Some(format!("spawn {worker}")),
        Effect::Stop { worker, signal: StopSignal::Term, .. } => Some(format!("TERM {worker}")),
        Effect::Stop { worker, signal: StopSignal::Kill, .. } => Some(format!("KILL {worker}")),
        Effect::Removed { worker } => Some(format!("gone {worker}")),
        Effect::Changed { .. } => None,
    };
    effects.iter().filter_map(order).collect()
}
