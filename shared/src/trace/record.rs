//! What a worker tells the supervisor of a message that belongs to a recorded trace: one datagram, which may be lost.

use serde::{Deserialize, Serialize};

/// The work on one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanRecord {
    /// The message's `traceparent`: the span that published it.
    pub parent: String,
    /// The message's data type.
    pub kind: String,
    /// When its batch was begun: microseconds since 1970.
    pub started_us: u64,
    /// When it was settled: microseconds since 1970.
    pub ended_us: u64,
    /// Its queue.
    pub queue: String,
    /// The worker.
    pub worker: String,
    /// Which of its processes.
    pub incarnation: u64,
    /// Its raw row, 0 where it names none.
    pub raw_data_id: i64,
    /// Its correlation id.
    pub correlation_id: Option<String>,
    /// `done`, or the reason why it was given up.
    pub outcome: String,
    /// Whether it was given up.
    pub failed: bool,
}
