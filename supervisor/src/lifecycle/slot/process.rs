//! What became of a worker's process. News about an earlier incarnation changes nothing.

use std::time::Duration;

use etl_shared::Verdict;

use super::{Context, Slot, cause_of};
use crate::{
    clock::BootTime,
    lifecycle::{
        event::Found,
        exit::{self, Exit, SpawnTrouble},
        restart::exponential,
        state::{Dependency, State, StopCause, Wanted},
    },
};

/// Delays between tries while somebody holds the lease.
const LEASE_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

impl Slot {
    pub(in crate::lifecycle) fn found(&mut self, found: Found, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn spawned(
        &mut self,
        incarnation: u64,
        pid: i32,
        started_at: BootTime,
        context: &mut Context<'_>,
    ) {
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

    pub(in crate::lifecycle) fn spawn_failed(
        &mut self,
        incarnation: u64,
        trouble: SpawnTrouble,
        context: &mut Context<'_>,
    ) {
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

    pub(in crate::lifecycle) fn ready(&mut self, incarnation: u64, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn exited(&mut self, incarnation: u64, exit: Exit, context: &mut Context<'_>) {
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
}
