//! The configuration file, typed. Keys, defaults and units are documented in `docs/configuration.md`.

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use etl_shared::{
    QueueType,
    settings::{SettingsError, load, unit},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error};
use url::Url;

mod address;
mod auth;
mod credentials;
#[cfg(test)]
mod documented;
mod history;
mod isolation;
mod known;
mod limits;
mod queue;
mod reconcile;
mod tenants;
mod validate;

pub use auth::{Algorithm, Auth, Jwt, Roles};
pub use credentials::{CredentialsMode, CredentialsSection};
pub use history::HistorySection;
pub use isolation::{Isolation, UidRange, Wish};
use known::KNOWN;
pub use limits::{Budget, Limits};
pub use queue::{Queue, Readiness};
pub use reconcile::Reconcile;
pub use tenants::TenantSet;
pub use validate::LEAST_MEMORY;

/// Where the configuration is looked for unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/etl-supervisor/config.toml";
/// Prefix of the environment variables that override single keys: `ETL_SUPERVISOR__SECTION__KEY`.
pub const ENVIRONMENT_PREFIX: &str = "ETL_SUPERVISOR";

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// A fixed list of tenants; absent: the database is asked.
    pub tenants: Option<TenantSet>,
    /// Directories.
    #[serde(default)]
    pub runtime: Runtime,
    /// RabbitMQ; absent: queues are not touched and workers get no broker credentials.
    pub broker: Option<Broker>,
    /// PostgreSQL; absent: `tenants` must be given.
    pub database: Option<Database>,
    /// The admin API.
    #[serde(default)]
    pub api: Api,
    /// How its callers are recognised.
    #[serde(default)]
    pub auth: Auth,
    /// When and how often a worker is started again.
    #[serde(default)]
    pub restart: Restart,
    /// What happens to raw rows whose message is missing.
    #[serde(default)]
    pub reconcile: Reconcile,
    /// When a message that workers die on is given up.
    #[serde(default)]
    pub poison: Poison,
    /// What supervision and all workers together may spend.
    #[serde(default)]
    pub limits: Limits,
    /// Whose accounts workers use.
    #[serde(default)]
    pub credentials: CredentialsSection,
    /// What keeps workers apart on this machine.
    #[serde(default)]
    pub isolation: Isolation,
    /// What has happened, and for how long it is remembered.
    #[serde(default)]
    pub history: HistorySection,
    /// A command template for every queue type.
    #[serde(default = "default_queues")]
    pub queues: BTreeMap<QueueType, Queue>,
}

/// `[runtime]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// Sockets, leases and flight records; on tmpfs, emptied at boot.
    pub directory: PathBuf,
    /// Output of the workers, a file each.
    pub log_directory: PathBuf,
    /// What survives a reboot: stops ordered by operators, the last known tenants, API tokens.
    pub state_directory: PathBuf,
}

/// `[broker]`
#[derive(Debug, Clone, Deserialize)]
pub struct Broker {
    /// `amqp://user@host:port/vhost`; a password in it is used as it is.
    pub url: SecretString,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// What workers connect with, where it is not the supervisor's own account.
    pub worker_url: Option<SecretString>,
    /// A file with the workers' password.
    pub worker_password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) that the broker's and the management API's are checked with; absent: the system's.
    pub ca_file: Option<PathBuf>,
    /// Kind of queue that is created where one is missing.
    #[serde(default)]
    pub queue_kind: QueueKind,
    /// `http://user@host:port` of the management API; absent: no policy is set.
    pub management_url: Option<SecretString>,
    /// A file with the password to it.
    pub management_password_file: Option<PathBuf>,
    /// A message may come back to a tenant's queue so often; then the broker gives it up.
    #[serde(default = "default_delivery_limit")]
    pub delivery_limit: u32,
}

/// The broker's two durable kinds of queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Replicated; the safe choice.
    #[default]
    Quorum,
    /// One node only.
    Classic,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
pub struct Database {
    /// `postgres://user@host:port/database`; a password in it is used as it is.
    pub url: SecretString,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// What workers connect with, where it is not the supervisor's own account.
    pub worker_url: Option<SecretString>,
    /// A file with the workers' password.
    pub worker_password_file: Option<PathBuf>,
    /// What changes the schema and makes accounts for tenants, where it is not the supervisor's own account.
    pub admin_url: Option<SecretString>,
    /// A file with that account's password.
    pub admin_password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) that the server's is checked with; absent: the system's.
    pub ca_file: Option<PathBuf>,
    /// Returns the tenants: their ids, and as a second column, where there is one, what people call them.
    #[serde(default = "default_tenants_query")]
    pub tenants_query: String,
    /// How often the query is run when nothing was notified.
    #[serde(default = "default_refresh", with = "unit::duration")]
    pub refresh: Duration,
    /// Whether `run` brings the schema up to date.
    #[serde(default = "default_true")]
    pub migrate: bool,
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Api {
    /// Address of the TCP listener; `"off"`: the unix socket only.
    #[serde(deserialize_with = "listener")]
    pub listen: Option<SocketAddr>,
    /// Where people's browsers find it, such as behind a proxy: `https://etl.example.org`.
    #[serde(deserialize_with = "public_url")]
    pub public_url: Option<Url>,
    /// Further names by which clients of the TCP listener may call it.
    pub hosts: Vec<String>,
}

