//! Reconciliation: raw rows that wait for a message that is in no queue have it published again, once.
//!
//! Such rows come from a producer that died between its commit and its publishing, or from a queue that somebody emptied. A row is lost
//! when it has been pending for longer than `reconcile.after`, and its tenant was quiet in two looks one after the other: the queue
//! empty, and no worker with anything in hand. The row is noted in the same transaction as it is published in, so that it is never
//! published a second time; a row that is still pending after that is stuck, which `doctor` shows.
//!
//! A task of its own beside the ones that watch broker and database; the control loop has no part in it.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use etl_shared::{
    QueueType, TenantId, amqp,
    publish::{Outgoing, Publisher, headers},
    trace::Origin,
};
use lapin::types::{AMQPValue, FieldTable};
use tokio::time;

use crate::{
    broker,
    causes::in_one_line,
    correlation,
    runtime::FleetView,
    settings::{Broker, Database, Reconcile, Settings},
    store::{OperatorStore, Session, StoreError},
};

mod quiet;

use quiet::is_quiet;

/// Rows of one transaction.
const CHUNK: usize = 100;
/// How long the broker may take to let us in, to answer about all queues, and to confirm a chunk.
const BROKER_WITHIN: Duration = Duration::from_secs(10);

/// Messages that were published again since the supervisor started.
pub type Republished = Arc<AtomicU64>;

/// Looks for lost rows, round after round.
#[derive(Debug)]
pub struct Reconciler {
    after: Duration,
    settings: Reconcile,
    broker: Broker,
    store: OperatorStore,
    flights: PathBuf,
    view: Arc<ArcSwap<FleetView>>,
    republished: Republished,
    /// Tenants that had lost rows and were quiet in the look before.
    quiet_before: BTreeSet<TenantId>,
    /// Whether the queue of all tenants was in the way in the look before.
    was_in_the_way: AtomicBool,
    last_problem: Option<String>,
}

/// A round could not be finished; the next one begins anew.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the broker cannot be used: {0}")]
    Broker(String),
}

impl Reconciler {
    /// `None` where it is switched off, or broker or database are not configured.
    pub fn new(settings: &Settings, view: Arc<ArcSwap<FleetView>>, republished: Republished) -> Option<Self> {
        let (broker, database): (&Broker, &Database) = (settings.broker.as_ref()?, settings.database.as_ref()?);
        if !settings.queues.contains_key(&settings.reconcile.queue_type) {
            return None;
        }
        Some(Self {
            after: settings.reconcile.after?,
            settings: settings.reconcile.clone(),
            broker: broker.clone(),
            store: OperatorStore::new(database.clone(), "etl-supervisor reconcile"),
            flights: settings.runtime.flight_directory(),
            view,
            republished,
            quiet_before: BTreeSet::new(),
            was_in_the_way: AtomicBool::new(false),
            last_problem: None,
        })
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        loop {
            time::sleep(self.settings.every).await;
            let problem = self.round().await.err().map(|error| in_one_line(&error));
            if problem != self.last_problem {
                if let Some(problem) = &problem {
                    tracing::warn!(problem, "raw rows without a message cannot be looked for");
                }
                self.last_problem = problem;
            }
        }
    }

    /// One look at everybody, and the publishing for those who were quiet before and are still.
    async fn round(&mut self) -> Result<(), RoundError> {
        // Whatever goes wrong on the way, two looks are two looks one after the other.
        let quiet_before = std::mem::take(&mut self.quiet_before);
        let view = self.view.load_full();
        if !view.settled {
            return Ok(());
        }
        let tenants: Vec<TenantId> = view.tenants.keys().copied().collect();
        let mut session = self.store.session().await?;
        let lost = session.tenants_with_lost_rows(&tenants, self.after).await?;
        if lost.is_empty() {
            session.forget_old_reconciliations().await?;
            return Ok(());
        }
        let quiet = self.quiet(&lost).await?;
        let publish: Vec<TenantId> = quiet.intersection(&quiet_before).copied().collect();
        self.quiet_before = quiet;
        if publish.is_empty() {
            return Ok(());
        }
        let mut publisher = self.connect().await?;
        let (mut left, mut problem) = (self.settings.limit, None);
        for tenant in publish {
            let (done, trouble) = self.publish(&mut session, &publisher, tenant, left).await?;
            left -= done;
            if let Some(trouble) = trouble {
                // One tenant's queue that takes nothing is not the others'. What comes back late on this connection must not be taken
                // for an answer to the next one's messages.
                problem = problem.or(Some(RoundError::Broker(trouble)));
                let _ = time::timeout(BROKER_WITHIN, publisher.close()).await;
                publisher = self.connect().await?;
            }
            if left == 0 {
                break;
            }
        }
        let _ = time::timeout(BROKER_WITHIN, publisher.close()).await;
        problem.map_or(Ok(()), Err)
    }

