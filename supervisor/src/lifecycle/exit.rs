//! How a process ended, and the one word for it.

use etl_shared::{Verdict, exit_code};

use super::state::StopCause;
use crate::clock::BootTime;

/// What the operating system said of an ended process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
    /// Killed for its memory: by the kernel, or by the supervisor where the kernel does not hold the limit.
    OutOfMemory,
    /// Killed by somebody when it had made no progress for longer than it may.
    Stuck,
    /// Nobody can say.
    Unknown,
}

/// Why there is no process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpawnTrouble {
    /// Some process still holds the worker's lease.
    LeaseHeld {
        /// Whoever it is.
        holder: String,
    },
    /// It cannot be started.
    Failed {
        /// The step and the system's error, in words.
        detail: String,
    },
}

/// One entry of a worker's death tally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// In one word.
    pub verdict: Verdict,
    /// When it was known.
    pub at: BootTime,
    /// In a sentence, where the word leaves something unsaid.
    pub detail: Option<String>,
}

/// The verdict on a process. One that was told to leave never looks like a crash, however it left.
pub(crate) fn verdict(exit: Exit, told_to_leave: Option<StopCause>) -> Verdict {
    match (told_to_leave, exit) {
        (Some(StopCause::Operator | StopCause::Changed), _) => Verdict::Operator,
        (Some(StopCause::ScaleDown), _) => Verdict::ScaleDown,
        // Told to leave for its memory, it may still take all that there is before it has left.
        (None | Some(StopCause::Recycle), Exit::OutOfMemory) => Verdict::Oom,
        (Some(StopCause::Recycle), _) => Verdict::Recycle,
        (Some(StopCause::NeverReady | StopCause::Hung), _) | (None, Exit::Stuck) => Verdict::Hung,
        (None, Exit::Code(exit_code::DRAINED)) => Verdict::Drained,
        (None, Exit::Code(exit_code::UNAVAILABLE | exit_code::TRY_LATER | exit_code::REFUSED)) => Verdict::Dependency,
        (None, Exit::Code(code)) => Verdict::Exit(code),
        (None, Exit::Signal(signal)) => Verdict::Crash(signal),
        (None, Exit::Unknown) => Verdict::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_kill_decides_its_word_unless_it_was_ordered() {
        for (exit, word) in [
            (Exit::Signal(9), "CRASH(SIGKILL)"),
            (Exit::OutOfMemory, "OOM"),
            (Exit::Stuck, "HUNG"),
            (Exit::Unknown, "LOST"),
        ] {
            assert_eq!(verdict(exit, None).to_string(), word);
            assert_eq!(verdict(exit, Some(StopCause::Operator)), Verdict::Operator);
        }
        assert_eq!(verdict(Exit::OutOfMemory, Some(StopCause::Recycle)), Verdict::Oom);
    }
}
