//! The modelled keeper and the processes that it is the parent of.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;
use rand::{RngExt, rngs::StdRng};

use super::world::{Happening, Order, Request, World};
use crate::{
    clock::BootTime,
    lifecycle::{Event, Exit, SpawnTrouble, StopSignal},
};

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
    /// Exit code 69, 75 or 77 while the dependency is down.
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
        Nature::CrashesLater => vec![ready, (between(rng, 100, 120_000), Act::Exit(crash))],
        Nature::LeavesByItself => vec![ready, (between(rng, 100, 60_000), Act::Exit(Exit::Code(0)))],
        Nature::CrashesAtOnce => vec![(between(rng, 1, 50), Act::Exit(crash))],
        Nature::NeedsDependency if !dependency => vec![(between(rng, 5, 100), Act::Exit(unavailable(rng)))],
        Nature::Healthy | Nature::IgnoresTerm | Nature::SlowExit | Nature::NeedsDependency => vec![ready],
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

impl World {
    /// The keeper dies and takes every process with it; some leases stay held for a while.
    pub(super) fn keeper_dies(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        self.note(|| "the keeper dies".to_owned());
        self.talk += 1;
        for worker in keeper.processes.into_keys() {
            if self.rng.random_bool(0.3) {
                let held = between(&mut self.rng, 10, 30_000);
                self.wishes.get_mut(&worker).expect("it had a process").lease_until = self.now + held;
            }
        }
        if self.connected {
            self.connected = false;
            self.abandon_reliefs(|_| true);
            self.tell(Event::KeeperLost);
        }
        let away = between(&mut self.rng, 100, 20_000);
        self.after(away, Happening::KeeperReturns);
    }

    pub(super) fn keeper_takes(&mut self, order: &Order) {
        let Order { worker, incarnation, request } = order;
        let (incarnation, rng) = (*incarnation, self.rngs.get_mut(worker).expect("every worker has one"));
        let Some(keeper) = &mut self.keeper else { return };
        let wish = &self.wishes[worker];
        let signal = match request {
            Request::Signal(signal) => *signal,
            Request::Spawn => {
                let living = keeper.processes.get(worker);
                assert!(living.is_none(), "a second process is ordered for {worker}, whose first lives: {living:?}");
                let trouble = if wish.lease_until > self.now {
                    Some(SpawnTrouble::LeaseHeld { holder: "somebody".to_owned() })
                } else if wish.nature == Nature::CannotBeStarted {
                    Some(SpawnTrouble::Failed { detail: "no such program".to_owned() })
                } else {
                    None
                };
                if let Some(trouble) = trouble {
                    return self.report(worker, Event::SpawnFailed { worker: worker.clone(), incarnation, trouble });
                }
                self.pids += 1;
                let (pid, started_at, nature) = (self.pids, self.now, wish.nature);
                let process = Process { incarnation, pid, started_at, ready: false, nature };
                keeper.processes.insert(worker.clone(), process);
                let acts = after_start(nature, self.dependency, rng);
                for (delay, act) in acts {
                    self.after(delay, Happening::Process(worker.clone(), incarnation, act));
                }
                return self.report(worker, Event::Spawned { worker: worker.clone(), incarnation, pid, started_at });
            }
        };
        let Some(process) = keeper.processes.get(worker).filter(|process| process.incarnation == incarnation) else {
            return;
        };
        let act = match signal {
            StopSignal::Term => after_term(process.nature, rng),
            StopSignal::Kill => after_kill(rng),
        };
        if let Some((delay, act)) = act {
            self.after(delay, Happening::Process(worker.clone(), incarnation, act));
        }
    }

    pub(super) fn process_acts(&mut self, worker: &WorkerName, incarnation: u64, act: Act) {
        let Some(keeper) = &mut self.keeper else { return };
        let Some(process) = keeper.processes.get_mut(worker).filter(|process| process.incarnation == incarnation)
        else {
            return;
        };
        let event = match act {
            Act::Ready => {
                process.ready = true;
                Event::Ready { worker: worker.clone(), incarnation }
            }
            Act::Exit(exit) => {
                keeper.processes.remove(worker);
                keeper.retained.push((worker.clone(), incarnation, exit));
                Event::Exited { worker: worker.clone(), incarnation, exit }
            }
        };
        self.report(worker, event);
    }

    /// Somebody with a shell ends it.
    pub(super) fn process_is_shot(&mut self, worker: &WorkerName) {
        let Some(process) = self.keeper.as_ref().and_then(|keeper| keeper.processes.get(worker)) else { return };
        self.process_acts(worker, process.incarnation, Act::Exit(Exit::Signal(9)));
    }
}
