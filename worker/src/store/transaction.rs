//! One batch of messages as one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

use futures_util::{
    StreamExt,
    future::{self, FutureExt},
};

use super::{
    Store, StoreError,
    columns::{Parameter, column, scopes},
    connection::Session,
    lookup, mapping, raw_rows, write,
};
use crate::job::{
    Assignment, FieldMapping, RawRow, RowSet, RowStatus, Scope,
    inspection::Found,
    references::{References, Target},
    rows::Key,
    transform::SpecialFields,
    warnings::Warnings,
};

const WRITING: &str = "writing rows";

/// An open transaction in which the raw rows of a batch are locked. It has to be ended: `commit`, `rehearse` or `roll_back`.
pub struct Transaction<'a> {
    session: &'a mut Session,
    special: &'a SpecialFields,
}

/// What the beginning of a transaction has found.
pub struct Begun<'a> {
    /// To go on with.
    pub transaction: Transaction<'a>,
    /// What was found of each message's raw row.
    pub found: Vec<Found>,
    /// The documents that are small enough to have come along, by raw row.
    pub documents: BTreeMap<i64, String>,
    /// The field mappings that were asked for, where there are any.
    pub mappings: BTreeMap<Scope, FieldMapping>,
}

/// A raw row whose document has become rows.
#[derive(Debug, Clone)]
pub struct Transformed {
    /// Which.
    pub work: Assignment,
    /// How many attempts it took this time.
    pub attempts: u32,
    /// What could not be used.
    pub warnings: Warnings,
    /// What it refers to.
    pub references: References,
}

/// What the end of a transaction has done.
#[derive(Debug)]
pub struct Ended {
    /// Of each document, whether its raw row is completed; the others wait for what they belong to.
    pub completed: Vec<bool>,
    /// How many rows of which table were changed.
    pub changed: Vec<(&'static str, u64)>,
}

impl Store {
    /// Begins a transaction and locks the raw rows that the messages name, in one round trip. Documents that take at most
    /// `inline` bytes where they are stored come along.
    pub async fn begin(&mut self, works: &[Assignment], inline: u64) -> Result<Begun<'_>, StoreError> {
        const DOING: &str = "locking raw rows";
        let failed = |error| StoreError::new(DOING, error);
        let (session, settings) = self.parts().await?;
        let statements = session.prepared(DOING, [raw_rows::LOCK, mapping::READ]).await?;
        let ids: Vec<i64> = works.iter().map(|work| work.raw_data_id).collect();
        let tenants: Vec<i64> = works.iter().map(|work| work.scope.tenant.get()).collect();
        let inline = i64::try_from(inline).unwrap_or(i64::MAX);
        let mapped: BTreeSet<Scope> =
            works.iter().filter(|work| work.data_type.needs_mapping()).map(|work| work.scope).collect();
        let mapped_scopes = scopes(mapped.iter());
        let client = session.client();
        let mapping = async {
            if mapped.is_empty() {
                return Ok(Vec::new());
            }
            client.query(&statements[1], &[&*mapped_scopes[0], &*mapped_scopes[1]]).await
        };
        let (begun, locked, mapping) = future::join3(
            client.batch_execute("BEGIN"),
            client.query(&statements[0], &[&ids, &tenants, &inline]),
            mapping,
        )
        .await;
        let transaction = Transaction { session, special: &settings.special_fields };
        let read = begun.and(locked).and_then(|rows| Ok((read_rows(&rows)?, mapping::read(&mapping?)?)));
        let ((rows, documents), mappings) = match read {
            Ok(read) => read,
            Err(error) => return Err(transaction.failed(failed(error)).await),
        };
        let own = |work: &Assignment| rows.get(&work.raw_data_id).filter(|row| row.tenant == work.scope.tenant);
        let missing: Vec<i64> = works.iter().filter(|work| own(work).is_none()).map(|work| work.raw_data_id).collect();
        let foreign = match transaction.existing(&missing).await {
            Ok(foreign) => foreign,
            Err(error) => return Err(transaction.failed(error).await),
        };
        let found = works.iter().map(|work| match own(work) {
            Some(row) => Found::Own(row.clone()),
            None if foreign.contains(&work.raw_data_id) => Found::Foreign,
            None => Found::Nothing,
        });
        Ok(Begun { found: found.collect(), transaction, documents, mappings })
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

