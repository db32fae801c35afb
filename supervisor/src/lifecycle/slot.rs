//! One worker: what is wanted of it, where it stands, and what each event makes of it.
//!
//! Every function names all the states it can meet; there is no catch-all, so that a new state is decided about everywhere.

use std::{collections::VecDeque, time::Duration};

use etl_shared::{Verdict, WorkerName, exit_code};

use super::{
    effect::{Effect, StopSignal},
    event::{Found, Timing},
    exit::{self, Death, Exit, SpawnTrouble},
    restart::{Decision, Failures, RestartPolicy, exponential, jitter},
    state::{Dependency, State, StopCause, Wanted, Why},
};
use crate::clock::BootTime;

/// How many deaths a worker's tally keeps.
const TALLY: usize = 8;
/// A process that survived KILL is killed again after this long: it may have been stuck in the kernel.
const KILL_AGAIN: Duration = Duration::from_secs(5);
/// Delays between tries while a dependency named by the worker is away.
const DEPENDENCY_WAIT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// Delays between tries while somebody holds the lease.
const LEASE_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Workers that waited for the same dependency come back spread over this long.
const COMEBACK: Duration = Duration::from_secs(2);

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

    #[cfg(test)]
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    // ---- what is wanted -------------------------------------------------------------------------------------------

    pub(super) fn want(&mut self, timing: Timing, blocked: Option<String>, context: &mut Context<'_>) {
        let adopted = self.wanted == Wanted::Undecided;
        self.timing = timing;
        self.wanted = Wanted::Up;
        match blocked {
            Some(on) => self.block(on),
            None => self.unblock(context),
        }
        match &mut self.state {
            State::Stopped | State::Idle { .. } => self.start(context),
            // It was found before anybody could know that it never says so.
            &mut State::Starting { incarnation, pid, started_at, .. } if timing.ready_on_exec => {
                self.state = State::Running { incarnation, pid, started_at, since: started_at };
            }
            State::Starting { ready_by, .. } if adopted => *ready_by = context.now + timing.start_timeout,
            // Those on their way stay on it; a process that is leaving is followed by a new one.
            State::Queued
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => {}
        }
    }

    pub(super) const fn retime(&mut self, timing: Timing) {
        // Deadlines that are already set stay: they were promised under the old limits.
        self.timing = timing;
    }

    pub(super) fn unwant(&mut self, wanted: Wanted, context: &mut Context<'_>) {
        self.wanted = wanted;
        match self.state {
            State::Starting { .. } | State::Running { .. } => self.stop(cause_of(wanted), context),
            // It is told to leave as soon as it has a pid; one that is leaving goes on leaving.
            State::Spawning { .. } | State::Stopping { .. } => {}
            State::Stopped
            | State::Queued
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => self.state = State::Stopped,
        }
    }

    pub(super) fn revive(&mut self, context: &mut Context<'_>) {
        self.failures.forget();
        self.dependency_waits = 0;
        self.lease_waits = 0;
        match &self.state {
            State::Backoff { .. }
            | State::Fatal { .. }
            | State::Waiting { on: Dependency::Named | Dependency::Lease(_), .. } => self.start(context),
            // What is provided by the supervisor does not come sooner because an operator asks for it.
            State::Waiting { on: Dependency::Provision(_) | Dependency::Keeper, .. }
            | State::Stopped
            | State::Queued
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Idle { .. } => {}
        }
    }

    pub(super) fn replace(&mut self, cause: StopCause, context: &mut Context<'_>) {
        match &mut self.state {
            State::Starting { .. } | State::Running { .. } => self.stop(cause, context),
            State::Spawning { replace, .. } => *replace = Some(cause),
            State::Stopped
            | State::Queued
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => {}
        }
    }

    pub(super) fn rest(&mut self, context: &mut Context<'_>) {
        if self.wanted != Wanted::Up {
            return;
        }
        self.wanted = Wanted::Resting;
        match self.state {
            State::Starting { .. } | State::Running { .. } => self.stop(StopCause::ScaleDown, context),
            State::Queued | State::Backoff { .. } | State::Waiting { .. } | State::Stopped => {
                self.state = State::Idle { since: context.now };
            }
            // FATAL must stay in sight, work or no work.
            State::Spawning { .. } | State::Stopping { .. } | State::Idle { .. } | State::Fatal { .. } => {}
        }
    }

    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        if self.wanted != Wanted::Resting {
            return;
        }
        self.wanted = Wanted::Up;
        match self.state {
            State::Idle { .. } | State::Stopped => self.start(context),
            State::Queued
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => {}
        }
    }

    pub(super) fn hurry(&mut self, context: &mut Context<'_>) {
        match &mut self.state {
            State::Stopping { killed: false, .. } => self.kill(context),
            // It is killed as soon as it has a pid.
            State::Spawning { hurry, replace, .. } => *hurry = replace.is_some() || self.wanted != Wanted::Up,
            State::Stopping { killed: true, .. }
            | State::Stopped
            | State::Queued
            | State::Starting { .. }
            | State::Running { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => {}
        }
    }

    // ---- what it depends on ---------------------------------------------------------------------------------------

    pub(super) fn block(&mut self, on: String) {
        match &mut self.state {
            State::Queued => {
                self.state = State::Waiting { on: Dependency::Provision(on.clone()), retry_at: None };
            }
            State::Waiting { on: Dependency::Provision(shown), .. } => shown.clone_from(&on),
            // A process that runs is not hurt by it; the next start will wait.
            State::Waiting { on: Dependency::Named | Dependency::Keeper | Dependency::Lease(_), .. }
            | State::Stopped
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Fatal { .. } => {}
        }
        self.blocked = Some(on);
    }

    pub(super) fn unblock(&mut self, context: &mut Context<'_>) {
        self.blocked = None;
        match self.state {
            State::Waiting { on: Dependency::Provision(_), .. } => self.start(context),
            State::Waiting { on: Dependency::Named | Dependency::Keeper | Dependency::Lease(_), .. }
            | State::Stopped
            | State::Queued
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Fatal { .. } => {}
        }
    }

    pub(super) fn dependency_up(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Waiting { on: Dependency::Named, retry_at } => {
                let comeback = context.now + COMEBACK.mul_f64(self.draw(context));
                let retry_at = Some(retry_at.map_or(comeback, |planned| planned.min(comeback)));
                self.state = State::Waiting { on: Dependency::Named, retry_at };
            }
            State::Waiting { on: Dependency::Provision(_) | Dependency::Keeper | Dependency::Lease(_), .. }
            | State::Stopped
            | State::Queued
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Fatal { .. } => {}
        }
    }

    pub(super) fn keeper_up(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Waiting { on: Dependency::Keeper, .. } => self.start(context),
            State::Waiting { on: Dependency::Named | Dependency::Provision(_) | Dependency::Lease(_), .. }
            | State::Stopped
            | State::Queued
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Fatal { .. } => {}
        }
    }

    pub(super) fn keeper_lost(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Starting { .. } | State::Running { .. } => {
                self.bury(exit::verdict(Exit::Unknown, None), Some("its keeper ended".to_owned()), context);
                self.settle(context);
            }
            State::Stopping { cause, .. } => {
                self.bury(exit::verdict(Exit::Unknown, Some(cause)), Some("its keeper ended".to_owned()), context);
                self.settle(context);
            }
            State::Queued | State::Spawning { .. } => self.settle(context),
            State::Stopped
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => {}
        }
    }

    // ---- what became of its process ---------------------------------------------------------------------------------

    pub(super) fn found(&mut self, found: Found, context: &mut Context<'_>) {
        // The keeper is the parent: what it says lives, lives, whatever was thought before.
        let Found { incarnation, pid, started_at, ready } = found;
        if self.state.process().is_some_and(|(known, ..)| known == incarnation) {
            return;
        }
        self.incarnation = self.incarnation.max(incarnation);
        self.starts = self.starts.max(1);
        self.state = if ready || self.timing.ready_on_exec {
            State::Running { incarnation, pid, started_at, since: started_at }
        } else {
            // Its time until ready starts again: nobody was there to hear it.
            let ready_by = context.now + self.timing.start_timeout;
            State::Starting { incarnation, pid, started_at, ready_by, place_until: None }
        };
        match self.wanted {
            Wanted::Up | Wanted::Undecided => {}
            Wanted::Resting | Wanted::Down(_) | Wanted::Gone(_) => self.stop(cause_of(self.wanted), context),
        }
    }

    pub(super) fn spawned(&mut self, incarnation: u64, pid: i32, started_at: BootTime, context: &mut Context<'_>) {
        let (replace, hurry) = match self.state {
            State::Spawning { incarnation: expected, replace, hurry } if expected == incarnation => (replace, hurry),
            // Late news about an earlier life.
            State::Spawning { .. }
            | State::Stopped
            | State::Queued
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => return,
        };
        self.lease_waits = 0;
        self.state = if self.timing.ready_on_exec {
            State::Running { incarnation, pid, started_at, since: context.now }
        } else {
            State::Starting {
                incarnation,
                pid,
                started_at,
                ready_by: context.now + self.timing.start_timeout,
                place_until: Some(context.now + context.policy.place_hold),
            }
        };
        match (self.wanted, replace) {
            (Wanted::Up | Wanted::Undecided, None) => {}
            (Wanted::Up | Wanted::Undecided, Some(cause)) => self.stop(cause, context),
            (Wanted::Resting | Wanted::Down(_) | Wanted::Gone(_), _) => self.stop(cause_of(self.wanted), context),
        }
        if hurry {
            // Nothing where it was not told to leave.
            self.kill(context);
        }
    }

    pub(super) fn spawn_failed(&mut self, incarnation: u64, trouble: SpawnTrouble, context: &mut Context<'_>) {
        if !matches!(self.state, State::Spawning { incarnation: expected, .. } if expected == incarnation) {
            return;
        }
        match trouble {
            SpawnTrouble::LeaseHeld { holder } if self.wanted == Wanted::Up => {
                let wait = exponential(LEASE_WAIT.0, LEASE_WAIT.1, self.lease_waits);
                self.lease_waits = self.lease_waits.saturating_add(1);
                self.state = State::Waiting { on: Dependency::Lease(holder), retry_at: Some(context.now + wait) };
            }
            SpawnTrouble::LeaseHeld { .. } => self.settle(context),
            SpawnTrouble::Failed { detail } => {
                self.bury(Verdict::SpawnFailed, Some(detail), context);
                self.after_failure(context);
            }
        }
    }

    pub(super) fn ready(&mut self, incarnation: u64, context: &mut Context<'_>) {
        match self.state {
            State::Starting { incarnation: current, pid, started_at, .. } if current == incarnation => {
                self.state = State::Running { incarnation, pid, started_at, since: context.now };
            }
            // Said twice, said while leaving, or said by an earlier life.
            State::Starting { .. }
            | State::Stopped
            | State::Queued
            | State::Spawning { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => {}
        }
    }

    pub(super) fn exited(&mut self, incarnation: u64, exit: Exit, context: &mut Context<'_>) {
        if self.state.incarnation() != Some(incarnation) {
            // An exit that happened while no supervisor was there still belongs into the tally.
            if incarnation > self.incarnation {
                self.incarnation = incarnation;
                self.bury(exit::verdict(exit, None), None, context);
            }
            return;
        }
        match self.state {
            State::Stopping { cause, .. } => {
                self.bury(exit::verdict(exit, Some(cause)), None, context);
                match cause {
                    StopCause::NeverReady | StopCause::Hung => self.after_failure(context),
                    StopCause::Operator | StopCause::Changed | StopCause::ScaleDown | StopCause::Recycle => {
                        self.settle(context);
                    }
                }
            }
            State::Running { .. } | State::Starting { .. } | State::Spawning { .. } => {
                self.left_by_itself(exit, context);
            }
            // They have no process, so no incarnation is theirs.
            State::Stopped
            | State::Queued
            | State::Backoff { .. }
            | State::Idle { .. }
            | State::Waiting { .. }
            | State::Fatal { .. } => {}
        }
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
        Wanted::Down(Why::Operator | Why::Shutdown) | Wanted::Gone(Why::Operator | Why::Shutdown) => {
            StopCause::Operator
        }
        Wanted::Down(Why::NotListed) | Wanted::Gone(Why::NotListed) | Wanted::Resting => StopCause::ScaleDown,
        // Not reached: nobody stops what is wanted.
        Wanted::Undecided | Wanted::Up => StopCause::Operator,
    }
}
