//! Bodies about dead letters.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::TenantId;

/// What has become of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum LetterState {
    /// It waits for somebody to decide.
    #[default]
    Open,
    /// Its message was published again.
    Replayed,
    /// Somebody decided that nothing is to be done.
    Discarded,
}

impl LetterState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// A letter in a list: without body, headers and exit report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// Names it.
    pub id: i64,
    /// Whose; `None` where nobody can say.
    pub tenant_id: Option<TenantId>,
    /// Where the message came from, and where a replay publishes it.
    pub queue: String,
    /// Why it was given up, in one stable word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: String,
    /// How often it was tried.
    pub attempts: i32,
    /// The data type that the message names, where it can be read.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The raw row that the message names, where it can be read.
    pub raw_data_id: Option<i64>,
    /// Length of the body.
    pub body_bytes: i64,
    /// When it was given up, RFC 3339 in UTC.
    pub created_at: String,
    /// What has become of it.
    pub state: LetterState,
    /// When it was replayed or discarded.
    pub settled_at: Option<String>,
}

/// `GET /api/v1/admin/dead-letters`: the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterPage {
    /// This page.
    pub letters: Vec<DeadLetter>,
    /// `cursor` of the next page; `None`: this is the last one.
    pub next_cursor: Option<i64>,
}

/// `GET /api/v1/admin/dead-letters/{id}`: everything about one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// The message's headers.
    pub headers: Map<String, Value>,
    /// How the worker's process ended, where the message is suspected of having ended it.
    pub exit_report: Option<Value>,
    /// `text` or `base64`: how `body` is written.
    pub body_encoding: String,
    /// The message.
    pub body: String,
}

/// `POST /api/v1/admin/dead-letters/replay` and `…/discard`: which open letters. Exactly one of `ids` and `filter` is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LetterSelection {
    /// These, at most 500.
    #[cfg_attr(feature = "openapi", schema(max_items = 500))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<i64>>,
    /// All that match, the oldest first; `{}` matches every one that the caller may touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<LetterFilter>,
    /// Only say how many there are.
    #[serde(default)]
    pub dry_run: bool,
    /// Of a filter: at most so many in this call, 100 unless told, 500 at most.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 500))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Limits a selection to letters that satisfy all of these.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LetterFilter {
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// Given up for this reason.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[^\\x00]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Naming this data type.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[^\\x00]*$"))]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Given up at this time or later, RFC 3339.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Given up before this time, RFC 3339.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The answer to a selection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LettersSettled {
    /// Nothing was done.
    pub dry_run: bool,
    /// Open letters that match; more than one call settles where there are more than its limit.
    pub matched: i64,
    /// Replayed or discarded by this call.
    pub done: usize,
    /// Named or chosen, and no longer open when it was their turn, unknown, or another tenant's: nothing to do.
    pub skipped: usize,
    /// Still open, each with why.
    pub failed: Vec<LetterFailure>,
}

/// A letter that could not be replayed; it is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LetterFailure {
    /// Which.
    pub id: i64,
    /// A stable word: `queue_missing`, `refused`, `unconfirmed`, `not_forgiven`, `database_unavailable`.
    pub code: String,
    /// What happened, for a person.
    pub detail: String,
}
