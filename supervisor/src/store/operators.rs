//! Connections for what operators ask: apart from the one that watches the tenants, and never on the control loop.
//!
//! Such questions are rare and come in bursts, so each has a connection of its own that ends with it: nothing idles at the server, a
//! changed password is used at once, and a connection that broke is nobody's second surprise. Every wait has a limit.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use etl_shared::{TenantId, credentials::CredentialsError};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time,
};
use tokio_postgres::{Client, error::SqlState};

use super::connect::{ConnectError, connect};
use crate::settings::Database;

/// Most connections at once; further requests wait for a seat.
const SEATS: usize = 4;
/// Of those, most on behalf of one tenant's people: others are not to wait for them.
const SEATS_OF_A_TENANT: usize = 2;
/// How long connecting may take, the wait for a seat included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take; the server gives up a little earlier, so that its word arrives.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What the server is told. A lock is waited for only shortly: whoever holds one of a letter for longer is stuck.
const LIMITS: &str =
    "SET statement_timeout = '8s'; SET lock_timeout = '1s'; SET idle_in_transaction_session_timeout = '30s'";

/// The database as operators use it.
#[derive(Debug)]
pub struct OperatorStore {
    settings: Database,
    /// How the server shows the connections.
    name: &'static str,
    seats: Semaphore,
    /// Of tenants whose people have a connection, or wait for one.
    shares: Mutex<BTreeMap<TenantId, Arc<Semaphore>>>,
}

/// One connection with its seat.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) client: Client,
    _seat: SemaphorePermit<'a>,
    _share: Option<OwnedSemaphorePermit>,
}

/// What was asked could not be done; nothing was changed unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The password cannot be read.
    #[error("the database's password cannot be read")]
    Password(#[from] CredentialsError),
    /// There is no connection to be had.
    #[error("the database cannot be reached")]
    Unreachable(#[from] ConnectError),
    /// No seat, or no answer.
    #[error("the database has not answered for {} seconds while {doing}", within.as_secs())]
    Slow {
        /// What was tried.
        doing: &'static str,
        /// For how long.
        within: Duration,
    },
    /// The database has refused or broken off.
    #[error("{doing} failed")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// Its words.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl OperatorStore {
    /// Connects when it is asked something.
    pub const fn new(settings: Database, name: &'static str) -> Self {
        Self { settings, name, seats: Semaphore::const_new(SEATS), shares: Mutex::new(BTreeMap::new()) }
    }

    /// A connection whose every statement has its limit.
    pub async fn session(&self) -> Result<Session<'_>, StoreError> {
        self.session_for(None).await
    }

    /// The same on behalf of somebody of this tenant; `None`: of nobody who belongs to one.
    pub async fn session_for(&self, tenant: Option<TenantId>) -> Result<Session<'_>, StoreError> {
        const DOING: &str = "connecting";
        let url = self.settings.own_url()?;
        let connecting = async {
            let share = self.share(tenant).await;
            let Ok(seat) = self.seats.acquire().await else {
                return Err(StoreError::Slow { doing: DOING, within: CONNECT_WITHIN });
            };
            let (client, _, _) = connect(&url, self.name).await?;
            client.batch_execute(LIMITS).await.map_err(|source| StoreError::Failed { doing: DOING, source })?;
            Ok(Session { client, _seat: seat, _share: share })
        };
        match time::timeout(CONNECT_WITHIN, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(StoreError::Slow { doing: DOING, within: CONNECT_WITHIN }),
        }
    }
}

impl OperatorStore {
    /// Waits before the seats, not in one.
    async fn share(&self, tenant: Option<TenantId>) -> Option<OwnedSemaphorePermit> {
        let share = {
            let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody else has those that are only here.
            shares.retain(|_, share| Arc::strong_count(share) > 1);
            Arc::clone(shares.entry(tenant?).or_insert_with(|| Arc::new(Semaphore::new(SEATS_OF_A_TENANT))))
        };
        share.acquire_owned().await.ok()
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn answer<T>(
    doing: &'static str,
    question: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    match time::timeout(ANSWER_WITHIN, question).await {
        Ok(answer) => answer.map_err(|source| StoreError::Failed { doing, source }),
        Err(_) => Err(StoreError::Slow { doing, within: ANSWER_WITHIN }),
    }
}

impl StoreError {
    /// The tables are not there, or not as this program needs them.
    pub fn is_schema(&self) -> bool {
        const SCHEMA: [SqlState; 4] = [
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            SqlState::UNDEFINED_FUNCTION,
            SqlState::INSUFFICIENT_PRIVILEGE,
        ];
        self.code().is_some_and(|code| SCHEMA.contains(code))
    }

    /// Somebody else holds what was needed, or there was too much to look through.
    pub fn is_limit(&self) -> bool {
        const LIMITS: [SqlState; 2] = [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED];
        matches!(self, Self::Slow { .. }) || self.code().is_some_and(|code| LIMITS.contains(code))
    }

    /// The database has understood, and will never take this: it is no value of its types, or against a rule of the table.
    pub fn is_refused_data(&self) -> bool {
        self.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23"))
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Failed { source, .. } => source.code(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_tenants_people_leave_connections_to_others() {
        let settings = serde_json::from_value(serde_json::json!({"url": "postgresql://etl@localhost/etl"})).unwrap();
        let store = OperatorStore::new(settings, "test");
        let share = |tenant: i64| store.share(Some(tenant.try_into().unwrap())).now_or_never();
        let held = [share(1), share(1)];
        assert!(held.iter().all(|share| matches!(share, Some(Some(_)))));
        assert!(share(1).is_none(), "a third one waits");
        assert!(share(2).is_some() && SEATS > SEATS_OF_A_TENANT);
        drop(held);
        assert!(share(1).is_some() && store.shares.lock().unwrap().len() <= 2);
    }
}
