//! One worker: what is wanted of it, where it stands, and what each event makes of it.
//!
//! Every function names all the states it can meet; there is no catch-all, so that a new state is decided about everywhere.

use std::{collections::VecDeque, time::Duration};

use etl_shared::{Verdict, WorkerName, exit_code};

use super::{
    effect::{Effect, StopSignal},
    event::Timing,
    exit::{self, Death, Exit},
    restart::{Decision, Failures, RestartPolicy, exponential, jitter},
    state::{Dependency, State, StopCause, Wanted, Why},
};
use crate::clock::BootTime;

mod dependencies;
mod process;
mod wishes;

/// How many deaths a worker's tally keeps.
const TALLY: usize = 8;
/// A process that survived KILL is killed again after this long: it may have been stuck in the kernel.
const KILL_AGAIN: Duration = Duration::from_secs(5);
/// Delays between tries while a dependency named by the worker is away.
const DEPENDENCY_WAIT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));

/// What a slot may look at and write to while it handles an event.
pub(super) struct Context<'a> {
    pub(super) now: BootTime,
    pub(super) policy: &'a RestartPolicy,
    pub(super) seed: u64,
    pub(super) keeper_up: bool,
    pub(super) effects: &'a mut Vec<Effect>,
    /// A process ended during this event.
    pub(super) verdict: Option<Verdict>,
}

/// One worker.
#[derive(Debug, Clone)]
pub struct Slot {
    name: WorkerName,
    timing: Timing,
    wanted: Wanted,
    blocked: Option<String>,
    state: State,
    incarnation: u64,
    starts: u64,
    draws: u64,
    dependency_waits: u32,
    lease_waits: u32,
    failures: Failures,
    tally: VecDeque<Death>,
}

