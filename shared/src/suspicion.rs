//! What the supervisor tells a new worker process of the messages that earlier ones died on.

use serde::{Deserialize, Serialize};

use crate::{Verdict, WorkerName, flight::Mark};

/// The messages of one queue that are not to be treated like others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Suspicions {
    /// Run these alone: one of them may have ended a process.
    pub suspects: Vec<Mark>,
    /// Do not run these: make dead letters of them.
    pub condemned: Vec<Condemned>,
}

/// A message that is not run any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condemned {
    /// Which.
    pub mark: Mark,
    /// Why.
    pub exit_report: ExitReport,
}

/// How the processes ended that had a message in hand, for the person who reads the dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// The last of them.
    #[serde(flatten)]
    pub last: Ending,
    /// How many there were within the time in which they count.
    pub strikes: u32,
    /// Those before, the oldest first.
    pub earlier: Vec<Ending>,
}

/// How one process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// In one word.
    pub verdict: Verdict,
    /// The signal, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The exit code, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// When it was known, RFC 3339 in UTC.
    pub at: String,
    /// Whose process.
    pub worker: WorkerName,
    /// Which of them.
    pub incarnation: u64,
    /// How many messages it had in hand, this one included.
    pub in_hand: u32,
}

impl Suspicions {
    /// Nothing is known against any message.
    pub const fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.condemned.is_empty()
    }
}

impl ExitReport {
    /// In a sentence.
    pub fn sentence(&self) -> String {
        let verdict = &self.last.verdict;
        format!(
            "{} worker processes ended while this message was in hand, the last with {verdict}; it is not tried again",
            self.strikes
        )
    }
}
