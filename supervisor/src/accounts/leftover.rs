//! Accounts of tenants that are in force although all workers share one.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::{causes::in_one_line, settings::Database, store::connect};

/// How often a database that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// How many tenants' accounts let somebody in, as far as they are recorded.
pub async fn leftover(database: &Database) -> Result<i64, String> {
    let url = database.admin_url().map_err(|error| in_one_line(&error))?;
    let (client, ..) = connect(&url, "etl-supervisor accounts").await.map_err(|error| in_one_line(&error))?;
    match client.query_one("SELECT count(*) FROM worker_accounts WHERE state <> 'retired'", &[]).await {
        Ok(row) => Ok(row.get(0)),
        // A database of an earlier version, or of none, has no such accounts.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(0),
        Err(error) => Err(in_one_line(&error)),
    }
}

/// Nobody looks after them any more, so somebody has to know.
pub(crate) async fn warn_of_leftover(database: Database) {
    loop {
        match leftover(&database).await {
            Ok(0) => return,
            Ok(accounts) => {
                tracing::warn!(
                    accounts,
                    "all workers share one account, but tenants' own accounts are still in force: revoke them, see \
                     docs/security.md"
                );
                return;
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}
