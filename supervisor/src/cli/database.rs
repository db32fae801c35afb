//! A connection to the database for a command that a person started.

use std::time::Duration;

use etl_shared::postgres;
use miette::{IntoDiagnostic, Report, WrapErr, miette};
use secrecy::SecretString;
use tokio::time;
use tokio_postgres::Client;

use crate::settings::Database;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects as the supervisor would.
pub(super) async fn connect(database: &Database) -> Result<Client, Report> {
    connect_to(&database.own_url().into_diagnostic()?).await
}

/// Connects as the one who changes the schema.
pub(super) async fn connect_as_admin(database: &Database) -> Result<Client, Report> {
    connect_to(&database.admin_url().into_diagnostic()?).await
}

async fn connect_to(url: &SecretString) -> Result<Client, Report> {
    let address = postgres::parse_url(url).into_diagnostic()?;
    let shown = format!("database {}", address.shown());
    let connecting = time::timeout(PATIENCE, address.connect()).await;
    let connected = connecting.map_err(|_| miette!("{shown} has not answered for {} seconds", PATIENCE.as_secs()))?;
    let (client, connection) = connected.into_diagnostic().wrap_err_with(|| format!("cannot connect to {shown}"))?;
    // Ends with the client; what goes wrong on it, the client's calls report.
    tokio::spawn(connection);
    Ok(client)
}
