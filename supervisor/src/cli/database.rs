//! A connection to the database for a command that a person started.

use std::time::Duration;

use miette::{IntoDiagnostic, Report, WrapErr, miette};
use secrecy::ExposeSecret;
use tokio::time;
use tokio_postgres::{Client, Config, NoTls};

use crate::settings::Database;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects as the supervisor would.
pub(super) async fn connect(database: &Database) -> Result<Client, Report> {
    let url = database.own_url().into_diagnostic()?;
    // The cause is not kept: it could quote the password.
    let config: Config = url.expose_secret().parse().map_err(|_| miette!("the database's URL cannot be read"))?;
    let shown = shown(&config);
    let connecting = time::timeout(PATIENCE, config.connect(NoTls)).await;
    let connected = connecting.map_err(|_| miette!("{shown} has not answered for {} seconds", PATIENCE.as_secs()))?;
    let (client, connection) = connected.into_diagnostic().wrap_err_with(|| format!("cannot connect to {shown}"))?;
    // Ends with the client; what goes wrong on it, the client's calls report.
    tokio::spawn(connection);
    Ok(client)
}

/// The address without its password.
fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
        Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("database {} at {host}:{port}", config.get_dbname().unwrap_or("(default)"))
}
