//! One delivered message, from its arrival until it is settled.

use etl_shared::{
    TenantId,
    flight::{Mark, fingerprint},
};

use super::{
    admission::{Admission, admit},
    retry::Tries,
};

/// A delivered message in this worker's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What the broker calls this delivery; it belongs to the channel that delivered it.
    pub ticket: u64,
    /// As it came.
    pub body: Vec<u8>,
    /// The message's headers as a JSON object.
    pub headers: String,
    /// What its producer calls it, where it does.
    pub message_id: Option<String>,
    /// What it asks for.
    pub admission: Admission,
    /// How the flight record names it.
    pub mark: Mark,
    /// How often it was tried.
    pub tries: Tries,
    /// Whether it must not share a transaction with others, because it failed once or a worker died on it.
    pub alone: bool,
    /// How the workers ended that died on it, as JSON, where it is not to be run again.
    pub exit_report: Option<String>,
}

impl Job {
    /// Reads a delivery.
    pub fn new(ticket: u64, body: Vec<u8>, headers: String, queue_tenant: Option<TenantId>) -> Self {
        let admission = admit(&body, queue_tenant);
        let raw_data_id = match &admission {
            Admission::Work(work) => work.raw_data_id,
            Admission::Refused(letter, _) => letter.fails.map_or(0, |row| row.raw_data_id),
            Admission::Completion => 0,
        };
        let mark = Mark { raw_data_id, fingerprint: fingerprint(&body) };
        Self {
            ticket,
            body,
            headers,
            message_id: None,
            admission,
            mark,
            tries: Tries::default(),
            alone: false,
            exit_report: None,
        }
    }
}
