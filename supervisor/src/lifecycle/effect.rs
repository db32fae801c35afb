//! What to do. An effect never says what happened.

use etl_shared::{Verdict, WorkerName, api::WorkerState};

/// An order of the fleet to those who can act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start a process.
    Spawn {
        /// Whose.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
    },
    /// Make a process leave.
    Stop {
        /// Whose.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
        /// How.
        signal: StopSignal,
    },
    /// Tell whoever watches: the worker stands elsewhere now, or something about it is different.
    Changed {
        /// Which worker.
        worker: WorkerName,
        /// Where it stood.
        from: WorkerState,
        /// Where it stands.
        to: WorkerState,
        /// A process ended with this.
        verdict: Option<Verdict>,
    },
    /// The worker is no longer known.
    Removed {
        /// Which worker.
        worker: WorkerName,
    },
}

/// How a process is made to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// TERM to its group: finish what is in flight.
    Term,
    /// KILL to it and all its descendants.
    Kill,
}
