//! Documents of one tenant, transformed by the real worker, and the tables that come out.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    Platform,
    platform::{FINAL_TABLES, RawRow, integration_of, queue_of},
    worker::WorkerRun,
};

/// The one tenant.
pub const TENANT: i64 = 1;

/// A tenant with a queue of its own.
pub struct Documents {
    /// Where it lives.
    pub platform: Platform,
}

impl Documents {
    /// Nothing is stored yet.
    pub async fn new() -> Self {
        Self { platform: Platform::with_tenants(&[TENANT]).await }
    }

    /// Stores a document and publishes its message, both of this type; a row of another alias is added by
    /// [`add_as`](Self::add_as).
    pub async fn add(&self, kind: &str, document: &Value) -> i64 {
        self.add_as(kind, kind, document).await
    }

    /// Stores a document under one name and publishes a message with another.
    pub async fn add_as(&self, row_kind: &str, message_kind: &str, document: &Value) -> i64 {
        let raw = self.platform.add_raw(TENANT, row_kind, document).await;
        self.publish(message_kind, raw).await;
        raw
    }

    /// Publishes a message about a raw row that is there.
    pub async fn publish(&self, kind: &str, raw: i64) {
        let message = json!({
            "tenant_id": TENANT, "integration_id": integration_of(TENANT), "raw_data_id": raw, "type": kind,
        });
        self.platform.publish(&queue_of(TENANT), &message).await;
    }

    /// Lets a worker empty the queue, with batches of at most so many messages.
    pub async fn serve(&self, batch: u16) {
        let arguments = ["--queue", &queue_of(TENANT), "--once", "--batch", &batch.to_string()];
        let mut worker = WorkerRun::on(&self.platform).arguments(&arguments).start();
        let status = worker.wait_within(Duration::from_mins(1)).await;
        assert_eq!(status.code(), Some(0), "{status:?}: {}", worker.log());
    }

    /// Stores a document, transforms it and says what became of its raw row.
    pub async fn transform(&self, kind: &str, document: &Value) -> RawRow {
        let raw = self.add(kind, document).await;
        self.serve(50).await;
        self.platform.raw(raw).await
    }

    /// The same, where the row has to be completed without a warning.
    pub async fn transform_cleanly(&self, kind: &str, document: &Value) {
        let row = self.transform(kind, document).await;
        assert_eq!((row.status.as_str(), row.error_details), ("completed", None), "{kind}: {document}");
    }

    /// The rows of a query, each as an object.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let select = format!("SELECT to_jsonb(q) FROM ({query}) q");
        let rows = self.platform.database.client().query(&select, &[]).await;
        rows.unwrap_or_else(|error| panic!("{query}: {error:?}")).iter().map(|row| row.get(0)).collect()
    }

    /// The content of every final table.
    pub async fn tables(&self) -> BTreeMap<&'static str, Vec<Value>> {
        self.platform.tables().await
    }
}

impl Platform {
    /// The content of every final table, without what depends on the order of the writing: numbers of rows are replaced by the
    /// external ids of what they refer to, and the times of writing are left out.
    pub async fn tables(&self) -> BTreeMap<&'static str, Vec<Value>> {
        let mut tables = BTreeMap::new();
        for table in FINAL_TABLES {
            let references = "SELECT a.attname::text, f.relname::text
                FROM pg_constraint c
                JOIN pg_class f ON f.oid = c.confrelid
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)
                WHERE c.conrelid = $1::text::regclass AND c.contype = 'f'
                  AND a.attname NOT IN ('tenant_id', 'integration_id')
                  AND EXISTS (SELECT FROM pg_attribute e WHERE e.attrelid = f.oid AND e.attname = 'external_id')
                ORDER BY 1";
            let client = self.database.client();
            let references = client.query(references, &[&table]).await.expect("the catalogue can be read");
            let named = references.iter().fold(String::new(), |named, row| {
                let (column, target): (String, String) = (row.get(0), row.get(1));
                named
                    + &format!(
                        " || jsonb_build_object('{column}', (SELECT external_id FROM {target} r
                            WHERE r.id = t.{column} AND r.tenant_id = t.tenant_id))"
                    )
            });
            let select = format!(
                "SELECT content FROM (SELECT (to_jsonb(t) - 'id' - 'created_at' - 'last_updated_at'){named} FROM {table} t)
                 AS rows (content) ORDER BY content::text COLLATE \"C\""
            );
            let rows = client.query(&select, &[]).await.expect("final tables can be read");
            tables.insert(table, rows.iter().map(|row| row.get(0)).collect());
        }
        tables
    }
}
