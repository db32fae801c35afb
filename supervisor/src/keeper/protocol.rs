//! What brain and keeper say to each other: one JSON document a packet on a `SOCK_SEQPACKET` unix socket.
//!
//! The brain speaks first with [`Request::Hello`]; the keeper answers with [`Report::Hello`], one [`Report::Process`] for every
//! process that lives and one [`Report::Exited`] for every exit that no brain has taken note of, and [`Report::Listed`].
//! From then on both speak whenever they have something to say.

use etl_shared::{QueueType, WorkerName, api::Wall};
use serde::{Deserialize, Serialize};

use crate::clock::BootTime;

/// Version of this protocol. A keeper refuses a brain of another one, because it may be older than the brain's binary.
pub const VERSION: u32 = 2;

/// What every keeper has said of the protocol when it refused a brain of another version: the one thing both understand.
pub(super) const OTHER_VERSION: &str = " of the protocol, not ";

/// Largest packet, in bytes.
pub const MAX_PACKET: usize = 16 * 1024;

/// From the brain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Opens the conversation.
    Hello {
        /// [`VERSION`]
        version: u32,
    },
    /// Starts a process. The packet may carry one descriptor: the sealed memory file with the worker's credentials.
    Spawn {
        /// Whose process; its queue type names the command template.
        worker: WorkerName,
        /// Chosen by the brain, greater than every earlier one of this worker.
        incarnation: u64,
    },
    /// Sends a signal. Nothing happens where this incarnation is no longer the running one.
    Signal {
        /// Whose process.
        worker: WorkerName,
        /// Which process.
        incarnation: u64,
        /// The signal's number.
        signal: i32,
        /// Whom it reaches.
        scope: Scope,
    },
    /// The brain has noted this exit; the keeper may forget it.
    Noted {
        /// Whose process.
        worker: WorkerName,
        /// Which process.
        incarnation: u64,
    },
    /// Makes a worker's log smaller, where it is too large. Only for a keeper whose hello has [`Report::Hello::rotates_logs`].
    RotateLog {
        /// Whose.
        worker: WorkerName,
    },
    /// Reads the command templates again.
    Reload,
    /// Ends the keeper; refused while a process lives.
    Shutdown,
}

/// Whom a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The process group of the worker.
    Group,
    /// Every process that descends from the worker, as far as can be found; for SIGKILL.
    Tree,
}

/// From the keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// Answers [`Request::Hello`].
    Hello {
        /// [`VERSION`]
        version: u32,
        /// The keeper's own process.
        pid: i32,
        /// Templates that it can start.
        queue_types: Vec<QueueType>,
        /// What keeps workers apart here, and what does not.
        walls: Vec<Wall>,
        /// Whether it knows [`Request::RotateLog`]: the keeper may be older than the brain, and goes on with it all the same.
        #[serde(default)]
        rotates_logs: bool,
    },
    /// A process that lives, said once after hello.
    Process {
        /// Whose.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
        /// Its pid.
        pid: i32,
        /// When it was started.
        started_at: BootTime,
        /// Whether it has said that it is ready.
        ready: bool,
    },
    /// Everything that was there at hello has been said.
    Listed,
    /// The process runs its program.
    Spawned {
        /// Whose.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
        /// Its pid.
        pid: i32,
        /// When it was started.
        started_at: BootTime,
    },
    /// There is no process.
    SpawnFailed {
        /// Whose.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
        /// Why not.
        failure: SpawnFailure,
    },
    /// The process said `READY=1`.
    Ready {
        /// Whose.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
    },
    /// The process ended and has been reaped; its lease is free.
    Exited {
        /// Whose.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
        /// What it was.
        pid: i32,
        /// How.
        status: ExitStatus,
        /// What it used.
        usage: Usage,
        /// When.
        at: BootTime,
    },
    /// What keeps workers apart after the configuration was read again.
    Walls {
        /// All of them.
        walls: Vec<Wall>,
    },
    /// A request that could not be carried out, for the log.
    Refused {
        /// What and why.
        detail: String,
    },
}

/// Text in a report, cut to a length with which every report fits into a packet, however its characters are written.
pub(super) fn brief(mut text: String) -> String {
    const MOST_BYTES: usize = 1000;
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push('…');
    }
    text
}

/// Why a process could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum SpawnFailure {
    /// Some process still holds the worker's lease: one of an earlier life, or another keeper's.
    LeaseHeld {
        /// Whoever it is, as far as known.
        holder: String,
    },
    /// There is no such command template in the keeper's configuration.
    UnknownTemplate,
    /// A step on the way to the program failed.
    Failed {
        /// Which step, such as `execute /usr/bin/transform-worker`.
        step: String,
        /// The system's error in words.
        error: String,
        /// The system's error number.
        errno: i32,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// What a process used until it ended, its reaped descendants included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in microseconds.
    pub cpu_micros: u64,
    /// Largest resident set in bytes.
    pub max_resident_bytes: u64,
    /// Whether the kernel killed somebody in the worker's own control group because its memory was at its limit; `None`: it had no
    /// group of its own, or that does not count memory.
    pub out_of_memory: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_in_a_report_fits_into_a_packet() {
        for character in ["\u{1}", "é", "\"", "𝄞"] {
            let (step, error) = (brief(character.repeat(100_000)), "Permission denied".to_owned());
            let failure = SpawnFailure::Failed { step, error, errno: 13 };
            let worker = format!("{}-9223372036854775807-65535", "t".repeat(64)).parse().unwrap();
            let report = Report::SpawnFailed { worker, incarnation: u64::MAX, failure };
            assert!(serde_json::to_vec(&report).unwrap().len() <= MAX_PACKET, "{character:?}");
        }
        assert_eq!(brief("short".to_owned()), "short");
    }
}
