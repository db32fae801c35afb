//! The task that looks after the accounts for as long as the supervisor runs.
//!
//! It knows what should be (the tenants of the list, and orders) and what is recorded (`worker_accounts`), and makes broker and
//! database follow. Whatever fails is tried again; whatever was begun when the supervisor ended stands in the table and is
//! finished by the next one.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};

use super::{
    AccountNews, AccountOrder, MasterKey, MasterKeyError, Names, Walls,
    database::{Accounts, Ledger, Roles, State},
    desk::{Crews, Desk, WantedTenants},
    settle::{Job, Look, Problem, Site, Standing, generation_of},
};
use crate::{
    broker::Management,
    causes::in_one_line,
    settings::{CredentialsMode, Database, Settings},
    store::connect,
};

/// Tenants that are seen to at once.
const AT_ONCE: usize = 24;
/// From so many on, one look at everything is cheaper than a look at each.
const MANY: usize = 8;
/// How long one tenant's affairs may take.
const DONE_WITHIN: Duration = Duration::from_mins(1);
/// How long a look at everything may take.
const LOOK_WITHIN: Duration = Duration::from_secs(30);
/// How often everything is looked at, in case somebody has changed it.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// Delays between tries to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// A lock in the catalogue is never held for long, except by somebody who is stuck. What is recorded must survive a crash of the server,
/// whatever its default is: a lost record would be an account that nobody knows.
const LIMITS: &str = "SET lock_timeout = '5s'; SET statement_timeout = '30s'; SET synchronous_commit = on";

/// What a copy of a database is told.
const COPIED: &str = "the accounts in worker_accounts were made by another database, and nothing is done to them. In a copy: set another \
    credentials.prefix and another master key, and DELETE FROM worker_accounts. After a move or an upgrade of the server: \
    UPDATE worker_accounts SET home = NULL";

/// Looks after the accounts.
pub struct AccountsTask {
    names: Names,
    key: MasterKey,
    management: Management,
    database: Database,
    /// Of each tenant, unless it has a number of its own.
    workers: u32,
    crews: watch::Receiver<Crews>,
    crews_known: Crews,
    wanted: watch::Receiver<WantedTenants>,
    orders: mpsc::UnboundedReceiver<AccountOrder>,
    tell: Box<dyn Fn(AccountNews) + Send + Sync>,
    desk: Desk,
    look_at: Instant,
    last_problem: Option<String>,
}

/// The task cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// No key.
    #[error("tenants cannot have accounts of their own")]
    Key(#[from] MasterKeyError),
    /// The configuration lacks something.
    #[error("tenants cannot have accounts of their own: {0}")]
    Settings(String),
}

type Done = (Job, Result<Standing, Problem>);
type Seen = Arc<(Accounts, Look)>;

impl AccountsTask {
    /// For the configured installation; nothing where all workers share an account.
    pub fn new(
        settings: &Settings,
        wanted: watch::Receiver<WantedTenants>,
        orders: mpsc::UnboundedReceiver<AccountOrder>,
        tell: impl Fn(AccountNews) + Send + Sync + 'static,
    ) -> Result<Option<Self>, AccountsError> {
        if settings.credentials.mode() != CredentialsMode::PerTenant {
            return Ok(None);
        }
        let lacks = |what: &str| AccountsError::Settings(format!("{what} is missing"));
        let file = settings.credentials.master_key_file.as_deref();
        let key = MasterKey::read(file.ok_or_else(|| lacks("credentials.master_key_file"))?)?;
        let broker = settings.broker.as_ref().ok_or_else(|| lacks("[broker] url"))?;
        let management = Management::of(broker).map_err(AccountsError::Settings)?;
        let workers = settings.queues.values().map(|queue| u32::from(queue.workers)).sum();
        Ok(Some(Self {
            names: Names::of(&settings.credentials),
            key,
            management: management.ok_or_else(|| lacks("broker.management_url"))?,
            database: settings.database.clone().ok_or_else(|| lacks("[database] url"))?,
            workers,
            crews: watch::channel(Crews::default()).1,
            crews_known: Crews::default(),
            wanted,
            orders,
            tell: Box::new(tell),
            desk: Desk::default(),
            look_at: Instant::now(),
            last_problem: None,
        }))
    }