impl Slot {
    pub(super) fn new(name: WorkerName, timing: Timing) -> Self {
        Self {
            name,
            timing,
            wanted: Wanted::Undecided,
            blocked: None,
            state: State::Stopped,
            incarnation: 0,
            starts: 0,
            draws: 0,
            dependency_waits: 0,
            lease_waits: 0,
            failures: Failures::default(),
            tally: VecDeque::new(),
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What is wanted of it.
    pub const fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Its limits in time.
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// What it cannot do without and is not there, in words for a person.
    pub fn blocked(&self) -> Option<&str> {
        self.blocked.as_deref()
    }

    /// The newest process that it had.
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Starts after the first one.
    pub const fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// How its last processes ended, the newest last.
    pub fn tally(&self) -> impl DoubleEndedIterator<Item = &Death> {
        self.tally.iter()
    }

    /// A process lives, or the keeper has been asked for one.
    pub const fn has_process_or_expects_one(&self) -> bool {
        self.state.incarnation().is_some()
    }

    /// Its process has gone, or it never had one, and it is not wanted any longer.
    pub(super) const fn is_done(&self) -> bool {
        matches!((&self.state, self.wanted), (State::Stopped, Wanted::Gone(_)))
    }

    // ---- time -----------------------------------------------------------------------------------------------------

    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        if self.state.deadline().is_none_or(|deadline| deadline > context.now) {
            return;
        }
        match &mut self.state {
            // How long it may take is not known before somebody wants it.
            State::Starting { ready_by, .. } if *ready_by <= context.now && self.wanted == Wanted::Undecided => {
                *ready_by = context.now + self.timing.start_timeout;
            }
            State::Starting { ready_by, .. } if *ready_by <= context.now => self.stop(StopCause::NeverReady, context),
            State::Starting { place_until, .. } => *place_until = None,
            State::Stopping { .. } => self.kill(context),
            State::Backoff { .. } | State::Waiting { .. } => self.start(context),
            State::Fatal { .. } => {
                self.failures.try_once();
                self.start(context);
            }
            // They have no deadline.
            State::Stopped | State::Queued | State::Spawning { .. } | State::Running { .. } | State::Idle { .. } => {}
        }
    }

    // ---- steps ----------------------------------------------------------------------------------------------------

    /// Its turn has come.
    pub(super) fn spawn(&mut self, context: &mut Context<'_>) {
        // Greater than every earlier one, those included of which nothing is known here: of the worker before it was
        // removed and came back, and of a supervisor before this one.
        self.incarnation = (self.incarnation + 1).max(context.now.0 / 1000);
        self.starts += 1;
        self.state = State::Spawning { incarnation: self.incarnation, replace: None, hurry: false };
        context.effects.push(Effect::Spawn { worker: self.name.clone(), incarnation: self.incarnation });
    }

    fn start(&mut self, context: &mut Context<'_>) {
        if self.wanted != Wanted::Up {
            return self.settle(context);
        }
        self.state = if let Some(on) = &self.blocked {
            State::Waiting { on: Dependency::Provision(on.clone()), retry_at: None }
        } else if context.keeper_up {
            State::Queued
        } else {
            State::Waiting { on: Dependency::Keeper, retry_at: None }
        };
    }

    fn stop(&mut self, cause: StopCause, context: &mut Context<'_>) {
        let Some((incarnation, pid, started_at)) = self.state.process() else { return };
        // The cause is on record before the signal is sent: whatever happens next, it was no crash.
        let kill_at = context.now + self.timing.grace;
        let ran = self.state.ready_for(context.now);
        self.state = State::Stopping { incarnation, pid, started_at, ran, cause, kill_at, killed: false };
        let worker = self.name.clone();
        context.effects.push(Effect::Stop { worker, incarnation, signal: StopSignal::Term });
    }

    fn kill(&mut self, context: &mut Context<'_>) {
        if let State::Stopping { incarnation, kill_at, killed, .. } = &mut self.state {
            *killed = true;
            *kill_at = context.now + KILL_AGAIN;
            let effect =
                Effect::Stop { worker: self.name.clone(), incarnation: *incarnation, signal: StopSignal::Kill };
            context.effects.push(effect);
        }
    }

    /// It has no process any longer, and that is not held against it: where does it stand now?
    fn settle(&mut self, context: &mut Context<'_>) {
        match self.wanted {
            Wanted::Up => self.start(context),
            Wanted::Resting => self.state = State::Idle { since: context.now },
            Wanted::Undecided | Wanted::Down(_) | Wanted::Gone(_) => self.state = State::Stopped,
        }
    }

    fn left_by_itself(&mut self, exit: Exit, context: &mut Context<'_>) {
        let verdict = exit::verdict(exit, None);
        self.bury(verdict.clone(), None, context);
        if self.wanted != Wanted::Up {
            self.settle(context);
        } else if verdict == Verdict::Dependency {
            // From half the delay on, so that it never becomes a loop without pause.
            let wait = exponential(DEPENDENCY_WAIT.0, DEPENDENCY_WAIT.1, self.dependency_waits);
            let wait = wait.mul_f64(0.5 + self.draw(context) / 2.0);
            self.dependency_waits = self.dependency_waits.saturating_add(1);
            self.state = State::Waiting { on: Dependency::Named, retry_at: Some(context.now + wait) };
        } else if verdict == Verdict::Exit(exit_code::CONFIGURATION) {
            self.give_up(context);
        } else {
            self.after_failure(context);
        }
    }

    fn after_failure(&mut self, context: &mut Context<'_>) {
        let draw = self.draw(context);
        let decision = self.failures.record(context.policy, context.now, draw);
        match (self.wanted, decision) {
            (Wanted::Up, Decision::Now) => self.start(context),
            (Wanted::Up, Decision::After { delay, attempt }) => {
                self.state = State::Backoff { until: context.now + delay, attempt };
            }
            (Wanted::Up, Decision::GiveUp) => self.give_up(context),
            (Wanted::Undecided | Wanted::Resting | Wanted::Down(_) | Wanted::Gone(_), _) => self.settle(context),
        }
    }

    fn give_up(&mut self, context: &Context<'_>) {
        self.state = State::Fatal { since: context.now, retry_at: context.now + context.policy.fatal_retry };
    }

    /// Its process has ended; the state is still the one in which it did.
    fn bury(&mut self, verdict: Verdict, detail: Option<String>, context: &mut Context<'_>) {
        if self.state.ready_for(context.now).is_some_and(|ran| ran >= context.policy.reset_after) {
            self.failures.forget();
            self.dependency_waits = 0;
        }
        if self.tally.len() == TALLY {
            self.tally.pop_front();
        }
        self.tally.push_back(Death { verdict: verdict.clone(), at: context.now, detail });
        context.verdict = Some(verdict);
    }

    fn draw(&mut self, context: &Context<'_>) -> f64 {
        self.draws += 1;
        jitter(context.seed, &self.name, self.draws)
    }
}

const fn cause_of(wanted: Wanted) -> StopCause {
    match wanted {
        Wanted::Down(Why::NotListed) | Wanted::Gone(Why::NotListed) | Wanted::Resting => StopCause::ScaleDown,
        Wanted::Down(Why::Operator | Why::Paused { .. } | Why::Shutdown)
        | Wanted::Gone(Why::Operator | Why::Paused { .. } | Why::Shutdown)
        // Not reached: nobody stops what is wanted.
        | Wanted::Undecided
        | Wanted::Up => StopCause::Operator,
    }
}
