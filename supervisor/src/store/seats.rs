//! How many connections the database server has for workers.

use tokio_postgres::Client;

/// Connections that the supervisor may have open itself: it watches the tenants, writes the history, takes in what the broker gives up, looks after
/// raw rows and accounts, and serves up to four operators; and commands such as `doctor` come beside it.
const OWN: u64 = 12;

/// The server's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seats {
    /// `max_connections`
    pub max: u64,
    /// Those of them that only administrators get.
    pub reserved: u64,
}

impl Seats {
    /// Asks the server.
    pub async fn ask(client: &Client) -> Result<Self, tokio_postgres::Error> {
        // The third setting is there from version 16 on.
        let question = "SELECT current_setting('max_connections')::int8, \
                        current_setting('superuser_reserved_connections')::int8 \
                        + coalesce(current_setting('reserved_connections', true)::int8, 0)";
        let row = client.query_one(question, &[]).await?;
        let number = |column| row.try_get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Self { max: number(0)?, reserved: number(1)? })
    }

    /// Those that are left for workers, if nobody else uses the server.
    pub const fn for_workers(self) -> u64 {
        self.max.saturating_sub(self.reserved).saturating_sub(OWN)
    }
}
