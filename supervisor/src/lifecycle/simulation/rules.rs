//! What must hold after every step, told without looking at how the fleet decides.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use etl_shared::{Verdict, WorkerName, api::WorkerState};

use super::places::Places;
use crate::{
    clock::BootTime,
    lifecycle::{Dependency, Effect, Event, Fleet, RestartPolicy, Slot, State, StopSignal, Timing},
};

/// What the fleet was last told to want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Up,
    Resting,
    Down,
    Gone,
}

/// What is known of the newest process of a worker.
#[derive(Debug, Clone, Default)]
struct Life {
    incarnation: u64,
    ready_since: Option<BootTime>,
    /// When it was told to leave, and when it may be killed.
    term: Option<(BootTime, BootTime)>,
    killed: Option<BootTime>,
    hurried: bool,
}

/// What one worker's history allows.
#[derive(Debug, Clone, Default)]
struct History {
    failures: Vec<BootTime>,
    /// The failure that the next start would follow, unless somebody orders it.
    follows: Option<BootTime>,
    fatal_since: Option<BootTime>,
    life: Life,
    timing: Option<Timing>,
    spawns: VecDeque<BootTime>,
    /// Everything that others did to it or to everybody.
    disturbed: VecDeque<BootTime>,
}

pub(super) struct Rules {
    policy: RestartPolicy,
    told: BTreeMap<WorkerName, Told>,
    missing: BTreeSet<WorkerName>,
    keeper_up: bool,
    histories: BTreeMap<WorkerName, History>,
    places: Places,
    /// The greatest incarnation that was ever ordered, whoever ordered it.
    highest: BTreeMap<WorkerName, u64>,
}

/// In one minute a worker may be started so often without anybody having done anything to it, not counting its tries after
/// FATAL and its restarts after a healthy run: one start for each failure that is allowed, and one for each wait of at
/// least 200 ms that doubles.
const CALM_SPAWNS: usize = 30;
const MINUTE: Duration = Duration::from_mins(1);

