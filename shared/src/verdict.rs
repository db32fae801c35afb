//! Why a process ended, in one word that is the same in the API, the page, the metrics and the logs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The verdict on one ended process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Verdict {
    /// Stopped or restarted because somebody asked for it.
    Operator,
    /// Stopped because fewer workers are wanted.
    ScaleDown,
    /// Replaced on purpose, such as for its memory.
    Recycle,
    /// Ended by itself with exit code 0.
    Drained,
    /// Ended by itself with another exit code.
    Exit(u8),
    /// Ended by a signal that nobody here sent; the number of the signal.
    Crash(i32),
    /// Ended by the kernel because its memory limit was reached.
    Oom,
    /// Ended by the supervisor because it made no progress, or never became ready.
    Hung,
    /// Ended with exit code 69 or 75: something that it depends on is not available.
    Dependency,
    /// There was no process: it could not be started.
    SpawnFailed,
    /// It is gone and nobody can say how, because its parent ended first.
    Lost,
}

/// The word is not a verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an exit verdict")]
pub struct InvalidVerdict(String);

pub(crate) const SIGNALS: [(i32, &str); 31] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (16, "SIGSTKFLT"),
    (17, "SIGCHLD"),
    (18, "SIGCONT"),
    (19, "SIGSTOP"),
    (20, "SIGTSTP"),
    (21, "SIGTTIN"),
    (22, "SIGTTOU"),
    (23, "SIGURG"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (28, "SIGWINCH"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
    (31, "SIGSYS"),
];

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("OPERATOR"),
            Self::ScaleDown => f.write_str("SCALE_DOWN"),
            Self::Recycle => f.write_str("RECYCLE"),
            Self::Drained => f.write_str("DRAINED"),
            Self::Exit(code) => write!(f, "EXIT({code})"),
            Self::Crash(number) => match SIGNALS.iter().find(|(n, _)| n == number) {
                Some((_, name)) => write!(f, "CRASH({name})"),
                None => write!(f, "CRASH(SIG{number})"),
            },
            Self::Oom => f.write_str("OOM"),
            Self::Hung => f.write_str("HUNG"),
            Self::Dependency => f.write_str("DEPENDENCY"),
            Self::SpawnFailed => f.write_str("SPAWN_FAILED"),
            Self::Lost => f.write_str("LOST"),
        }
    }
}

impl FromStr for Verdict {
    type Err = InvalidVerdict;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let argument = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let verdict = match text {
            "OPERATOR" => Some(Self::Operator),
            "SCALE_DOWN" => Some(Self::ScaleDown),
            "RECYCLE" => Some(Self::Recycle),
            "DRAINED" => Some(Self::Drained),
            "OOM" => Some(Self::Oom),
            "HUNG" => Some(Self::Hung),
            "DEPENDENCY" => Some(Self::Dependency),
            "SPAWN_FAILED" => Some(Self::SpawnFailed),
            "LOST" => Some(Self::Lost),
            _ => argument("EXIT").and_then(|code| code.parse().ok()).map(Self::Exit).or_else(|| {
                let name = argument("CRASH")?;
                let named = SIGNALS.iter().find(|(_, n)| *n == name).map(|(number, _)| *number);
                named.or_else(|| name.strip_prefix("SIG")?.parse().ok()).map(Self::Crash)
            }),
        };
        verdict.ok_or_else(|| InvalidVerdict(text.to_owned()))
    }
}

impl TryFrom<String> for Verdict {
    type Error = InvalidVerdict;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Verdict> for String {
    fn from(verdict: Verdict) -> Self {
        verdict.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_is_one_word_that_can_be_read_back() {
        use Verdict::{Crash, Dependency, Drained, Exit, Hung, Lost, Oom, Operator, Recycle, ScaleDown, SpawnFailed};
        for (verdict, word) in [
            (Operator, "OPERATOR"),
            (ScaleDown, "SCALE_DOWN"),
            (Recycle, "RECYCLE"),
            (Drained, "DRAINED"),
            (Exit(78), "EXIT(78)"),
            (Crash(11), "CRASH(SIGSEGV)"),
            (Crash(40), "CRASH(SIG40)"),
            (Oom, "OOM"),
            (Hung, "HUNG"),
            (Dependency, "DEPENDENCY"),
            (SpawnFailed, "SPAWN_FAILED"),
            (Lost, "LOST"),
        ] {
            assert_eq!(verdict.to_string(), word);
            assert_eq!(word.parse(), Ok(verdict));
        }
        assert!("CRASHED".parse::<Verdict>().is_err());
    }
}
