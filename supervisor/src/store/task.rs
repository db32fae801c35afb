//! The task that keeps a connection to the database for as long as the supervisor runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    time::Duration,
};

use etl_shared::{TenantId, migrations};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_postgres::{Client, error::SqlState, types::Type};

use super::{connect::connect, seats::Seats, settings};
use crate::{causes::in_one_line, runtime::News, settings::Database};

/// Delays between tries to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long the database may take to answer one question.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A migration that takes no longer is no trouble: nobody starts without what is set in the database.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Where the trigger on `tenants` notifies.
const CHANNEL: &str = "etl_tenants";

/// Whether the tenants are read from the database or stand in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantSource {
    /// Asked with the configured query.
    Database,
    /// The database is only brought up to date and watched.
    Configuration,
}

/// Reads the tenants and reports on the database.
#[derive(Debug)]
pub struct StoreTask {
    settings: Database,
    source: TenantSource,
    /// Changes whenever somebody wants the tenants read at once.
    reload: watch::Receiver<u64>,
    news: mpsc::UnboundedSender<News>,
    migrated: bool,
    /// Rows of the last reading that name no possible tenant.
    unusable: usize,
    /// Why what is set for single tenants could not be read.
    settings_unread: Option<String>,
    last_word: Option<(bool, String)>,
}

impl StoreTask {
    /// Not connected yet.
    pub const fn new(
        settings: Database,
        source: TenantSource,
        reload: watch::Receiver<u64>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        Self { settings, source, reload, news, migrated: false, unusable: 0, settings_unread: None, last_word: None }
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        let mut delay = RECONNECT.0;
        loop {
            match self.session(&mut delay).await {
                Ok(()) => return,
                Err(problem) => self.say(false, problem),
            }
            time::sleep(delay).await;
            delay = (delay * 2).min(RECONNECT.1);
        }
    }

    /// One connection; ends without error only when the supervisor does.
    async fn session(&mut self, delay: &mut Duration) -> Result<(), String> {
        let url = self.settings.own_url().map_err(|error| error.to_string())?;
        let (client, mut notified, shown) =
            connect(&url, "etl-supervisor").await.map_err(|error| in_one_line(&error))?;
        if self.settings.migrate && !self.migrated {
            let mut migrating = pin!(migrate(self.settings.clone()));
            if let Ok(migrated) = time::timeout(AT_ONCE, &mut migrating).await {
                migrated?;
            } else {
                // Another migration may hold it up for as long as it takes; until then the last known tenants serve.
                self.say(false, format!("connected to {shown}; its schema is being brought up to date"));
                migrating.await?;
            }
            self.migrated = true;
        }
        let listen = format!("LISTEN {CHANNEL}");
        answered(client.batch_execute(&listen), &shown).await?.map_err(|error| in_one_line(&error))?;
        let seats = answered(Seats::ask(&client), &shown).await?.map_err(|error| in_one_line(&error))?;
        let _ = self.news.send(News::Seats(seats));
        loop {
            // Before the tenants, so that nobody's workers start who is paused.
            answered(self.read_settings(&client), &shown).await?;
            answered(self.read_tenants(&client, &shown), &shown).await??;
            *delay = RECONNECT.0;
            tokio::select! {
                notification = notified.recv() => match notification {
                    // Many changes at once are one reading.
                    Some(()) => while notified.try_recv().is_ok() {},
                    None => return Err(format!("connection to {shown} lost")),
                },
                changed = self.reload.changed() => if changed.is_err() {
                    return Ok(());
                },
                () = time::sleep(self.settings.refresh) => {}
            }
        }
    }

    /// Nothing changes where they cannot be read: what was known last goes on.
    async fn read_settings(&mut self, client: &Client) {
        let problem = match settings::read_all(client).await {
            Ok(overrides) => {
                let _ = self.news.send(News::Overrides(overrides));
                None
            }
            Err(error) => Some(in_one_line(&error)),
        };
        if problem != self.settings_unread {
            if let Some(problem) = &problem {
                tracing::warn!(
                    problem,
                    "what is set for single tenants (worker_settings) cannot be read: the last known settings hold"
                );
            }
            self.settings_unread = problem;
        }
    }

