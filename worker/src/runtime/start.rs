//! From the command line to a worker that consumes.

use std::{cell::RefCell, env, time::Duration};

use etl_shared::{amqp, credentials::Credentials, environment::WORKER, postgres, telemetry::LogLevel};
use sd_notify::NotifyState;
use tokio::time::Instant;

use super::{
    Failure,
    flight::{Flight, notify},
    held::Held,
    intent::Intent,
    outage::Outage,
    signals::Signals,
    single_row,
    telling::Telling,
    worker::{Worker, leaving},
};
use crate::{
    broker::{BrokerError, BrokerSettings, MissingQueue, Session},
    job::{Suspected, pace::Pace, transform::SpecialFields},
    settings::Settings,
    store::{Store, StoreSettings},
};

/// Pause between two tries of a start.
const START_AGAIN: Duration = Duration::from_millis(250);

/// Runs the worker to its end.
pub async fn run(settings: Settings, log: LogLevel) -> Result<(), Failure> {
    // Before anything else, so that a signal during the start is not the end of the process.
    let mut signals =
        Signals::install().map_err(|source| Failure::System { doing: "installing the signal handlers", source })?;
    let Some(queue) = settings.queue.clone().filter(|_| settings.manual.raw_data_id.is_none()) else {
        let mut intent = Intent::default();
        return tokio::select! {
            done = single_row::run(&settings) => done,
            () = leaving(&mut signals, &mut intent, &log) => Err(Failure::Interrupted),
        };
    };
    let flight = Flight::start();
    let name = env::var(WORKER).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| queue.to_string());
    let (credentials, suspicions) = Credentials::load()?;
    let suspected = Suspected::from(suspicions);
    let database = postgres::parse_url(&credentials.database_url)?.trusting(credentials.database_ca.as_deref());
    let mut store = Store::new(database, store_settings(&settings, name.clone()))?;
    // What is delivered and not wanted would have to go back, and the broker may count that against the message.
    let wanted = settings.manual.max_messages.map_or(u16::MAX, |most| u16::try_from(most).unwrap_or(u16::MAX));
    let pace = Pace::new(settings.batch, settings.prefetch.min(wanted));
    let broker = BrokerSettings {
        at: amqp::parse_url(&credentials.amqp_url)?.trusting(credentials.broker_ca.as_deref()),
        queue: queue.to_string(),
        queue_tenant: queue.tenant(),
        name,
        prefetch: pace.prefetch(),
        missing: settings.create_queue.map_or(MissingQueue::Refuse, MissingQueue::Create),
        patience: settings.connect_timeout.max(Duration::from_secs(1)),
    };
    let prove = credentials.prove;
    drop(credentials);

    let mut intent = Intent::default();
    let connected = tokio::select! {
        connected = connect(&broker, &mut store, prove, settings.connect_timeout) => connected?,
        () = leaving(&mut signals, &mut intent, &log) => return Ok(()),
    };
    tracing::info!(
        queue = broker.queue,
        tenant = broker.queue_tenant.map(etl_shared::TenantId::get),
        broker = broker.address(),
        prefetch = broker.prefetch,
        batch = pace.batch(),
        "consuming"
    );
    if let (suspects, condemned) = suspected.counts()
        && suspects + condemned > 0
    {
        tracing::warn!(suspects, condemned, "earlier processes died on messages of this queue: suspects run alone");
    }
    notify(&[NotifyState::Ready, NotifyState::Status("consuming")]);
    let worker = Worker {
        settings,
        queue,
        broker,
        store,
        flight: RefCell::new(flight),
        signals,
        intent,
        log,
        telling: Telling::inherited(),
        held: Held::default(),
        pace,
        suspected,
        outage: Outage::default(),
        broker_outage: Outage::default(),
        connected_at: Instant::now(),
        hold_until: None,
        shown: 0,
    };
    worker.live(connected).await
}

pub(super) fn store_settings(settings: &Settings, application_name: String) -> StoreSettings {
    StoreSettings {
        connect_timeout: settings.connect_timeout,
        lock_timeout: settings.lock_timeout,
        statement_timeout: settings.statement_timeout,
        application_name,
        special_fields: SpecialFields::from(&settings.jira),
    }
}

/// Consumes, and knows that somebody listens at the database's address. An address that does not answer is tried again for a
/// while; everything else is final. New credentials are proved: who is ready with them can work with them.
async fn connect(
    broker: &BrokerSettings,
    store: &mut Store,
    prove: bool,
    patience: Duration,
) -> Result<Session, Failure> {
    let deadline = Instant::now() + patience;
    let consume = async {
        loop {
            match Session::open(broker).await {
                Ok(session) => return Ok(session),
                Err(BrokerError::Unavailable { .. } | BrokerError::Silent { .. })
                    if Instant::now() + START_AGAIN < deadline =>
                {
                    tokio::time::sleep(START_AGAIN).await;
                }
                Err(error) => return Err(Failure::Broker(error)),
            }
        }
    };
    let reach = async {
        let answered = tokio::time::timeout_at(deadline, async {
            while !store.is_reachable().await {
                tokio::time::sleep(START_AGAIN).await;
            }
        });
        answered.await.map_err(|_| Failure::DatabaseAway)?;
        if prove { store.prove_login().await.map_err(Failure::Store) } else { Ok(()) }
    };
    // The database first: without it no message must be taken, because the broker may count its return against it.
    reach.await?;
    consume.await
}
