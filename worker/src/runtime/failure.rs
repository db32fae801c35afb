//! The ways in which a worker ends badly, each with its exit code.

use std::error::Error;

use etl_shared::{amqp::InvalidAmqpUrl, credentials::CredentialsError, exit_code, postgres::InvalidDatabaseUrl};

use crate::{broker::BrokerError, job::Trouble, store::StoreError};

/// Why the worker leaves.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No addresses.
    #[error("the worker does not know where to connect")]
    Credentials(#[from] CredentialsError),
    /// Not an address.
    #[error("the broker's address is wrong")]
    AmqpUrl(#[from] InvalidAmqpUrl),
    /// Not an address.
    #[error("the database's address is wrong")]
    DatabaseUrl(#[from] InvalidDatabaseUrl),
    /// A run of one row must know whose.
    #[error("--raw-data-id needs a tenant: add --tenant ID, or --queue with the queue of one tenant")]
    NoTenant,
    /// The broker cannot be used.
    #[error("the broker cannot be used")]
    Broker(#[source] BrokerError),
    /// Nobody listens at the database's address.
    #[error("the database does not answer: check that it runs and that the database URL names its address")]
    DatabaseAway,
    /// The database cannot be used.
    #[error(
        "the database cannot be used: check its URL, the login, and that the schema is up to date (etl-supervisor migrate)"
    )]
    Store(#[source] StoreError),
    /// The database went away during a run by hand.
    #[error("the database went away: {0}; nothing is lost, start again when it is back")]
    DatabaseLost(String),
    /// The database lacks something during work.
    #[error(
        "the database cannot be used: {0}; check its URL, the login and its rights, and that the schema is up to date (etl-supervisor migrate)"
    )]
    Schema(String),
    /// The database refuses the login.
    #[error("the database refuses the login: {0}; check user and password of the database URL")]
    LoginRefused(String),
    /// The named raw row could not be transformed.
    #[error("raw row {id}: {reason}: {detail}")]
    Row {
        /// Which.
        id: i64,
        /// In one word.
        reason: &'static str,
        /// In a sentence.
        detail: String,
    },
    /// A signal ended a run of one row.
    #[error("ended by a signal before the row was done; nothing of it was stored")]
    Interrupted,
    /// The operating system refused something.
    #[error("{doing} failed")]
    System {
        /// What we were doing.
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Failure {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Credentials(_)
            | Self::AmqpUrl(_)
            | Self::DatabaseUrl(_)
            | Self::Broker(BrokerError::Forbidden { .. } | BrokerError::Mismatch { .. }) => exit_code::CONFIGURATION,
            Self::NoTenant => exit_code::USAGE,
            Self::Store(error) if matches!(error.trouble(), Trouble::Unexpected) => exit_code::INTERNAL,
            Self::Store(error) if matches!(error.trouble(), Trouble::LoginRefused) => exit_code::REFUSED,
            Self::Broker(BrokerError::LoginRefused { .. }) | Self::LoginRefused(_) => exit_code::REFUSED,
            Self::Broker(_) | Self::DatabaseAway | Self::Store(_) | Self::DatabaseLost(_) | Self::Schema(_) => {
                exit_code::UNAVAILABLE
            }
            Self::Row { .. } => exit_code::DATA,
            Self::Interrupted => exit_code::TRY_LATER,
            Self::System { .. } => exit_code::INTERNAL,
        }
    }

    /// The message with all its causes, each said once.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries repeat their cause in their own words.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
