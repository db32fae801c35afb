//! The connection: opened at the first need, closed when there has been none for a while.

use std::{collections::HashMap, time::Duration};

use etl_shared::postgres::{Address, ConnectError, InvalidDatabaseUrl};
use futures_util::future;
use tokio::{net::TcpStream, net::UnixStream, task::AbortHandle, time::Instant};
use tokio_postgres::{Client, Statement, config::Host};

use super::StoreError;
use crate::job::transform::SpecialFields;

/// Longest wait for a polite goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// How the store works.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for another worker's lock.
    pub lock_timeout: Duration,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// How PostgreSQL calls this worker.
    pub application_name: String,
    /// Which custom fields mean what.
    pub special_fields: SpecialFields,
}

/// PostgreSQL as the worker sees it.
pub struct Store {
    at: Address,
    settings: StoreSettings,
    session: Option<Session>,
}

impl Store {
    /// Looks at the address; connects to nothing.
    pub fn new(mut at: Address, settings: StoreSettings) -> Result<Self, InvalidDatabaseUrl> {
        let config = &mut at.config;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(InvalidDatabaseUrl);
        }
        config.connect_timeout(settings.connect_timeout);
        // A server that vanished without a word is noticed by the operating system.
        config.keepalives_idle(Duration::from_secs(30)).keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name(&settings.application_name);
        }
        Ok(Self { at, settings, session: None })
    }

    /// Whether somebody listens at the database's address. Nothing is said to it, so no server process is kept for a worker
    /// that has no work yet.
    pub async fn is_reachable(&self) -> bool {
        let config = &self.at.config;
        let ports = config.get_ports();
        // As the client library does: an address stands for the host of the same place.
        for (n, address) in config.get_hostaddrs().iter().enumerate() {
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            if TcpStream::connect((*address, port)).await.is_ok() {
                return true;
            }
        }
        if !config.get_hostaddrs().is_empty() {
            return false;
        }
        for (n, host) in config.get_hosts().iter().enumerate() {
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            let answers = match host {
                Host::Tcp(name) => TcpStream::connect((name.as_str(), port)).await.is_ok(),
                Host::Unix(path) => UnixStream::connect(path.join(format!(".s.PGSQL.{port}"))).await.is_ok(),
            };
            if answers {
                return true;
            }
        }
        false
    }

    /// Whether the database lets us in.
    pub async fn prove_login(&mut self) -> Result<(), StoreError> {
        self.session().await?;
        self.close();
        Ok(())
    }

    /// Since when the connection has been unused, where there is one.
    pub fn idle_since(&self) -> Option<Instant> {
        self.session.as_ref().map(|session| session.used)
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.session = None;
    }

    /// Gives up what the connection is in the middle of, and finds out why it took so long: the error says whether the database
    /// answers at all.
    pub async fn abandon(&mut self, doing: &'static str, after: Duration) -> StoreError {
        if let Some(session) = self.session.take() {
            // Otherwise the server would go on with what nobody waits for any more, and keep its locks.
            let cancelled = session.client.cancel_token();
            let _ = tokio::time::timeout(GOODBYE, self.at.cancel(cancelled)).await;
        }
        match self.session().await {
            Ok(_) => StoreError::TooLong { doing, after },
            Err(_) => StoreError::TimedOut { doing, after },
        }
    }

    pub(super) async fn session(&mut self) -> Result<&mut Session, StoreError> {
        self.parts().await.map(|(session, _)| session)
    }

    /// The connection, opened where there is none, and the settings.
    pub(super) async fn parts(&mut self) -> Result<(&mut Session, &StoreSettings), StoreError> {
        if self.session.as_ref().is_some_and(|session| session.client.is_closed()) {
            self.session = None;
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        session.used = Instant::now();
        Ok((self.session.insert(session), &self.settings))
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        let StoreSettings { connect_timeout, lock_timeout, statement_timeout, .. } = self.settings;
        let connecting = async {
            let (client, connection) = self.at.connect().await?;
            let task = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "the connection to the database ended");
                }
            });
            let session =
                Session { client, statements: HashMap::new(), task: task.abort_handle(), used: Instant::now() };
            let (lock, statement) = (lock_timeout.as_millis(), statement_timeout.as_millis());
            // A message is acknowledged once its commit is durable, so a server that answers before that is told to wait. And
            // should this process vanish in the middle of a transaction, its locks must not stay for hours.
            let set = format!(
                "SET lock_timeout = {lock}; SET statement_timeout = {statement}; SET client_min_messages = warning;
                 SET idle_in_transaction_session_timeout = {statement};
                 SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;
                 SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
            );
            session.client.batch_execute(&set).await?;
            Ok::<_, ConnectError>(session)
        };
        // Several hosts are tried one after the other.
        let config = &self.at.config;
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        let patience = connect_timeout.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX));
        match tokio::time::timeout(patience, connecting).await {
            Ok(connected) => connected.map_err(StoreError::connecting),
            Err(_) => Err(StoreError::TimedOut { doing: "connecting to the database", after: patience }),
        }
    }
}

/// One connection with what was prepared on it.
pub(super) struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    task: AbortHandle,
    used: Instant,
}

impl Session {
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// The statements, those that this connection has not seen yet prepared in one go.
    pub(super) async fn prepared(
        &mut self,
        doing: &'static str,
        wanted: impl IntoIterator<Item = &'static str>,
    ) -> Result<Vec<Statement>, StoreError> {
        let wanted: Vec<&'static str> = wanted.into_iter().collect();
        let mut missing: Vec<&'static str> =
            wanted.iter().filter(|sql| !self.statements.contains_key(*sql)).copied().collect();
        missing.sort_unstable();
        missing.dedup();
        let prepared = future::try_join_all(missing.iter().map(|sql| self.client.prepare(sql)));
        let prepared = prepared.await.map_err(|error| StoreError::new(doing, error))?;
        self.statements.extend(missing.into_iter().zip(prepared));
        Ok(wanted.iter().map(|sql| self.statements[sql].clone()).collect())
    }

    /// Ends a transaction that failed. Where even this fails the connection is of no use and says so at its next use.
    pub(super) async fn roll_back(&self) {
        if let Err(error) = self.client.batch_execute("ROLLBACK").await {
            tracing::debug!(%error, "roll back failed");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}