    /// With tenants that have a number of workers of their own.
    #[must_use]
    pub fn with_crews(self, crews: watch::Receiver<Crews>) -> Self {
        Self { crews, ..self }
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        let mut delay = RECONNECT.0;
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            self.desk.want(wanted);
            let outcome = self.session(&mut delay).await;
            self.desk.interrupted();
            let Err(problem) = outcome else { return };
            self.warn(&problem);
            let pause = time::sleep(delay);
            tokio::pin!(pause);
            loop {
                for news in self.desk.unreachable(&problem) {
                    (self.tell)(news);
                }
                tokio::select! {
                    () = &mut pause => break,
                    changed = self.wanted.changed() => {
                        if changed.is_err() { return }
                        let wanted = self.wanted.borrow_and_update().clone();
                        self.desk.want(wanted);
                    }
                    order = self.orders.recv() => match order {
                        Some(order) => self.desk.order(order),
                        None => return,
                    },
                }
            }
            delay = (delay * 2).min(RECONNECT.1);
        }
    }

    fn warn(&mut self, problem: &str) {
        if self.last_problem.as_deref() != Some(problem) {
            tracing::warn!(problem, "accounts");
            self.last_problem = Some(problem.to_owned());
        }
    }

    /// One connection to the database; ends without error only when the supervisor does.
    async fn session(&mut self, delay: &mut Duration) -> Result<(), String> {
        let url = self.database.admin_url().map_err(|error| in_one_line(&error))?;
        let (mut client, mut notified, _) =
            connect(&url, "etl-supervisor accounts").await.map_err(|error| in_one_line(&error))?;
        client.batch_execute(LIMITS).await.map_err(|error| in_one_line(&error))?;
        // With walls that are open nobody gets an account; whoever is to lose one still does.
        let open = match Walls::new(&self.names).raise(&mut client).await {
            Ok(said) => {
                if !said.is_empty() {
                    tracing::info!(statements = said.len(), "row-level security set up");
                }
                None
            }
            Err(error) => Some(in_one_line(&error)),
        };
        let recorded = match Ledger(&client).is_copied().await {
            Ok(true) => return Err(COPIED.to_owned()),
            Ok(false) => Ledger(&client).all().await,
            Err(error) => Err(error),
        };
        let recorded = recorded.map_err(|error| open.clone().unwrap_or_else(|| in_one_line(&error)))?;
        if let Some(problem) = &open {
            self.warn(problem);
        } else {
            *delay = RECONNECT.0;
            self.last_problem = None;
        }
        let key = self.key.fingerprint();
        for (tenant, accounts) in &recorded {
            let current = accounts.iter().find(|account| account.state == State::Current);
            if let Some(current) = current.filter(|account| account.made_with.as_ref() == Some(&key))
                && current.name == self.names.account(*tenant, current.generation)
            {
                let next = generation_of(accounts, State::Next);
                self.desk.recorded(*tenant, current.generation, next).into_iter().for_each(&self.tell);
            }
        }
        self.desk.look_at_all(recorded.keys().copied());
        self.look_at = Instant::now() + LOOK_EVERY;
        let site = Arc::new(Site {
            names: self.names.clone(),
            key: self.key.clone(),
            management: self.management.clone(),
            client,
            roles: Roles { group: self.names.tenant_role(), connections: 0 }.with_workers(self.workers),
            crews: self.crews.clone(),
            open,
        });
        let mut running: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
        let mut looked: Option<(Seen, Vec<etl_shared::TenantId>)> = None;
        loop {
            self.start(&site, &mut running, &mut looked).await?;
            if let Some(problem) = site.open.as_ref().filter(|_| running.is_empty()) {
                // Everything has had its turn. The next connection looks at the walls again.
                return Err(problem.clone());
            }
            let due = self.desk.next_due().filter(|_| running.len() < AT_ONCE);
            tokio::select! {
                Some((job, outcome)) = running.next(), if !running.is_empty() => {
                    if let Err(problem) = outcome.as_ref().map_err(Problem::text)
                        && site.open.as_deref() != Some(problem)
                    {
                        tracing::warn!(tenant = %job.tenant, problem, "accounts");
                    }
                    self.desk.finish(&job, outcome, Instant::now()).into_iter().for_each(&self.tell);
                }
                changed = self.wanted.changed() => {
                    if changed.is_err() { return Ok(()) }
                    let wanted = self.wanted.borrow_and_update().clone();
                    self.desk.want(wanted);
                }
                Ok(()) = self.crews.changed() => {
                    let crews = self.crews.borrow_and_update().clone();
                    self.desk.crews_changed(&self.crews_known, &crews);
                    self.crews_known = crews;
                }
                order = self.orders.recv() => match order {
                    Some(order) => self.desk.order(order),
                    None => return Ok(()),
                },
                notification = notified.recv() => if notification.is_none() {
                    return Err("the connection to the database was lost".to_owned());
                },
                () = time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = time::sleep_until(self.look_at) => {
                    self.look_at = Instant::now() + LOOK_EVERY;
                    let recorded = Ledger(&site.client).all().await.map_err(|error| in_one_line(&error))?;
                    self.desk.look_at_all(recorded.keys().copied());
                }
            }
        }
    }

    /// Starts what is due, as far as there is room.
    async fn start(
        &mut self,
        site: &Arc<Site>,
        running: &mut FuturesUnordered<BoxFuture<'static, Done>>,
        looked: &mut Option<(Seen, Vec<etl_shared::TenantId>)>,
    ) -> Result<(), String> {
        let now = Instant::now();
        let room = AT_ONCE.saturating_sub(running.len());
        if room == 0 {
            return Ok(());
        }
        let still_fresh = looked.as_ref().is_some_and(|(_, fresh)| !fresh.is_empty());
        if !still_fresh {
            let due = self.desk.due(now, usize::MAX);
            let plain: Vec<_> = due.into_iter().filter(|tenant| !self.desk.has_order(*tenant)).collect();
            *looked = None;
            if plain.len() >= MANY {
                match time::timeout(LOOK_WITHIN, look(site)).await {
                    Ok(Ok(seen)) => *looked = Some((Arc::new(seen), plain)),
                    // Each finds out for itself, and is tried again by itself.
                    Ok(Err(problem)) => tracing::warn!(problem = problem.text(), "accounts"),
                    Err(_) => tracing::warn!("accounts: no answer within {} seconds", LOOK_WITHIN.as_secs()),
                }
            }
        }
        for tenant in self.desk.due(now, room) {
            let has_order = self.desk.has_order(tenant);
            // What was seen is good for one job each, and only as long as nobody has written since.
            let seen = looked.as_mut().and_then(|(seen, fresh)| {
                let place = fresh.binary_search(&tenant).ok()?;
                fresh.remove(place);
                (!has_order).then(|| Arc::clone(seen))
            });
            let (site, job) = (Arc::clone(site), self.desk.start(tenant));
            running.push(
                async move {
                    let nothing = Vec::new();
                    let seen = seen
                        .as_deref()
                        .map(|(accounts, look)| (accounts.get(&job.tenant).unwrap_or(&nothing).as_slice(), look));
                    let outcome = time::timeout(DONE_WITHIN, site.settle(&job, seen)).await;
                    let outcome = outcome.unwrap_or_else(|_| {
                        Err(Problem::Later(format!("no answer within {} seconds", DONE_WITHIN.as_secs())))
                    });
                    (job, outcome)
                }
                .boxed(),
            );
        }
        Ok(())
    }
}

async fn look(site: &Site) -> Result<(Accounts, Look), Problem> {
    let accounts = Ledger(&site.client).all().await.map_err(|error| Problem::of_database(&error))?;
    let names: Vec<String> = accounts.values().flatten().map(|account| account.name.clone()).collect();
    let look = Look::at(site, &names).await?;
    Ok((accounts, look))
}
