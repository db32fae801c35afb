//! One batch of messages as one transaction.

use std::{collections::BTreeSet, pin::pin};

use futures_util::{
    StreamExt,
    future::{self, FutureExt},
};

use super::{Store, StoreError, columns::column, connection::Session, raw_rows, write};
use crate::job::{Assignment, RawRow, RowSet, RowStatus, inspection::Found, transform::SpecialFields};

/// An open transaction in which the raw rows of a batch are locked. It has to be ended: `commit` or `roll_back`.
pub struct Transaction<'a> {
    session: &'a mut Session,
    special: &'a SpecialFields,
}

/// A raw row whose document has become rows.
#[derive(Debug, Clone)]
pub struct Completed {
    /// Which.
    pub work: Assignment,
    /// How many attempts it took this time.
    pub attempts: u32,
    /// What could not be used, as JSON.
    pub warnings: Option<String>,
}

impl Store {
    /// Begins a transaction and locks the raw rows that the messages name. The answer says of each message what was found.
    pub async fn begin(&mut self, works: &[Assignment]) -> Result<(Transaction<'_>, Vec<Found>), StoreError> {
        const DOING: &str = "locking raw rows";
        let failed = |error| StoreError::new(DOING, error);
        let (session, settings) = self.parts().await?;
        let lock = session.prepared(DOING, [raw_rows::LOCK]).await?.remove(0);
        let ids: Vec<i64> = works.iter().map(|work| work.raw_data_id).collect();
        let tenants: BTreeSet<i64> = works.iter().map(|work| work.scope.tenant.get()).collect();
        let tenants: Vec<i64> = tenants.into_iter().collect();
        let (begun, locked) =
            future::join(session.client().batch_execute("BEGIN"), session.client().query(&lock, &[&ids, &tenants]))
                .await;
        let transaction = Transaction { session, special: &settings.special_fields };
        let rows = match begun.and(locked).and_then(|rows| rows.iter().map(raw_row).collect::<Result<Vec<_>, _>>()) {
            Ok(rows) => rows,
            Err(error) => return Err(transaction.failed(failed(error)).await),
        };
        let own = |work: &Assignment| {
            rows.iter().find(|row| row.id == work.raw_data_id && row.tenant == work.scope.tenant).cloned()
        };
        let missing: Vec<i64> = works.iter().filter(|work| own(work).is_none()).map(|work| work.raw_data_id).collect();
        let foreign = match transaction.existing(&missing).await {
            Ok(foreign) => foreign,
            Err(error) => return Err(transaction.failed(error).await),
        };
        let found = works.iter().map(|work| match own(work) {
            Some(row) => Found::Own(row),
            None if foreign.contains(&work.raw_data_id) => Found::Foreign,
            None => Found::Nothing,
        });
        Ok((transaction, found.collect()))
    }

    /// Integration and type of a raw row.
    pub async fn describe(&mut self, row: crate::job::RowRef) -> Result<Option<(i64, String)>, StoreError> {
        const DOING: &str = "reading the raw row";
        let session = self.session().await?;
        let describe = session.prepared(DOING, [raw_rows::DESCRIBE]).await?.remove(0);
        let found = session.client().query_opt(&describe, &[&row.raw_data_id, &row.tenant.get()]).await;
        found.map(|row| row.map(|row| (row.get(0), row.get(1)))).map_err(|error| StoreError::new(DOING, error))
    }
}

