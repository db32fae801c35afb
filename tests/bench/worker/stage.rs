//! A database and a virtual host for one measurement, with one tenant.

use std::time::Duration;

use etl_shared::{amqp, publish::Publisher};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use system_tests::{
    Platform,
    platform::{KIND, integration_of, message, queue_of},
};
use tokio::runtime::Runtime;

use super::{contender::Running, load::Load};
use crate::{
    Bench,
    outcome::{Doing, Outcome},
};

pub(super) const TENANT: i64 = 1;
/// Documents that are stored by one statement.
const PIECE: usize = 1_000;
/// Messages that are on their way to the broker at once.
const UNCONFIRMED: usize = 500;

pub(super) struct Stage<'a> {
    runtime: &'a Runtime,
    platform: Platform,
}

impl<'a> Stage<'a> {
    pub(super) fn new(runtime: &'a Runtime) -> Self {
        Self { runtime, platform: runtime.block_on(Platform::with_tenants(&[TENANT])) }
    }

    pub(super) fn broker(&self) -> &str {
        self.platform.broker.url()
    }

    pub(super) fn database(&self) -> &str {
        self.platform.database.url()
    }

    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(super) const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Stores the documents and publishes a message for each.
    pub(super) fn load(&self, load: &Load) -> Outcome<()> {
        let address = amqp::parse_url(&self.broker().to_owned().into())?;
        self.wait(async {
            let publisher = Publisher::connect(&address, "bench").await.doing("connect to the broker")?;
            for piece in load.pieces(PIECE) {
                let raws = self.store(&piece).await?;
                let sent = stream::iter(raws).map(|raw| {
                    let body = message(TENANT, raw).to_string();
                    let publisher = &publisher;
                    async move { publisher.publish_body(&queue_of(TENANT), body.as_bytes()).await }
                });
                sent.buffered(UNCONFIRMED).try_collect::<Vec<()>>().await.doing("publish")?;
            }
            // The planner should know the size of what it looks through, and nobody should tidy up in the middle.
            self.platform.database.client().batch_execute("VACUUM ANALYZE raw_extraction_data").await.doing("analyse")
        })
    }

    async fn store(&self, documents: &[Value]) -> Outcome<Vec<i64>> {
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        let insert = "INSERT INTO raw_extraction_data (tenant_id, integration_id, type, raw_data)
                      SELECT $1, $2, $3, text::jsonb FROM unnest($4::text[]) AS text RETURNING id";
        let client = self.platform.database.client();
        let rows =
            client.query(insert, &[&TENANT, &integration_of(TENANT), &KIND, &texts]).await.doing("store documents")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Messages a second, from the first transaction to the last one of all messages, or of those done in `longest`. By the
    /// database's own times, so that nobody has to ask meanwhile.
    pub(super) fn rate(
        &self,
        bench: &Bench,
        process: &mut Running,
        messages: usize,
        longest: Duration,
    ) -> Outcome<f64> {
        let deadline = std::time::Instant::now() + longest;
        let ended = bench.patience.until("the contender", longest * 2, Duration::from_millis(500), || {
            process.still_runs()?;
            let done = self.done().map_err(|error| error.to_string())?;
            if done == messages || std::time::Instant::now() >= deadline {
                Ok(done)
            } else {
                Err(format!("{done} done"))
            }
        })?;
        if ended < 50 {
            return Err(format!("only {ended} messages are done").into());
        }
        // The messages of the first transaction were done before its end, so they are not counted.
        let select = "WITH done AS (SELECT last_updated_at AS at FROM raw_extraction_data WHERE status = 'completed'),
                      bounds AS (SELECT min(at) AS first, max(at) AS last FROM done)
                      SELECT count(*)::float8, extract(epoch FROM max(last) - max(first))::float8
                      FROM done, bounds WHERE at > first";
        let row = self.wait(self.platform.database.client().query_one(select, &[])).doing("count")?;
        let (count, seconds): (f64, f64) = (row.get(0), row.get(1));
        Ok(count / seconds)
    }

    /// Waits until so many raw rows are completed in all.
    pub(super) fn all_done(
        &self,
        bench: &Bench,
        process: &mut Running,
        messages: usize,
        limit: Duration,
    ) -> Outcome<()> {
        bench.patience.until("all messages", limit, Duration::from_millis(500), || {
            process.still_runs()?;
            let done = self.done().map_err(|error| error.to_string())?;
            if done == messages { Ok(()) } else { Err(format!("{done} of {messages} done")) }
        })
    }

    fn done(&self) -> Outcome<usize> {
        let select = "SELECT count(*) FROM raw_extraction_data WHERE tenant_id = $1 AND status = 'completed'";
        let row = self.wait(self.platform.database.client().query_one(select, &[&TENANT])).doing("count")?;
        Ok(usize::try_from(row.get::<_, i64>(0))?)
    }
}
