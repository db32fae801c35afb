//! What a failure of PostgreSQL means for us.

use std::time::Duration;

use etl_shared::postgres::ConnectError;
use tokio_postgres::error::{DbError, SqlState};

use crate::job::Trouble;

/// Something with the database did not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL or the way to it said so.
    #[error("{doing}: {what}")]
    Failed {
        /// What we were doing.
        doing: &'static str,
        /// What PostgreSQL objects to, without any value of a document.
        what: String,
        /// What it means.
        trouble: Trouble,
        /// The database's own words; they may quote values, so they are for debugging only.
        #[source]
        source: tokio_postgres::Error,
    },
    /// There is no TLS with the database, although its URL asks for it.
    #[error("connecting to the database: {0}")]
    NoTls(#[source] ConnectError),
    /// No answer in time.
    #[error("{doing}: no answer within {}", humantime::format_duration(*after))]
    TimedOut {
        /// What we were doing.
        doing: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// No end in time, although the database answers others.
    #[error("{doing}: no end within {}; the database answers, so it is too much for one transaction", humantime::format_duration(*after))]
    TooLong {
        /// What we were doing.
        doing: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// Fewer raw rows were marked than were locked.
    #[error("marking the raw rows as completed: not every row could be marked; nothing was stored")]
    NotMarked(#[source] tokio_postgres::Error),
}

impl StoreError {
    pub(super) fn new(doing: &'static str, source: tokio_postgres::Error) -> Self {
        let trouble = trouble_of(&source);
        Self::Failed { doing, what: describe(&source), trouble, source }
    }

    /// A failure to mark the raw rows of a batch as completed.
    pub(super) fn marking(source: tokio_postgres::Error) -> Self {
        match source.code() {
            Some(&SqlState::CARDINALITY_VIOLATION) => Self::NotMarked(source),
            _ => Self::new("marking raw rows as completed", source),
        }
    }

    /// A failure to connect: whatever PostgreSQL refuses there is no message's fault.
    pub(super) fn connecting(error: ConnectError) -> Self {
        let source = match error {
            ConnectError::Failed(source) => source,
            error => return Self::NoTls(error),
        };
        let trouble = match trouble_of(&source) {
            trouble @ (Trouble::Unavailable | Trouble::LoginRefused) => trouble,
            _ => Trouble::Schema,
        };
        Self::Failed { doing: "connecting to the database", what: describe(&source), trouble, source }
    }

    /// What it means.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Failed { trouble, .. } => *trouble,
            Self::TimedOut { .. } | Self::NoTls(_) => Trouble::Unavailable,
            Self::TooLong { .. } => Trouble::Conflict,
            Self::NotMarked(_) => Trouble::Unexpected,
        }
    }
}

fn trouble_of(error: &tokio_postgres::Error) -> Trouble {
    match error.as_db_error() {
        Some(refusal) => trouble_of_code(refusal.code().code()),
        None if error.is_closed() || is_io(error) => Trouble::Unavailable,
        None => Trouble::Unexpected,
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return true;
        }
        cause = inner.source();
    }
    // tokio-postgres has no other name for a connection attempt that took too long.
    error.to_string().contains("timed out")
}

/// By SQLSTATE, as in PostgreSQL's appendix A.
fn trouble_of_code(code: &str) -> Trouble {
    match code {
        // Shutting down, starting up, recovering, out of connections or memory or disk, or only a standby for now.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25006" => Trouble::Unavailable,
        "3D000" | "3F000" | "57P04" => Trouble::Schema,
        "55P03" | "57014" | "23505" => Trouble::Conflict,
        "23503" => Trouble::DanglingReference,
        _ => match &code[..code.len().min(2)] {
            "08" | "53" => Trouble::Unavailable,
            // Class 42 never depends on the values of one message: a table, column, key or right is missing or another.
            "28" => Trouble::LoginRefused,
            "42" => Trouble::Schema,
            "40" => Trouble::Conflict,
            "22" | "23" => Trouble::Rejected,
            _ => Trouble::Unexpected,
        },
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => describe_refusal(refusal),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

fn describe_refusal(refusal: &DbError) -> String {
    let code = refusal.code().code();
    let place = [("table", refusal.table()), ("column", refusal.column()), ("constraint", refusal.constraint())]
        .into_iter()
        .filter_map(|(word, name)| name.map(|name| format!(", {word} {name}")))
        .collect::<String>();
    let words = match &code[..code.len().min(2)] {
        // The messages of these classes quote values.
        "22" | "23" => "a value was refused",
        "P0" => "a procedure of the database objects",
        _ => refusal.message(),
    };
    format!("{words} (SQLSTATE {code}{place})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_of_the_contract_means_what_the_contract_says() {
        for (codes, trouble) in [
            ("08000 08003 08006 57P01 57P02 57P03 53000 53100 53200 53300", Trouble::Unavailable),
            ("42P01 42703 42501 42601 42804 42P10 3D000", Trouble::Schema),
            ("28000 28P01", Trouble::LoginRefused),
            ("40P01 40001 55P03 57014 23505", Trouble::Conflict),
            ("23503", Trouble::DanglingReference),
            ("22001 22021 22P02 23502 23514", Trouble::Rejected),
            ("XX000 0A000 P0001", Trouble::Unexpected),
        ] {
            for code in codes.split(' ') {
                assert_eq!(trouble_of_code(code), trouble, "{code}");
            }
        }
    }
}