    /// Writes the rows, marks the raw rows as completed and commits.
    pub async fn commit(self, rows: &RowSet, transformed: &[Transformed]) -> Result<Ended, StoreError> {
        self.finish(rows, transformed, "COMMIT").await
    }

    /// Does all that `commit` does except for keeping it.
    pub async fn rehearse(self, rows: &RowSet, transformed: &[Transformed]) -> Result<Ended, StoreError> {
        self.finish(rows, transformed, "ROLLBACK").await
    }

    async fn finish(
        mut self,
        rows: &RowSet,
        transformed: &[Transformed],
        end: &'static str,
    ) -> Result<Ended, StoreError> {
        match self.write_and_end(rows, transformed, end).await {
            Ok(ended) => Ok(ended),
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// One round trip where no document refers to anything: a transaction in which a statement has failed cannot be committed
    /// any more, so the end may be sent before the answers are there. Otherwise the references are answered first.
    async fn write_and_end(
        &mut self,
        rows: &RowSet,
        transformed: &[Transformed],
        end: &'static str,
    ) -> Result<Ended, StoreError> {
        let writes = write::statements(rows, self.special);
        let questions = lookup::questions(transformed.iter().flat_map(|one| one.references.wanted()));
        if questions.is_empty() {
            let warnings: Vec<_> = transformed.iter().map(|one| Some(one.warnings.clone())).collect();
            return self.end(writes, transformed, &warnings, end).await;
        }

        let statements = writes.iter().map(|write| write.sql).chain(questions.iter().map(|question| question.sql));
        let prepared = self.session.prepared(WRITING, statements).await?;
        let (changed, stored) = execute_and_ask(self.session.client(), &writes, &questions, &prepared).await?;
        let settled: Vec<Option<Warnings>> = transformed.iter().map(|one| settle(one, &stored)).collect();
        if settled.iter().all(Option::is_none) {
            // Nothing of these documents could be written.
            self.session.roll_back().await;
            return Ok(Ended { completed: vec![false; transformed.len()], changed: Vec::new() });
        }
        let mut ended = self.end(Vec::new(), transformed, &settled, end).await?;
        ended.changed.splice(0..0, changed);
        Ok(ended)
    }

    /// The last round trip. What has warnings (which may be none) is completed.
    async fn end(
        &mut self,
        mut writes: Vec<write::Write>,
        transformed: &[Transformed],
        settled: &[Option<Warnings>],
        end: &'static str,
    ) -> Result<Ended, StoreError> {
        let completed: Vec<(&Transformed, &Warnings)> =
            transformed.iter().zip(settled).filter_map(|(one, warnings)| Some((one, warnings.as_ref()?))).collect();
        writes.push(mark(&completed));
        let prepared = self.session.prepared(WRITING, writes.iter().map(|write| write.sql)).await?;
        let client = self.session.client();
        let (changed, ended) = future::join(execute(client, &writes, &prepared), client.batch_execute(end)).await;
        let mut changed = changed?;
        ended.map_err(|error| StoreError::new("committing", error))?;
        if let Some((_, marked)) = changed.last_mut() {
            *marked = completed.len() as u64;
        }
        Ok(Ended { completed: settled.iter().map(Option::is_some).collect(), changed })
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

fn reference(parameter: &Parameter) -> &(dyn tokio_postgres::types::ToSql + Sync) {
    parameter.as_ref()
}

/// Sends all of them at once; the answers come in order, so the first error is the cause of all that follow. Each statement goes
/// out when its future is first polled, and `join_all` polls in order as long as nobody wakes it meanwhile, which holds on the
/// worker's single thread: what is joined behind these, such as the end of the transaction, is sent behind them.
async fn execute(
    client: &tokio_postgres::Client,
    writes: &[write::Write],
    prepared: &[tokio_postgres::Statement],
) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let answers =
        future::join_all(writes.iter().zip(prepared).map(|(write, statement)| {
            client.execute_raw(statement, write.parameters.iter().map(reference)).boxed_local()
        }));
    let answers = answers.await.into_iter().zip(writes);
    answers
        .map(|(answer, write)| {
            let changed = |count| (write.table, if write.is_lock() { 0 } else { count });
            answer.map(changed).map_err(|error| match write.sql {
                raw_rows::COMPLETE => StoreError::marking(error),
                _ => StoreError::new(WRITING, error),
            })
        })
        .collect()
}

/// The same with questions in between, each in its place. `prepared` are the statements of the writes and then those of the
/// questions.
async fn execute_and_ask(
    client: &tokio_postgres::Client,
    writes: &[write::Write],
    questions: &[lookup::Question],
    prepared: &[tokio_postgres::Statement],
) -> Result<(Vec<(&'static str, u64)>, BTreeSet<(Target, Key)>), StoreError> {
    enum Answer {
        Changed(&'static str, u64),
        Stored(Target, Vec<tokio_postgres::Row>),
    }
    let (for_writes, for_questions) = prepared.split_at(writes.len());
    let places: Vec<usize> = questions.iter().map(|question| question.place(writes)).collect();
    let mut steps = Vec::new();
    for at in 0..=writes.len() {
        let here = questions.iter().zip(for_questions).zip(&places).filter(|(_, place)| **place == at);
        steps.extend(here.map(|((question, statement), _)| {
            let ask = async move {
                let parameters: Vec<_> = question.parameters.iter().map(reference).collect();
                let rows = client.query(statement, &parameters).await;
                rows.map(|rows| Answer::Stored(question.target, rows))
                    .map_err(|error| StoreError::new("looking for what documents refer to", error))
            };
            ask.boxed_local()
        }));
        steps.extend(writes.get(at).zip(for_writes.get(at)).map(|(write, statement)| {
            let execute = async move {
                let count = client.execute_raw(statement, write.parameters.iter().map(reference)).await;
                let changed = |count| Answer::Changed(write.table, if write.is_lock() { 0 } else { count });
                count.map(changed).map_err(|error| StoreError::new(WRITING, error))
            };
            execute.boxed_local()
        }));
    }
    let (mut changed, mut stored) = (Vec::new(), BTreeSet::new());
    for answer in future::join_all(steps).await {
        match answer? {
            Answer::Changed(table, count) => changed.push((table, count)),
            Answer::Stored(target, rows) => {
                for row in &rows {
                    stored.insert((target, key(row).map_err(|error| StoreError::new(WRITING, error))?));
                }
            }
        }
    }
    Ok((changed, stored))
}

/// The document's warnings with what is missing; `None` where it has to wait.
fn settle(one: &Transformed, stored: &BTreeSet<(Target, Key)>) -> Option<Warnings> {
    let mut warnings = one.warnings.clone();
    one.references.settle(stored, &mut warnings).then_some(warnings)
}

fn mark(completed: &[(&Transformed, &Warnings)]) -> write::Write {
    let scopes = || completed.iter().map(|(row, _)| row.work.scope);
    let attempts = completed.iter().map(|(row, _)| i32::try_from(row.attempts).unwrap_or(i32::MAX));
    write::Write {
        table: "raw_extraction_data",
        sql: raw_rows::COMPLETE,
        parameters: vec![
            column(completed.iter().map(|(row, _)| row.work.raw_data_id)),
            column(scopes().map(|scope| scope.tenant.get())),
            column(scopes().map(|scope| scope.integration)),
            column(attempts),
            column(completed.iter().map(|(_, warnings)| warnings.to_json())),
            Box::new(i64::try_from(completed.len()).unwrap_or(i64::MAX)),
        ],
    }
}

fn tenant(row: &tokio_postgres::Row, at: usize) -> Result<etl_shared::TenantId, tokio_postgres::Error> {
    let tenant: i64 = row.try_get(at)?;
    // The statement asked for tenants that are valid.
    Ok(tenant.try_into().expect("a tenant that was asked for"))
}

fn key(row: &tokio_postgres::Row) -> Result<Key, tokio_postgres::Error> {
    let scope = Scope { tenant: tenant(row, 0)?, integration: row.try_get(1)? };
    Ok(Key { scope, external_id: row.try_get(2)? })
}

type Rows = (BTreeMap<i64, RawRow>, BTreeMap<i64, String>);

fn read_rows(rows: &[tokio_postgres::Row]) -> Result<Rows, tokio_postgres::Error> {
    let (mut found, mut documents) = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        let id: i64 = row.try_get(0)?;
        let (completed, stored): (bool, i64) = (row.try_get(4)?, row.try_get(5)?);
        let raw = RawRow {
            id,
            tenant: tenant(row, 1)?,
            integration: row.try_get(2)?,
            kind: row.try_get(3)?,
            status: if completed { RowStatus::Completed } else { RowStatus::Open },
            stored_bytes: u64::try_from(stored).unwrap_or(0),
        };
        found.insert(id, raw);
        let document: Option<String> = row.try_get(6)?;
        documents.extend(document.map(|document| (id, document)));
    }
    Ok((found, documents))
}
