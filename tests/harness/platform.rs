//! What an ETL platform consists of, as far as a transform worker sees it: tenants, raw rows, messages, final tables.

use std::time::Duration;

use etl_shared::TenantId;
use serde_json::{Value, json};
use tokio_postgres::{Client, types::Json};

use crate::{SOON, broker::TestBroker, database::TestDatabase, eventually, stack::Endpoints};

/// The data type that the suites transform.
pub const KIND: &str = "jira_custom_fields";

/// The tables that documents become.
pub const FINAL_TABLES: [&str; 17] = [
    "projects",
    "wits",
    "projects_wits",
    "statuses",
    "projects_statuses",
    "custom_fields",
    "custom_fields_mappings",
    "sprints",
    "work_items",
    "changelogs",
    "work_items_sprints",
    "work_items_prs_links",
    "repositories",
    "prs",
    "prs_commits",
    "prs_reviews",
    "prs_comments",
];

/// A database and a broker of one test.
pub struct Platform {
    /// The database.
    pub database: TestDatabase,
    /// The broker.
    pub broker: TestBroker,
}

/// A row of `raw_extraction_data`.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRow {
    /// `pending`, `completed` or `failed`.
    pub status: String,
    /// How often it was tried in vain.
    pub attempts: i32,
    /// Warnings, or why it failed.
    pub error_details: Option<Value>,
}

/// A row of `dead_letters`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Whose.
    pub tenant_id: Option<i64>,
    /// From which queue.
    pub queue: String,
    /// The message as it was.
    pub body: Vec<u8>,
    /// Why.
    pub reason: String,
    /// More about it.
    pub detail: String,
}

/// Rows of one tenant in the final tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// `projects`
    pub projects: i64,
    /// `wits`
    pub wits: i64,
    /// `projects_wits`
    pub projects_wits: i64,
    /// `custom_fields`
    pub custom_fields: i64,
}

impl Platform {
    /// On the shared stack, with the schema and no rows.
    pub async fn new() -> Self {
        Self::on(Endpoints::shared()).await
    }

    /// The same on another stack.
    pub async fn on(endpoints: &Endpoints) -> Self {
        Self { database: TestDatabase::with_schema(endpoints).await, broker: TestBroker::create(endpoints).await }
    }

    /// On the shared stack, with a database in which there is no table.
    pub async fn with_empty_database() -> Self {
        let endpoints = Endpoints::shared();
        Self { database: TestDatabase::empty(endpoints).await, broker: TestBroker::create(endpoints).await }
    }

    /// The same platform after its parts were away: with connections that work.
    #[must_use]
    pub async fn reconnected(self) -> Self {
        Self { database: self.database.reconnected().await, broker: self.broker }
    }

    /// With these active tenants, an integration each, and a queue each.
    pub async fn with_tenants(tenants: &[i64]) -> Self {
        let platform = Self::new().await;
        for tenant in tenants {
            platform.add_tenant(*tenant).await;
            platform.broker.declare(&queue_of(*tenant)).await;
        }
        platform
    }

    /// Adds an active tenant with one integration.
    pub async fn add_tenant(&self, tenant: i64) {
        let name = format!("tenant {tenant}");
        let insert = "INSERT INTO tenants (id, name) VALUES ($1, $2)";
        self.database.client().execute(insert, &[&tenant, &name]).await.expect("a tenant can be added");
        self.add_integration(tenant, integration_of(tenant)).await;
    }

    /// Adds another integration.
    pub async fn add_integration(&self, tenant: i64, integration: i64) {
        let insert = "INSERT INTO integrations (id, tenant_id, name) VALUES ($1, $2, 'Jira')";
        self.database.client().execute(insert, &[&integration, &tenant]).await.expect("an integration can be added");
    }

    /// Switches a tenant on or off.
    pub async fn set_active(&self, tenant: i64, active: bool) {
        let update = "UPDATE tenants SET active = $2 WHERE id = $1";
        self.database.client().execute(update, &[&tenant, &active]).await.expect("a tenant can be updated");
    }

    /// Stores a raw document.
    pub async fn add_raw(&self, tenant: i64, kind: &str, document: &Value) -> i64 {
        let insert = "INSERT INTO raw_extraction_data (tenant_id, integration_id, type, raw_data)
                      VALUES ($1, $2, $3, $4) RETURNING id";
        let row = self
            .database
            .client()
            .query_one(insert, &[&tenant, &integration_of(tenant), &kind, &Json(document)])
            .await
            .expect("a raw row can be added");
        row.get(0)
    }

    /// Publishes a message into a queue.
    pub async fn publish(&self, queue: &str, message: &Value) {
        self.broker.publish(queue, message.to_string().as_bytes()).await;
    }

    /// Stores a raw document and publishes the message that names it into the tenant's own queue.
    pub async fn submit(&self, tenant: i64, document: &Value) -> i64 {
        let raw = self.add_raw(tenant, KIND, document).await;
        self.publish(&queue_of(tenant), &message(tenant, raw)).await;
        raw
    }

    /// A raw row as it is now.
    pub async fn raw(&self, id: i64) -> RawRow {
        let select = "SELECT status, attempts, error_details FROM raw_extraction_data WHERE id = $1";
        let row = self.database.client().query_one(select, &[&id]).await.expect("the raw row is there");
        RawRow { status: row.get(0), attempts: row.get(1), error_details: row.get(2) }
    }

    /// Waits until a raw row is no longer pending.
    #[track_caller]
    pub fn ended(&self, id: i64) -> impl Future<Output = RawRow> {
        eventually(format!("raw row {id} is completed or failed"), SOON, async move || {
            let row = self.raw(id).await;
            if row.status == "pending" { Err(format!("{row:?}")) } else { Ok(row) }
        })
    }

