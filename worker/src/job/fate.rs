//! What becomes of a message: a returned value, which others carry out.

use std::fmt;

use etl_shared::TenantId;

/// The end, or the next try, of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Settled: acknowledge.
    Ack(Done),
    /// Keep it unacknowledged and try again.
    Retry(Wait, String),
    /// Write a dead letter, then acknowledge.
    DeadLetter(DeadLetter),
}

/// Why a message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Its rows are committed.
    Done,
    /// It names no raw row and asks for no work.
    Completion,
    /// Its raw row was completed before.
    AlreadyCompleted,
}

/// Why a message is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The database is away: everything waits.
    DatabaseUnavailable,
    /// The database is there but lacks a table, a column or a right: the worker leaves.
    SchemaUnavailable,
    /// The database refuses the login: the worker leaves.
    LoginRefused,
    /// Somebody else was in the way: deadlock, serialization, a lock or a statement that took too long, a race for a key.
    Conflict,
    /// There is no such raw row yet.
    RawRowMissing,
    /// What the document belongs to is not stored yet.
    ParentMissing,
    /// An error that nobody expected.
    Unexpected,
}

/// Why a message is given up. The words are stable: they are stored and are labels of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not JSON, not an object, or a required field is missing or of the wrong type.
    MalformedMessage,
    /// The message's tenant is not the queue's.
    WrongTenant,
    /// The raw row belongs to another tenant.
    ForeignRow,
    /// The raw row belongs to another integration, or the integration is gone.
    IntegrationMismatch,
    /// No such data type.
    UnknownType,
    /// Message and raw row name different data types.
    TypeMismatch,
    /// The raw row never appeared.
    RawRowMissing,
    /// What the document belongs to never appeared.
    ParentMissing,
    /// The document has another shape than its type promises.
    PayloadShape,
    /// The database refuses a value.
    DataRejected,
    /// Every attempt failed.
    TransformFailed,
    /// Worker processes have died on it.
    Poison,
}

impl Reason {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedMessage => "malformed_message",
            Self::WrongTenant => "wrong_tenant",
            Self::ForeignRow => "foreign_row",
            Self::IntegrationMismatch => "integration_mismatch",
            Self::UnknownType => "unknown_type",
            Self::TypeMismatch => "type_mismatch",
            Self::RawRowMissing => "raw_row_missing",
            Self::ParentMissing => "parent_missing",
            Self::PayloadShape => "payload_shape",
            Self::DataRejected => "data_rejected",
            Self::TransformFailed => "transform_failed",
            Self::Poison => "poison",
        }
    }

    /// Whether somebody's message has reached for another tenant's data.
    pub const fn is_isolation_violation(self) -> bool {
        matches!(self, Self::WrongTenant | Self::ForeignRow)
    }
}

impl Done {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Completion => "completion",
            Self::AlreadyCompleted => "already_completed",
        }
    }
}

impl Wait {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DatabaseUnavailable => "database_unavailable",
            Self::SchemaUnavailable => "schema_unavailable",
            Self::LoginRefused => "login_refused",
            Self::Conflict => "conflict",
            Self::RawRowMissing => "raw_row_missing",
            Self::ParentMissing => "parent_missing",
            Self::Unexpected => "transform_failed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A raw row of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRef {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub raw_data_id: i64,
}

/// A message that is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// In one word.
    pub reason: Reason,
    /// In a sentence, without any value of the document.
    pub detail: String,
    /// The raw row to mark as failed; `None` where it must not be touched.
    pub fails: Option<RowRef>,
}

/// What a failed step with the database means, whatever its code was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Not reachable, or about to stop.
    Unavailable,
    /// A table, a column or a right is missing.
    Schema,
    /// The login is refused.
    LoginRefused,
    /// Somebody else was in the way.
    Conflict,
    /// A row refers to something that is gone.
    DanglingReference,
    /// A value was refused.
    Rejected,
    /// Anything else.
    Unexpected,
}

impl Trouble {
    /// What it means for the one message that was in hand.
    pub fn fate(self, row: RowRef, detail: String) -> Fate {
        let dead = |reason, detail| Fate::DeadLetter(DeadLetter { reason, detail, fails: Some(row) });
        match self {
            Self::Unavailable => Fate::Retry(Wait::DatabaseUnavailable, detail),
            Self::Schema => Fate::Retry(Wait::SchemaUnavailable, detail),
            Self::LoginRefused => Fate::Retry(Wait::LoginRefused, detail),
            Self::Conflict => Fate::Retry(Wait::Conflict, detail),
            Self::Unexpected => Fate::Retry(Wait::Unexpected, detail),
            Self::DanglingReference => dead(Reason::IntegrationMismatch, detail),
            Self::Rejected => dead(Reason::DataRejected, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_with_the_database_decides_the_fate_of_the_message_in_hand() {
        let row = RowRef { tenant: 7.try_into().unwrap(), raw_data_id: 9 };
        let word = |trouble: Trouble| match trouble.fate(row, String::new()) {
            Fate::Ack(_) => unreachable!(),
            Fate::Retry(wait, _) => ("retry", wait.as_str()),
            Fate::DeadLetter(letter) => {
                assert_eq!(letter.fails, Some(row));
                ("dead letter", letter.reason.as_str())
            }
        };
        assert_eq!(word(Trouble::Unavailable), ("retry", "database_unavailable"));
        assert_eq!(word(Trouble::Schema), ("retry", "schema_unavailable"));
        assert_eq!(word(Trouble::LoginRefused), ("retry", "login_refused"));
        assert_eq!(word(Trouble::Conflict), ("retry", "conflict"));
        assert_eq!(word(Trouble::Unexpected), ("retry", "transform_failed"));
        assert_eq!(word(Trouble::DanglingReference), ("dead letter", "integration_mismatch"));
        assert_eq!(word(Trouble::Rejected), ("dead letter", "data_rejected"));
    }

    #[test]
    fn every_reason_to_give_up_is_counted_under_its_word() {
        use Reason::{
            DataRejected, ForeignRow, IntegrationMismatch, MalformedMessage, ParentMissing, PayloadShape, Poison,
            RawRowMissing, TransformFailed, TypeMismatch, UnknownType, WrongTenant,
        };
        let all = [
            MalformedMessage,
            WrongTenant,
            ForeignRow,
            IntegrationMismatch,
            UnknownType,
            TypeMismatch,
            RawRowMissing,
            ParentMissing,
            PayloadShape,
            DataRejected,
            TransformFailed,
            Poison,
        ];
        assert_eq!(all.map(Reason::as_str), etl_shared::flight::counters::REASONS);
        assert_eq!(all.len(), Poison as usize + 1, "a new reason needs its word in the flight record's counters");
    }
}
