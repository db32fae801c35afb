//! What is wanted of a worker.

use super::{Context, Slot, cause_of};
use crate::lifecycle::{
    event::Timing,
    state::{Dependency, State, StopCause, Wanted},
};

impl Slot {
    pub(in crate::lifecycle) fn want(&mut self, timing: Timing, blocked: Option<String>, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) const fn retime(&mut self, timing: Timing) {
        // Deadlines that are already set stay: they were promised under the old limits.
        self.timing = timing;
    }

    pub(in crate::lifecycle) fn unwant(&mut self, wanted: Wanted, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn revive(&mut self, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn replace(&mut self, cause: StopCause, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn rest(&mut self, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn wake(&mut self, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn hurry(&mut self, context: &mut Context<'_>) {
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
}
