//! One connection to the database.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::mpsc, time};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

/// The database cannot be reached. No text quotes the URL: it holds a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is wrong.
    #[error("the database's URL cannot be read: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    BadUrl,
    /// The server refused, or there is none.
    #[error("cannot connect to {shown}")]
    Failed {
        /// Host, port and database.
        shown: String,
        /// Why not.
        #[source]
        source: tokio_postgres::Error,
    },
    /// There is no answer.
    #[error("cannot connect to {shown}: no answer within 15 seconds")]
    TimedOut {
        /// Host, port and database.
        shown: String,
    },
}

/// Connects and drives the connection in a task of its own. The channel ends when the connection does; until then it
/// yields a unit for every notification.
pub async fn connect(
    url: &SecretString,
    application_name: &str,
) -> Result<(Client, mpsc::UnboundedReceiver<()>, String), ConnectError> {
    let mut config: Config = url.expose_secret().parse().map_err(|_| ConnectError::BadUrl)?;
    // A server that has vanished without a word is noticed within a minute.
    config.tcp_user_timeout(Duration::from_secs(30)).keepalives_idle(Duration::from_secs(30));
    config.application_name(application_name);
    let shown = shown(&config);
    let (client, mut connection) = match time::timeout(Duration::from_secs(15), config.connect(NoTls)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(source)) => return Err(ConnectError::Failed { shown, source }),
        Err(_) => return Err(ConnectError::TimedOut { shown }),
    };
    let (notify, notified) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            match futures_util::future::poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => {
                    let _ = notify.send(());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(%error, "database connection ended");
                    return;
                }
                None => return,
            }
        }
    });
    Ok((client, notified, shown))
}

fn shown(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", config.get_dbname().unwrap_or_default())
}