    /// Waits until all of these raw rows are completed.
    #[track_caller]
    pub fn completed(&self, ids: &[i64]) -> impl Future<Output = ()> {
        self.completed_within(ids, SOON)
    }

    /// The same, where the workers may have reason to take longer.
    #[track_caller]
    pub fn completed_within(&self, ids: &[i64], deadline: Duration) -> impl Future<Output = ()> {
        let ids = ids.to_vec();
        eventually("all raw rows are completed", deadline, async move || {
            let select = "SELECT id, status, attempts, error_details::text FROM raw_extraction_data
                          WHERE id = ANY($1) AND status <> 'completed' ORDER BY id";
            let left = self.database.client().query(select, &[&ids]).await.map_err(|error| error.to_string())?;
            match left.first() {
                None => Ok(()),
                Some(row) => {
                    let (id, status): (i64, String) = (row.get(0), row.get(1));
                    let (attempts, details): (i32, Option<String>) = (row.get(2), row.get(3));
                    Err(format!("{} left, the first is {id}: {status}, {attempts} attempts, {details:?}", left.len()))
                }
            }
        })
    }

    /// Locks a raw row: who transforms it waits until the returned connection ends its transaction.
    pub async fn hold_raw(&self, id: i64) -> Client {
        let holder = self.database.connect().await;
        holder.batch_execute("BEGIN").await.expect("a transaction");
        let lock = "SELECT 1 FROM raw_extraction_data WHERE id = $1 FOR UPDATE";
        holder.execute(lock, &[&id]).await.expect("a lock on the raw row");
        holder
    }

    /// Adds a custom field without committing: who stores one of the same key waits until the returned connection ends its
    /// transaction, with all that it has written before.
    pub async fn hold_custom_field(&self, tenant: i64, external_id: &str) -> Client {
        let holder = self.database.connect().await;
        holder.batch_execute("BEGIN").await.expect("a transaction");
        let insert = "INSERT INTO custom_fields (tenant_id, integration_id, external_id, name, field_type)
                      VALUES ($1, $2, $3, 'held', 'string')";
        holder.execute(insert, &[&tenant, &integration_of(tenant), &external_id]).await.expect("a row");
        holder
    }

    /// Waits until some session of the database waits for a lock: a worker that a test holds in the middle of its work.
    #[track_caller]
    pub fn someone_waits_for_a_lock(&self) -> impl Future<Output = ()> {
        eventually("a session waits for a lock", SOON, async || {
            let select = "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'),
                                 string_agg(concat_ws(' ', state, wait_event, left(query, 60)), '; ')
                          FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
            let row = self.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
            if row.get::<_, i64>(0) > 0 { Ok(()) } else { Err(format!("{:?}", row.get::<_, Option<String>>(1))) }
        })
    }

    /// Waits until nobody but the tests' own `connections` is connected.
    #[track_caller]
    pub fn sessions_are_gone(&self, connections: i64) -> impl Future<Output = ()> {
        eventually("the worker's session is gone", SOON, async move || {
            let select = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
            let row = self.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
            let left: i64 = row.get(0);
            if left <= connections { Ok(()) } else { Err(format!("{left} sessions")) }
        })
    }

    /// Every dead letter, the oldest first.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let select = "SELECT tenant_id, queue, body, reason, detail FROM dead_letters ORDER BY id";
        let rows = self.database.client().query(select, &[]).await.expect("dead letters can be read");
        rows.iter()
            .map(|row| DeadLetter {
                tenant_id: row.get(0),
                queue: row.get(1),
                body: row.get(2),
                reason: row.get(3),
                detail: row.get(4),
            })
            .collect()
    }

    /// Waits for the first dead letter.
    #[track_caller]
    pub fn dead_letter(&self) -> impl Future<Output = DeadLetter> {
        eventually("there is a dead letter", SOON, async || {
            self.dead_letters().await.into_iter().next().ok_or_else(|| "none".to_owned())
        })
    }

    /// How many rows a tenant has.
    pub async fn counts(&self, tenant: i64) -> Counts {
        let select = "SELECT (SELECT count(*) FROM projects WHERE tenant_id = $1),
                             (SELECT count(*) FROM wits WHERE tenant_id = $1),
                             (SELECT count(*) FROM projects_wits WHERE tenant_id = $1),
                             (SELECT count(*) FROM custom_fields WHERE tenant_id = $1)";
        let row = self.database.client().query_one(select, &[&tenant]).await.expect("rows can be counted");
        Counts { projects: row.get(0), wits: row.get(1), projects_wits: row.get(2), custom_fields: row.get(3) }
    }

    /// Every row of every final table with the transaction that wrote it last: equal before and after means that nothing
    /// was written, not even the same values again.
    pub async fn versions(&self) -> Vec<String> {
        let mut versions = Vec::new();
        for table in FINAL_TABLES {
            let select = format!(
                "SELECT format('{table} %s of tenant %s, written by %s, %s', id, tenant_id, xmin, last_updated_at)
                 FROM {table} ORDER BY id"
            );
            let rows = self.database.client().query(&select, &[]).await.expect("final tables can be read");
            versions.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        versions
    }
}

/// The queue of a tenant.
pub fn queue_of(tenant: i64) -> String {
    let tenant = TenantId::try_from(tenant).expect("a test's tenant is a tenant");
    format!("transform_queue_tenant_{tenant}")
}

/// The integration that [`Platform::add_tenant`] adds.
pub fn integration_of(tenant: i64) -> i64 {
    tenant * 10
}

/// A message that names a raw row.
pub fn message(tenant: i64, raw: i64) -> Value {
    json!({"tenant_id": tenant, "integration_id": integration_of(tenant), "raw_data_id": raw, "type": KIND})
}
