//! The modelled keeper and the processes that it is the parent of.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;
use rand::{RngExt, rngs::StdRng};

use crate::{clock::BootTime, lifecycle::Exit};

/// How the processes of a worker behave from their start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Healthy,
    /// Ready, then dead after some time.
    CrashesLater,
    CrashesAtOnce,
    /// Ready, then gone with exit code 0 although nobody asked.
    LeavesByItself,
    NeverReady,
    /// Only KILL ends it.
    IgnoresTerm,
    SlowExit,
    /// Exit code 69 or 75 while the dependency is down.
    NeedsDependency,
    /// Exit code 78.
    Misconfigured,
    /// The keeper cannot start it.
    CannotBeStarted,
}

impl Nature {
    pub(super) const BAD: [Self; 9] = [
        Self::CrashesLater,
        Self::CrashesAtOnce,
        Self::LeavesByItself,
        Self::NeverReady,
        Self::IgnoresTerm,
        Self::SlowExit,
        Self::NeedsDependency,
        Self::Misconfigured,
        Self::CannotBeStarted,
    ];

    pub(super) fn any(rng: &mut StdRng) -> Self {
        if rng.random_bool(0.4) { Self::Healthy } else { Self::BAD[rng.random_range(0..Self::BAD.len())] }
    }
}

/// What a process does next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Ready,
    Exit(Exit),
}

/// A process that lives.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) incarnation: u64,
    pub(super) pid: i32,
    pub(super) started_at: BootTime,
    pub(super) ready: bool,
    pub(super) nature: Nature,
}

/// What the keeper knows.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    pub(super) processes: BTreeMap<WorkerName, Process>,
    /// Exits that no supervisor has taken note of.
    pub(super) retained: Vec<(WorkerName, u64, Exit)>,
}

/// What a process does after its start: each act with the time until then.
pub(super) fn after_start(nature: Nature, dependency: bool, rng: &mut StdRng) -> Vec<(Duration, Act)> {
    let ready = (between(rng, 20, 1_500), Act::Ready);
    let crash = if rng.random_bool(0.5) { Exit::Signal(11) } else { Exit::Code(rng.random_range(1..60)) };
    match nature {
        Nature::Healthy | Nature::IgnoresTerm | Nature::SlowExit => vec![ready],
        Nature::CrashesLater => vec![ready, (between(rng, 100, 120_000), Act::Exit(crash))],
        Nature::LeavesByItself => vec![ready, (between(rng, 100, 60_000), Act::Exit(Exit::Code(0)))],
        Nature::CrashesAtOnce => vec![(between(rng, 1, 50), Act::Exit(crash))],
        Nature::NeedsDependency if !dependency => vec![(between(rng, 5, 100), Act::Exit(unavailable(rng)))],
        Nature::NeedsDependency => vec![ready],
        Nature::Misconfigured => vec![(between(rng, 5, 30), Act::Exit(Exit::Code(78)))],
        Nature::NeverReady | Nature::CannotBeStarted => vec![],
    }
}

/// When it leaves after TERM, if it does.
pub(super) fn after_term(nature: Nature, rng: &mut StdRng) -> Option<(Duration, Act)> {
    let time = match nature {
        Nature::IgnoresTerm => return None,
        Nature::SlowExit => between(rng, 5_000, 90_000),
        Nature::NeverReady if rng.random_bool(0.5) => return None,
        _ => between(rng, 5, 2_000),
    };
    let exit = if rng.random_bool(0.8) { Exit::Code(0) } else { Exit::Signal(15) };
    Some((time, Act::Exit(exit)))
}

/// When it is gone after KILL; sometimes it is stuck and KILL does nothing yet.
pub(super) fn after_kill(rng: &mut StdRng) -> Option<(Duration, Act)> {
    rng.random_bool(0.9).then(|| (between(rng, 1, 30), Act::Exit(Exit::Signal(9))))
}

/// The dependency has gone: how a process that needs it leaves.
pub(super) fn after_loss_of_dependency(rng: &mut StdRng) -> (Duration, Act) {
    (between(rng, 10, 5_000), Act::Exit(unavailable(rng)))
}

fn unavailable(rng: &mut StdRng) -> Exit {
    Exit::Code(if rng.random_bool(0.5) { 69 } else { 75 })
}

/// Milliseconds.
pub(super) fn between(rng: &mut StdRng, low: u64, high: u64) -> Duration {
    Duration::from_micros(rng.random_range(low * 1_000..high * 1_000))
}
