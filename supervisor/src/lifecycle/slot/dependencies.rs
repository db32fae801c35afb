//! What a worker depends on: its provision, what its process named, and the keeper.

use std::time::Duration;

use super::{Context, Slot};
use crate::lifecycle::{
    exit::{self, Exit},
    state::{Dependency, State},
};

/// Workers that waited for the same dependency come back spread over this long.
const COMEBACK: Duration = Duration::from_secs(2);

impl Slot {
    pub(in crate::lifecycle) fn block(&mut self, on: String) {
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

    pub(in crate::lifecycle) fn unblock(&mut self, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn dependency_up(&mut self, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn keeper_up(&mut self, context: &mut Context<'_>) {
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

    pub(in crate::lifecycle) fn keeper_lost(&mut self, context: &mut Context<'_>) {
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
}
