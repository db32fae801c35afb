//! One connection to the database.

use std::time::Duration;

use etl_shared::postgres::{self, InvalidDatabaseUrl};
use secrecy::SecretString;
use tokio::{sync::mpsc, time};
use tokio_postgres::{AsyncMessage, Client};

/// The database cannot be reached. No text quotes the URL: it holds a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is wrong.
    #[error(transparent)]
    BadUrl(#[from] InvalidDatabaseUrl),
    /// The server refused, or there is none.
    #[error("cannot connect to {shown}")]
    Failed {
        /// Host, port and database.
        shown: String,
        /// Why not.
        #[source]
        source: postgres::ConnectError,
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
    let mut address = postgres::parse_url(url)?;
    // A server that has vanished without a word is noticed within a minute.
    let config = &mut address.config;
    config.tcp_user_timeout(Duration::from_secs(30)).keepalives_idle(Duration::from_secs(30));
    config.application_name(application_name);
    let shown = address.shown();
    let (client, mut connection) = match time::timeout(Duration::from_secs(15), address.connect()).await {
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
