//! A run by hand of one raw row, without the broker.

use std::{cell::RefCell, env};

use etl_shared::{
    TransformMessage,
    credentials::Credentials,
    environment::WORKER,
    flight::{Mark, fingerprint},
    postgres,
};

use super::{Failure, batch, flight::Flight, start::store_settings};
use crate::{
    job::{Admission, DeadLetter, Fate, Reason, RowRef, Trouble, admission::admit},
    settings::Settings,
    store::{Letter, Store, StoreError},
};

/// Transforms the row and says what became of it. A row that cannot be transformed is marked as failed; no dead letter is
/// written, because there is no message.
pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let manual = &settings.manual;
    let tenant = manual.tenant.or_else(|| settings.queue.as_ref()?.tenant()).ok_or(Failure::NoTenant)?;
    let row = RowRef { tenant, raw_data_id: manual.raw_data_id.ok_or(Failure::NoTenant)? };
    let name = env::var(WORKER).unwrap_or_else(|_| "transform-worker".to_owned());
    let mut store =
        Store::new(postgres::parse_url(&Credentials::load_database_url()?)?, store_settings(settings, name))?;
    let failed = |reason: Reason, detail: String| Failure::Row { id: row.raw_data_id, reason: reason.as_str(), detail };

    let Some((integration_id, kind)) = store.describe(row).await.map_err(Failure::Store)? else {
        return Err(failed(Reason::RawRowMissing, format!("tenant {tenant} has no such raw row")));
    };
    let message = TransformMessage {
        tenant_id: tenant,
        integration_id,
        raw_data_id: Some(row.raw_data_id),
        kind,
        extra: serde_json::Map::new(),
    };
    // The same path as a message, so that the same rules hold.
    let fate = match admit(&message.encode(), Some(tenant)) {
        Admission::Work(work) => {
            let mark = Mark { raw_data_id: row.raw_data_id, fingerprint: fingerprint(&message.encode()) };
            let flight = RefCell::new(Flight::start());
            let item = batch::Item { work, mark, attempts: 1 };
            match batch::transact(&mut store, &flight, &[item], manual.dry_run).await {
                Ok(mut fates) => fates.pop().flatten(),
                Err(error) => Some(fate_of(error, row)?),
            }
        }
        Admission::Refused(letter, _) => Some(Fate::DeadLetter(letter)),
        Admission::Completion => None,
    };
    match fate {
        Some(Fate::Ack(done)) => {
            tracing::info!(
                raw_data_id = row.raw_data_id,
                outcome = done.as_str(),
                dry_run = manual.dry_run,
                "row done"
            );
            Ok(())
        }
        Some(Fate::DeadLetter(letter)) => {
            fail(&mut store, &letter, manual.dry_run).await?;
            Err(failed(letter.reason, letter.detail))
        }
        Some(Fate::Retry(_, detail)) => Err(failed(Reason::TransformFailed, detail)),
        None => Err(failed(Reason::TransformFailed, "the row could not be served".to_owned())),
    }
}

fn fate_of(error: StoreError, row: RowRef) -> Result<Fate, Failure> {
    match error.trouble() {
        Trouble::Unavailable | Trouble::Schema | Trouble::LoginRefused => Err(Failure::Store(error)),
        trouble => Ok(trouble.fate(row, error.to_string())),
    }
}

async fn fail(store: &mut Store, verdict: &DeadLetter, dry_run: bool) -> Result<(), Failure> {
    if dry_run {
        return Ok(());
    }
    store.bury(&Letter { message: None, verdict, attempts: 1, exit_report: None }).await.map_err(Failure::Store)
}