impl Rules {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self {
            places: Places::new(&policy),
            policy,
            told: BTreeMap::new(),
            missing: BTreeSet::new(),
            keeper_up: false,
            histories: BTreeMap::new(),
            highest: BTreeMap::new(),
        }
    }

    /// All that it knew is forgotten, and so are its promises; only what it did to the world stays.
    pub(super) fn supervisor_died(&mut self) {
        let highest = std::mem::take(&mut self.highest);
        *self = Self { highest, ..Self::new(self.policy.clone()) };
    }

    pub(super) fn places_become(&mut self, places: usize) {
        self.policy.max_concurrent_starts = places;
        self.places.become_as_many_as(places);
    }

    fn history(&mut self, worker: &WorkerName) -> &mut History {
        self.histories.entry(worker.clone()).or_default()
    }

    // ---- before the fleet hears of it -------------------------------------------------------------------------------

    pub(super) fn hears(&mut self, event: &Event, now: BootTime, fleet: &Fleet) {
        self.disturb(event, now);
        match event {
            Event::Want { worker, timing, blocked } => {
                let order = self.told.insert(worker.clone(), Told::Up).is_some_and(|told| told != Told::Up);
                self.set_missing(worker, blocked.is_some());
                let history = self.history(worker);
                history.timing = Some(*timing);
                if order {
                    history.follows = None;
                }
            }
            Event::Unwant { worker, .. } => {
                self.told.insert(worker.clone(), Told::Down);
            }
            Event::Remove { worker, .. } if fleet.slot(worker).is_some() => {
                self.told.insert(worker.clone(), Told::Gone);
            }
            Event::Rest { worker } if self.told.get(worker) == Some(&Told::Up) => {
                self.told.insert(worker.clone(), Told::Resting);
            }
            Event::Wake { worker } if self.told.get(worker) == Some(&Told::Resting) => {
                self.told.insert(worker.clone(), Told::Up);
                self.history(worker).follows = None;
            }
            Event::Revive { worker } => {
                let history = self.history(worker);
                (history.failures, history.follows) = (Vec::new(), None);
            }
            Event::Blocked { worker, .. } if fleet.slot(worker).is_some() => self.set_missing(worker, true),
            Event::Unblocked { worker } => self.set_missing(worker, false),
            Event::Hurry { worker } => {
                let state = fleet.slot(worker).map(Slot::state);
                self.history(worker).life.hurried |=
                    matches!(state, Some(State::Stopping { .. } | State::Spawning { .. }));
            }
            Event::Retime { worker, timing } if fleet.slot(worker).is_some() => {
                self.history(worker).timing = Some(*timing);
            }
            Event::KeeperUp => self.keeper_up = true,
            Event::KeeperLost => self.keeper_up = false,
            Event::Found(worker, found) => {
                // What it was told in an earlier conversation is not known any longer.
                let history = self.history(worker);
                let ready = found.ready || history.timing.is_some_and(|timing| timing.ready_on_exec);
                let ready_since = ready.then_some(found.started_at);
                history.life = Life { incarnation: found.incarnation, ready_since, ..Life::default() };
            }
            _ => {}
        }
        self.places.hears(event, now);
        if let Event::Want { worker, .. } | Event::Spawned { worker, .. } = event
            && self.history(worker).timing.is_some_and(|timing| timing.ready_on_exec)
        {
            self.places.ready_on_exec(worker);
        }
    }

    fn set_missing(&mut self, worker: &WorkerName, missing: bool) {
        if missing {
            self.missing.insert(worker.clone());
        } else {
            self.missing.remove(worker);
        }
    }

    fn disturb(&mut self, event: &Event, now: BootTime) {
        let touched = match event {
            Event::Tick
            | Event::Retime { .. }
            | Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Ready { .. }
            | Event::Exited { .. } => return,
            Event::DependencyUp | Event::KeeperUp | Event::KeeperLost => None,
            Event::Want { worker, .. }
            | Event::Unwant { worker, .. }
            | Event::Remove { worker, .. }
            | Event::Revive { worker }
            | Event::Replace { worker, .. }
            | Event::Rest { worker }
            | Event::Wake { worker }
            | Event::Hurry { worker }
            | Event::Blocked { worker, .. }
            | Event::Unblocked { worker }
            | Event::Found(worker, _) => Some(worker),
        };
        for (worker, history) in &mut self.histories {
            if touched.is_none_or(|touched| touched == worker) {
                history.disturbed.push_back(now);
            }
        }
    }

    // ---- after the fleet has answered -------------------------------------------------------------------------------

    pub(super) fn judges(&mut self, event: &Event, effects: &[Effect], now: BootTime, fleet: &Fleet) {
        for effect in effects {
            match effect {
                Effect::Spawn { worker, incarnation } => self.judge_spawn(worker, *incarnation, now),
                Effect::Stop { worker, incarnation, signal: StopSignal::Term } => {
                    self.judge_term(worker, *incarnation, now);
                }
                Effect::Stop { worker, incarnation, signal: StopSignal::Kill } => {
                    self.judge_kill(worker, *incarnation, now);
                }
                Effect::Changed { worker, from, to, verdict } => {
                    if let Some(verdict) = verdict {
                        self.judge_end(event, worker, verdict, *to, now);
                    }
                    self.judge_change(event, worker, *from, *to, now);
                }
                Effect::Removed { worker } => {
                    assert_eq!(self.told.remove(worker), Some(Told::Gone), "{worker} is removed, and nobody said so");
                    self.missing.remove(worker);
                    // What it had done is forgotten with it.
                    self.histories.remove(worker);
                }
            }
        }
        self.judge_states(fleet);
    }

    fn judge_spawn(&mut self, worker: &WorkerName, incarnation: u64, now: BootTime) {
        assert_eq!(self.told.get(worker), Some(&Told::Up), "{worker} is started and not wanted");
        assert!(self.keeper_up, "{worker} is started without a keeper");
        assert!(!self.missing.contains(worker), "{worker} is started although something is missing");
        let highest = self.highest.insert(worker.clone(), incarnation);
        assert!(
            highest.is_none_or(|highest| highest < incarnation),
            "incarnation {incarnation} of {worker} comes again"
        );
        self.places.taken_by(worker, incarnation, now);

        let retries =
            usize::try_from(MINUTE.as_millis() / self.policy.fatal_retry.as_millis()).expect("a small number");
        let (window, allowed) = (self.policy.window, self.policy.max_restarts as usize);
        let history = self.history(worker);
        if let Some(failed_at) = history.follows.take() {
            let recent = history.failures.iter().filter(|at| failed_at.since(**at) < window).count();
            assert!(recent <= allowed, "{worker} is restarted after {recent} failures inside {window:?}");
        }
        history.life = Life { incarnation, ..Life::default() };
        history.spawns.push_back(now);
        for times in [&mut history.spawns, &mut history.disturbed] {
            times.retain(|at| now.since(*at) < MINUTE);
        }
        let (spawns, disturbed) = (history.spawns.len(), history.disturbed.len());
        assert!(
            spawns <= CALM_SPAWNS + retries + disturbed,
            "{worker} was started {spawns} times in a minute, and disturbed {disturbed} times"
        );
    }

    fn judge_term(&mut self, worker: &WorkerName, incarnation: u64, now: BootTime) {
        assert!(self.told.contains_key(worker), "{worker} is stopped before anybody has decided about it");
        self.places.given_up_by(worker, incarnation);
        let history = self.history(worker);
        let grace = history.timing.map_or(Duration::ZERO, |timing| timing.grace);
        let life = &mut history.life;
        assert_eq!(life.incarnation, incarnation, "TERM to a process of {worker} that is not the newest");
        assert_eq!(life.term, None, "{worker} is told to leave twice");
        life.term = Some((now, now + grace));
    }

    fn judge_kill(&mut self, worker: &WorkerName, incarnation: u64, now: BootTime) {
        let life = &mut self.history(worker).life;
        assert_eq!(life.incarnation, incarnation, "KILL to a process of {worker} that is not the newest");
        let (_, due) = life.term.unwrap_or_else(|| panic!("{worker} is killed and was not asked to leave"));
        assert!(life.hurried || life.killed.is_some() || now >= due, "{worker} is killed within its grace period");
        let again = life.killed.replace(now);
        assert!(
            again.is_none_or(|before| now.since(before) >= Duration::from_secs(5)),
            "{worker} is killed in a storm"
        );
    }

    /// A process ended with this verdict.
    fn judge_end(&mut self, event: &Event, worker: &WorkerName, verdict: &Verdict, to: WorkerState, now: BootTime) {
        let told = self.told.get(worker).copied();
        let reset_after = self.policy.reset_after;
        let history = self.history(worker);
        let commanded = matches!(verdict, Verdict::Operator | Verdict::ScaleDown | Verdict::Recycle | Verdict::Hung);
        let current = match event {
            Event::Exited { incarnation, .. } => *incarnation == history.life.incarnation,
            _ => true,
        };
        if current {
            let told_to_leave = history.life.term.is_some();
            assert_eq!(
                commanded, told_to_leave,
                "{worker} ended as {verdict:?}; told to leave: {:?}",
                history.life.term
            );
            let until = history.life.term.map_or(now, |(term, _)| term);
            if history.life.ready_since.is_some_and(|since| until.since(since) >= reset_after) {
                history.failures.clear();
            }
        }
        history.life.ready_since = None;
        history.follows = None;
        let failed = matches!(
            verdict,
            Verdict::Hung | Verdict::SpawnFailed | Verdict::Exit(_) | Verdict::Crash(_) | Verdict::Drained
        ) && *verdict != Verdict::Exit(78);
        // Not held against it: what a lost keeper took with it, and what happened while no supervisor was there.
        if failed && told == Some(Told::Up) && *event != Event::KeeperLost && current {
            history.failures.push(now);
            history.follows = Some(now);
            let answers = [WorkerState::Starting, WorkerState::Backoff, WorkerState::Waiting, WorkerState::Fatal];
            assert!(answers.contains(&to), "{worker} failed and is {to:?}");
        }
    }

    fn judge_change(&mut self, event: &Event, worker: &WorkerName, from: WorkerState, to: WorkerState, now: BootTime) {
        let retry = self.policy.fatal_retry;
        let history = self.history(worker);
        if to == WorkerState::Fatal && from != to {
            history.fatal_since = Some(now);
        }
        if from == WorkerState::Fatal && to != from {
            let since = history.fatal_since.take().expect("it was FATAL");
            // Its one try: no restart after a failure, and not before its time.
            history.follows = None;
            assert!(*event != Event::Tick || now.since(since) >= retry, "{worker} is tried too early after FATAL");
        }
    }

    /// Everybody stands where it may stand, given what the fleet was told.
    fn judge_states(&mut self, fleet: &Fleet) {
        for (worker, slot) in fleet.slots() {
            let (state, told) = (slot.state(), self.told.get(worker));
            let unwanted = matches!(told, Some(Told::Down | Told::Gone | Told::Resting));
            match state {
                State::Starting { .. } | State::Running { .. } => {
                    assert!(!unwanted, "{worker} is not wanted and nobody tells it to leave");
                }
                State::Stopped | State::Idle { .. } => assert_ne!(told, Some(&Told::Up), "{worker} is forgotten"),
                State::Waiting { on: Dependency::Keeper, .. } => assert!(!self.keeper_up, "{worker} waits for nothing"),
                State::Waiting { on: Dependency::Provision(_), .. } => {
                    assert!(self.missing.contains(worker), "{worker} waits for nothing");
                }
                _ => {}
            }
            if let State::Running { since, .. } = state
                && let Some(history) = self.histories.get_mut(worker)
            {
                history.life.ready_since = Some(*since);
            }
        }
    }
}