    async fn read_tenants(&mut self, client: &Client, shown: &str) -> Result<(), String> {
        if self.source == TenantSource::Configuration {
            let alive = client.simple_query("SELECT 1").await;
            alive.map_err(|error| in_one_line(&error))?;
            self.say(true, format!("connected to {shown}"));
            return Ok(());
        }
        match client.query(&self.settings.tenants_query, &[]).await {
            Ok(rows) => {
                let ids = rows.iter().map(id_of).collect::<Result<Vec<_>, _>>();
                let ids = ids.map_err(|problem| format!("database.tenants_query: {problem}"))?;
                let tenants = self.usable(&ids);
                let _ = self.news.send(News::Names(names(&rows)));
                self.say(true, format!("connected to {shown}"));
                let _ = self.news.send(News::Tenants(tenants));
                Ok(())
            }
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                // A database that nobody has set up yet is no failure: it is looked at again.
                self.say(
                    false,
                    format!("{shown} has no table for database.tenants_query yet; run `etl-supervisor migrate`"),
                );
                Ok(())
            }
            Err(error) => Err(format!("database.tenants_query: {}", in_one_line(&error))),
        }
    }

    /// One row that names no possible tenant must not keep all the others from their workers.
    fn usable(&mut self, ids: &[Option<i64>]) -> BTreeSet<TenantId> {
        let tenants: BTreeSet<_> = ids.iter().flatten().filter_map(|id| TenantId::try_from(*id).ok()).collect();
        let unusable = ids.iter().filter(|id| id.is_none_or(|id| TenantId::try_from(id).is_err())).count();
        if unusable != self.unusable {
            tracing::warn!(rows = unusable, "database.tenants_query returned rows whose id is null or not positive");
            self.unusable = unusable;
        }
        tenants
    }

    fn say(&mut self, ok: bool, detail: String) {
        let word = (ok, detail);
        if self.last_word.as_ref() != Some(&word) {
            if word.0 {
                tracing::info!(detail = word.1, "database");
            } else {
                tracing::warn!(detail = word.1, "database");
            }
            let _ = self.news.send(News::Part { part: "database", ok: word.0, detail: word.1.clone() });
            self.last_word = Some(word);
        }
    }
}

/// The supervisor's own account need not own the tables: this is the administrator's work.
async fn migrate(settings: Database) -> Result<(), String> {
    let url = settings.admin_url().map_err(|error| error.to_string())?;
    let (mut admin, _notified, _) =
        connect(&url, "etl-supervisor migrations").await.map_err(|error| in_one_line(&error))?;
    let report = migrations::apply(&mut admin).await.map_err(|error| in_one_line(&error))?;
    for migration in report.applied_migrations() {
        tracing::info!(%migration, "schema migrated");
    }
    Ok(())
}

/// The first column, whichever integer type it has.
fn id_of(row: &tokio_postgres::Row) -> Result<Option<i64>, String> {
    let column = row.columns().first().ok_or("it returns no column")?;
    let id = if *column.type_() == Type::INT8 {
        row.try_get::<_, Option<i64>>(0)
    } else if *column.type_() == Type::INT4 {
        row.try_get::<_, Option<i32>>(0).map(|id| id.map(i64::from))
    } else {
        return Err(format!("its first column is {}, expected bigint or integer", column.type_()));
    };
    id.map_err(|error| error.to_string())
}

/// The second column, where there is one and it is text.
fn names(rows: &[tokio_postgres::Row]) -> BTreeMap<TenantId, String> {
    let named = rows.iter().filter(|row| row.len() > 1).filter_map(|row| {
        let tenant = TenantId::try_from(id_of(row).ok()??).ok()?;
        Some((tenant, row.try_get::<_, Option<String>>(1).ok()??))
    });
    named.collect()
}

/// A database that neither answers nor hangs up must not look as if nothing were wrong.
async fn answered<T>(question: impl Future<Output = T>, shown: &str) -> Result<T, String> {
    let answer = time::timeout(ANSWER_WITHIN, question).await;
    answer.map_err(|_| format!("{shown} has not answered for {} seconds", ANSWER_WITHIN.as_secs()))
}