/// `[restart]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Restart {
    /// Longest delay before the second start in a row.
    #[serde(with = "unit::duration")]
    pub backoff_initial: Duration,
    /// Longest delay of all.
    #[serde(with = "unit::duration")]
    pub backoff_max: Duration,
    /// After this long RUNNING, earlier failures are forgotten.
    #[serde(with = "unit::duration")]
    pub reset_after: Duration,
    /// So many restarts inside `window` are allowed; one more is FATAL.
    pub max_restarts: u32,
    /// See `max_restarts`.
    #[serde(with = "unit::duration")]
    pub window: Duration,
    /// A FATAL worker is tried once more after this long.
    #[serde(with = "unit::duration")]
    pub fatal_retry: Duration,
    /// How many workers may be starting at once; 0: twice the number of processors.
    pub max_concurrent_starts: usize,
}

/// `[poison]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Poison {
    /// So many deaths with a message in hand inside `window` make a dead letter of it.
    pub strikes: u32,
    /// See `strikes`.
    #[serde(with = "unit::duration")]
    pub window: Duration,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            directory: "/run/etl-supervisor".into(),
            log_directory: "/var/log/etl-supervisor".into(),
            state_directory: "/var/lib/etl-supervisor".into(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 8750))), public_url: None, hosts: Vec::new() }
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            backoff_initial: Duration::from_secs(1),
            backoff_max: Duration::from_mins(1),
            reset_after: Duration::from_mins(1),
            max_restarts: 5,
            window: Duration::from_mins(5),
            fatal_retry: Duration::from_mins(15),
            max_concurrent_starts: 0,
        }
    }
}

impl Default for Poison {
    fn default() -> Self {
        Self { strikes: 2, window: Duration::from_hours(72) }
    }
}

fn listener<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "off" => Ok(None),
        address => address.parse().map(Some).map_err(|_| {
            D::Error::custom(format!("{address:?} is no address: write listen like \"127.0.0.1:8750\", or \"off\""))
        }),
    }
}

fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = Url::parse(&text).ok().filter(|url| {
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        bare && matches!(url.scheme(), "http" | "https") && url.has_host()
    });
    let url = url.ok_or_else(|| {
        D::Error::custom(format!("{text:?}: write public_url like \"https://etl.example.org\", without a path"))
    })?;
    Ok(Some(url))
}

fn default_queues() -> BTreeMap<QueueType, Queue> {
    "transform".parse().map(|name| BTreeMap::from([(name, Queue::default())])).unwrap_or_default()
}

fn default_tenants_query() -> String {
    "SELECT id, name FROM tenants WHERE active".to_owned()
}

const fn default_delivery_limit() -> u32 {
    100
}

const fn default_refresh() -> Duration {
    Duration::from_secs(30)
}

const fn default_true() -> bool {
    true
}

impl Settings {
    /// Reads, overrides and checks the configuration; no network, no secret is read.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let settings: Self = load(path, ENVIRONMENT_PREFIX, &KNOWN, env::vars())?;
        settings.validate(path)?;
        Ok(settings)
    }
}

impl Runtime {
    /// The keeper's socket.
    pub fn keeper_socket(&self) -> PathBuf {
        self.directory.join("keeper.sock")
    }

    /// The socket on which workers say that they are ready.
    pub fn notify_socket(&self) -> PathBuf {
        self.directory.join("notify.sock")
    }

    /// The admin API's socket.
    pub fn api_socket(&self) -> PathBuf {
        self.directory.join("api.sock")
    }

    /// The leases of the workers.
    pub fn lease_directory(&self) -> PathBuf {
        self.directory.join("lease")
    }

    /// The flight records of the workers.
    pub fn flight_directory(&self) -> PathBuf {
        self.directory.join("flight")
    }

    /// What only the keeper writes and what survives a reboot.
    pub fn keeper_state_directory(&self) -> PathBuf {
        self.state_directory.join("keeper")
    }

    /// The workers' own directories.
    pub fn work_directory(&self) -> PathBuf {
        self.directory.join("work")
    }
}
