//! Whether the end of a process says anything about the messages that it had in hand.

use etl_shared::exit_code;
use nix::libc;
use serde::{Deserialize, Serialize};

use crate::lifecycle::{Exit, StopCause};

/// What the end of a process is to the messages in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// A death of its own: one of them did it.
    Own,
    /// Somebody outside killed it. That makes suspects, because nobody can know why, but it takes many of them to condemn.
    Outside,
}

/// Judges an end; `None` where it says nothing: the process left properly, or because it was told to.
pub fn blame(exit: Exit, told_to_leave: Option<StopCause>) -> Option<Blame> {
    match (told_to_leave, exit) {
        // While it finishes what it has in hand before it leaves, memory is taken by what it has in hand.
        (Some(StopCause::Hung), _) | (_, Exit::OutOfMemory) | (None, Exit::Stuck) => Some(Blame::Own),
        (Some(_), _) | (None, Exit::Unknown) => None,
        (None, Exit::Code(code)) => {
            let proper = [
                exit_code::DRAINED,
                exit_code::USAGE,
                exit_code::DATA,
                exit_code::UNAVAILABLE,
                exit_code::TRY_LATER,
                exit_code::REFUSED,
                exit_code::CONFIGURATION,
            ];
            (!proper.contains(&code)).then_some(Blame::Own)
        }
        (None, Exit::Signal(signal)) => Some(match signal {
            // What a process does to itself, or the kernel because of what it did.
            libc::SIGABRT
            | libc::SIGSEGV
            | libc::SIGBUS
            | libc::SIGILL
            | libc::SIGFPE
            | libc::SIGTRAP
            | libc::SIGSYS
            | libc::SIGXCPU => Blame::Own,
            _ => Blame::Outside,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_a_strike_and_a_proper_exit_is_none() {
        let alone = |exit| blame(exit, None);
        for signal in [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGSYS] {
            assert_eq!(alone(Exit::Signal(signal)), Some(Blame::Own), "signal {signal}");
        }
        for code in [1, 70, 101, 137] {
            assert_eq!(alone(Exit::Code(code)), Some(Blame::Own), "code {code}");
        }
        for code in [0, 64, 65, 69, 75, 78] {
            assert_eq!(alone(Exit::Code(code)), None, "code {code}");
        }
        assert_eq!(alone(Exit::OutOfMemory), Some(Blame::Own));
        assert_eq!(alone(Exit::Stuck), Some(Blame::Own));
        assert_eq!(alone(Exit::Unknown), None);
    }

    #[test]
    fn a_kill_from_outside_is_told_from_a_death_of_its_own() {
        for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGHUP] {
            assert_eq!(blame(Exit::Signal(signal), None), Some(Blame::Outside), "signal {signal}");
        }
    }

    #[test]
    fn whoever_was_told_to_leave_is_not_blamed_unless_it_hung_or_took_all_memory() {
        for exit in [Exit::Signal(libc::SIGKILL), Exit::Signal(libc::SIGABRT), Exit::Code(1), Exit::Code(0)] {
            for cause in [
                StopCause::Operator,
                StopCause::Changed,
                StopCause::ScaleDown,
                StopCause::Recycle,
                StopCause::NeverReady,
            ] {
                assert_eq!(blame(exit, Some(cause)), None, "{exit:?} {cause:?}");
                assert_eq!(blame(Exit::OutOfMemory, Some(cause)), Some(Blame::Own), "{cause:?}");
            }
            assert_eq!(blame(exit, Some(StopCause::Hung)), Some(Blame::Own), "{exit:?}");
        }
    }
}