impl Transaction<'_> {
    async fn existing(&self, ids: &[i64]) -> Result<BTreeSet<i64>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let rows = self.session.client().query(raw_rows::EXIST, &[&ids]).await;
        rows.map(|rows| rows.iter().map(|row| row.get(0)).collect())
            .map_err(|error| StoreError::new("looking for raw rows", error))
    }

    /// Fetches the documents of these messages and hands over one at a time, as it arrives, so that they are never all in
    /// memory. A message whose document is gone is not mentioned.
    pub async fn documents(
        &mut self,
        works: &[Assignment],
        mut each: impl FnMut(usize, &str),
    ) -> Result<(), StoreError> {
        const DOING: &str = "fetching raw documents";
        let failed = |error| StoreError::new(DOING, error);
        let statement = self.session.prepared(DOING, [raw_rows::DOCUMENTS]).await?.remove(0);
        let ids: Vec<i64> = works.iter().map(|work| work.raw_data_id).collect();
        let tenants: Vec<i64> = works.iter().map(|work| work.scope.tenant.get()).collect();
        let integrations: Vec<i64> = works.iter().map(|work| work.scope.integration).collect();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&ids, &tenants, &integrations];
        let stream = self.session.client().query_raw(&statement, parameters).await.map_err(failed)?;
        let mut stream = pin!(stream);
        while let Some(row) = stream.next().await {
            let row = row.map_err(failed)?;
            let id: i64 = row.try_get(0).map_err(failed)?;
            let document: Option<&str> = row.try_get(1).map_err(failed)?;
            if let Some(n) = works.iter().position(|work| work.raw_data_id == id) {
                each(n, document.unwrap_or("null"));
            }
        }
        Ok(())
    }

    /// Writes the rows, marks the raw rows and commits: everything is sent at once, and nothing is committed unless all of it
    /// succeeded. Returns how many rows of each table were changed.
    pub async fn commit(self, rows: &RowSet, completed: &[Completed]) -> Result<Vec<(&'static str, u64)>, StoreError> {
        self.finish(rows, completed, "COMMIT").await
    }

    /// Does all that `commit` does except for keeping it.
    pub async fn rehearse(
        self,
        rows: &RowSet,
        completed: &[Completed],
    ) -> Result<Vec<(&'static str, u64)>, StoreError> {
        self.finish(rows, completed, "ROLLBACK").await
    }

    async fn finish(
        self,
        rows: &RowSet,
        completed: &[Completed],
        end: &'static str,
    ) -> Result<Vec<(&'static str, u64)>, StoreError> {
        const DOING: &str = "writing rows";
        let mut writes = write::statements(rows, self.special);
        writes.push(mark(completed));
        let prepared = match self.session.prepared(DOING, writes.iter().map(|write| write.sql)).await {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.failed(error).await),
        };
        let client = self.session.client();
        let statements = future::join_all(writes.iter().zip(&prepared).map(|(write, statement)| {
            client.execute_raw(statement, write.parameters.iter().map(AsRef::as_ref)).boxed_local()
        }));
        // The marking is checked before the end is sent: a commit that is already on its way cannot be called back.
        let answers = statements.await;
        let mut changed = Vec::with_capacity(writes.len());
        for (write, answer) in writes.iter().zip(answers) {
            match answer {
                Ok(count) => changed.push((write.table, count)),
                // The answers come in order, so the first error is the cause of all that follow.
                Err(error) => return Err(self.failed(StoreError::new(DOING, error)).await),
            }
        }
        let (marked, expected) = (changed.last().map_or(0, |(_, count)| *count), completed.len() as u64);
        if marked != expected {
            return Err(self.failed(StoreError::NotMarked { marked, expected }).await);
        }
        match client.batch_execute(end).await {
            Ok(()) => Ok(changed),
            Err(error) => Err(self.failed(StoreError::new("committing", error)).await),
        }
    }

    /// Ends it without keeping anything.
    pub async fn roll_back(self) {
        self.session.roll_back().await;
    }

    async fn failed(self, error: StoreError) -> StoreError {
        self.session.roll_back().await;
        error
    }
}

fn mark(completed: &[Completed]) -> write::Write {
    let scopes = || completed.iter().map(|row| row.work.scope);
    let attempts = completed.iter().map(|row| i32::try_from(row.attempts).unwrap_or(i32::MAX));
    write::Write {
        table: "raw_extraction_data",
        sql: raw_rows::COMPLETE,
        parameters: vec![
            column(completed.iter().map(|row| row.work.raw_data_id)),
            column(scopes().map(|scope| scope.tenant.get())),
            column(scopes().map(|scope| scope.integration)),
            column(attempts),
            column(completed.iter().map(|row| row.warnings.clone())),
        ],
    }
}

fn raw_row(row: &tokio_postgres::Row) -> Result<RawRow, tokio_postgres::Error> {
    let tenant: i64 = row.try_get(1)?;
    let completed: bool = row.try_get(4)?;
    let stored: i64 = row.try_get(5)?;
    Ok(RawRow {
        id: row.try_get(0)?,
        // The statement asked for tenants that are valid.
        tenant: tenant.try_into().expect("a tenant that was asked for"),
        integration: row.try_get(2)?,
        kind: row.try_get(3)?,
        status: if completed { RowStatus::Completed } else { RowStatus::Open },
        stored_bytes: u64::try_from(stored).unwrap_or(0),
    })
}
