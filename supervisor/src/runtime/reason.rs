//! States in words.

use super::overrides::without_end;
use crate::{
    clock::{BootTime, rfc3339},
    lifecycle::{Dependency, Slot, State, StopCause, Wanted, Why},
};

/// Why a worker stands where it stands, for a person.
pub(super) fn reason(slot: &Slot) -> String {
    let clock = |time: BootTime| rfc3339(time.on_wall_clock());
    match slot.state() {
        State::Stopped => match slot.wanted() {
            Wanted::Down(Why::Operator) | Wanted::Gone(Why::Operator) => "stopped by an operator".to_owned(),
            Wanted::Down(Why::Paused { until }) | Wanted::Gone(Why::Paused { until }) if until >= without_end() => {
                "paused until somebody resumes it".to_owned()
            }
            Wanted::Down(Why::Paused { until }) | Wanted::Gone(Why::Paused { until }) => {
                format!("paused until {}", rfc3339(until))
            }
            Wanted::Down(Why::Shutdown) | Wanted::Gone(Why::Shutdown) => "the supervisor is stopping".to_owned(),
            Wanted::Down(Why::NotListed) | Wanted::Gone(Why::NotListed) => "its tenant is not active".to_owned(),
            Wanted::Undecided => "the list of tenants is not known yet".to_owned(),
            Wanted::Up | Wanted::Resting => String::new(),
        },
        State::Queued => "waits for its turn to start".to_owned(),
        State::Spawning { .. } => "its process is being started".to_owned(),
        State::Starting { ready_by, .. } => format!("not ready yet; has time until {}", clock(*ready_by)),
        State::Running { .. } => "ready".to_owned(),
        State::Stopping { cause, killed, kill_at, .. } => {
            let why = match cause {
                StopCause::Operator => "asked to leave by an operator",
                StopCause::Changed => "asked to leave because its configuration changed",
                StopCause::ScaleDown => "asked to leave because it is not needed",
                StopCause::Recycle => "asked to leave to be replaced",
                StopCause::NeverReady => "did not become ready in its time",
                StopCause::Hung => "makes no progress",
            };
            if *killed { format!("{why}; killed") } else { format!("{why}; will be killed at {}", clock(*kill_at)) }
        }
        State::Backoff { until, attempt } => {
            format!("failed {} times in a row; next start at {}", attempt + 1, clock(*until))
        }
        State::Idle { .. } => "no work".to_owned(),
        State::Waiting { on, .. } => match on {
            Dependency::Named => "left because something it depends on is not available; see its log".to_owned(),
            Dependency::Provision(what) => what.clone(),
            Dependency::Keeper => "waits for the keeper".to_owned(),
            Dependency::Lease(holder) => format!("its lease is still held by {holder}"),
        },
        State::Fatal { retry_at, .. } => {
            format!("given up after too many failures; tried once more at {}", clock(*retry_at))
        }
    }
}