    async fn connect(&self) -> Result<Publisher, RoundError> {
        within(Publisher::connect(&address(&self.broker)?, "etl-supervisor reconcile")).await
    }

    /// Which of these tenants have nothing in their queue and nothing in hand.
    async fn quiet(&self, tenants: &[TenantId]) -> Result<BTreeSet<TenantId>, RoundError> {
        let queue_type: &QueueType = &self.settings.queue_type;
        // Messages of a tenant may also wait in the queue that an older deployment has for everybody.
        let everybodys = format!("{queue_type}_queue");
        let mut queues: Vec<String> = tenants.iter().map(|tenant| queue_type.queue_of(*tenant).to_string()).collect();
        queues.push(everybodys.clone());
        let connection = within(address(&self.broker)?.connect("etl-supervisor reconcile")).await?;
        let depths = within(broker::depths(&connection, &queues)).await?;
        let complete = connection.status().connected();
        let _ = time::timeout(BROKER_WITHIN, connection.close(200, "done".into())).await;
        if !complete {
            return Err(RoundError::Broker("the connection was closed".to_owned()));
        }
        // Whoever consumes it may hold a message of any tenant.
        let in_the_way =
            depths.get(&everybodys).filter(|depth| depth.messages_ready > 0 || depth.consumers > 0).copied();
        let was_in_the_way = self.was_in_the_way.swap(in_the_way.is_some(), Ordering::Relaxed);
        if let Some(depth) = in_the_way {
            if !was_in_the_way {
                tracing::warn!(
                    queue = everybodys,
                    messages = depth.messages_ready,
                    consumers = depth.consumers,
                    "raw rows without a message are left alone while the queue of all tenants has messages or consumers: \
                     theirs may be among them"
                );
            }
            return Ok(BTreeSet::new());
        }
        // The workers are looked at after the queues: what was in a queue then is in a hand now, or done.
        let view = self.view.load_full();
        let is_quiet = |tenant: &TenantId| {
            let queue = queue_type.queue_of(*tenant).to_string();
            depths.get(&queue).is_some_and(|depth| is_quiet(&view, *tenant, &queue, *depth, &self.flights))
        };
        Ok(tenants.iter().copied().filter(is_quiet).collect())
    }

    /// Publishes for one tenant, `limit` rows at most; returns how many, and why not more where the broker did not take them.
    async fn publish(
        &self,
        session: &mut Session<'_>,
        publisher: &Publisher,
        tenant: TenantId,
        limit: usize,
    ) -> Result<(usize, Option<String>), RoundError> {
        let queue = self.settings.queue_type.queue_of(tenant).to_string();
        let (mut done, mut trouble) = (0, None);
        let origin = correlation::fresh_origin();
        while done < limit && trouble.is_none() {
            let chunk = i64::try_from(CHUNK.min(limit - done)).unwrap_or(1);
            let noted = session.note_lost(tenant, self.after, chunk).await?;
            if noted.rows.is_empty() {
                break;
            }
            let mut failed = Vec::new();
            let messages: Vec<_> = noted.rows.iter().map(|row| row.message.encode()).collect();
            let outgoing = messages.iter().map(|body| Outgoing { queue: &queue, body, headers: reconciled(&origin) });
            let publishing = time::timeout(BROKER_WITHIN, publisher.publish_many(outgoing.collect()));
            if let Ok(answers) = publishing.await {
                for (row, answer) in noted.rows.iter().zip(answers) {
                    if let Err(error) = answer {
                        failed.push(row.id);
                        trouble = Some(in_one_line(&error));
                    }
                }
            } else {
                failed.extend(noted.rows.iter().map(|row| row.id));
                trouble = Some(format!("no confirm for {} seconds", BROKER_WITHIN.as_secs()));
            }
            let confirmed = noted.rows.len() - failed.len();
            noted.settle(&failed).await?;
            done += confirmed;
            self.republished.fetch_add(confirmed as u64, Ordering::Relaxed);
        }
        if done > 0 {
            tracing::warn!(
                tenant = tenant.get(),
                queue,
                rows = done,
                correlation_id = origin.correlation_id,
                "raw rows were pending without a message: published again, once"
            );
        }
        Ok((done, trouble))
    }
}

fn reconciled(origin: &Origin) -> FieldTable {
    let mut table = headers::with_origin(origin);
    table.insert(headers::RECONCILED.into(), AMQPValue::Boolean(true));
    table
}

fn address(broker: &Broker) -> Result<amqp::Address, RoundError> {
    let url = broker.own_url().map_err(|error| RoundError::Broker(in_one_line(&error)))?;
    amqp::parse_url(&url).map_err(|error| RoundError::Broker(error.to_string()))
}

async fn within<T>(asked: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, RoundError> {
    match time::timeout(BROKER_WITHIN, asked).await {
        Ok(answer) => answer.map_err(|error| RoundError::Broker(error.to_string())),
        Err(_) => Err(RoundError::Broker(format!("no answer for {} seconds", BROKER_WITHIN.as_secs()))),
    }
}
