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

mod address;
#[cfg(test)]
mod documented;
mod known;
mod reconcile;
mod tenants;
mod validate;

use known::KNOWN;
pub use reconcile::Reconcile;
pub use tenants::TenantSet;

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
    /// When and how often a worker is started again.
    #[serde(default)]
    pub restart: Restart,
    /// What happens to raw rows whose message is missing.
    #[serde(default)]
    pub reconcile: Reconcile,
    /// When a message that workers die on is given up.
    #[serde(default)]
    pub poison: Poison,
    /// What the supervisor itself may spend.
    #[serde(default)]
    pub limits: Limits,
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
    /// Returns one column of tenant ids.
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

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// How often memory and processor time of every worker are read.
    #[serde(with = "unit::duration")]
    pub sample_every: Duration,
}

/// `[queues.<type>]`: how workers of one kind are run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// The program and its arguments; `{queue}`, `{tenant_id}`, `{worker}` and `{slot}` are replaced.
    pub command: Vec<String>,
    /// Workers of each tenant.
    pub workers: u16,
    /// How a process says that it is ready.
    pub ready: Readiness,
    /// How long it may take until it is ready.
    #[serde(with = "unit::duration")]
    pub start_timeout: Duration,
    /// How long it may take to leave after TERM.
    #[serde(with = "unit::duration")]
    pub grace: Duration,
    /// How long a worker may be at work on the same message, or batch, before it counts as hung.
    #[serde(with = "unit::duration")]
    pub job_timeout: Duration,
    /// Variables added to the clean environment.
    pub environment: BTreeMap<String, String>,
    /// Working directory.
    pub working_directory: PathBuf,
    /// At a start, a log file larger than this, in bytes, is renamed to `.1`.
    #[serde(with = "unit::size")]
    pub log_max_size: u64,
}

/// How a process says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readiness {
    /// It sends `READY=1` to `$NOTIFY_SOCKET`.
    #[default]
    Notify,
    /// It cannot say: it counts as ready once it has been executed.
    Exec,
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
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 8750))) }
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

impl Default for Limits {
    fn default() -> Self {
        Self { sample_every: Duration::from_mins(1) }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            command: ["transform-worker", "--queue", "{queue}"].map(str::to_owned).to_vec(),
            workers: 1,
            ready: Readiness::Notify,
            start_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            job_timeout: Duration::from_mins(15),
            environment: BTreeMap::new(),
            working_directory: "/".into(),
            log_max_size: 64 * 1024 * 1024,
        }
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

fn default_queues() -> BTreeMap<QueueType, Queue> {
    "transform".parse().map(|name| BTreeMap::from([(name, Queue::default())])).unwrap_or_default()
}

fn default_tenants_query() -> String {
    "SELECT id FROM tenants WHERE active".to_owned()
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
}

impl Queue {
    /// Whether a process started by one of the two would be another than one started by the other. Limits in time and the
    /// number of workers make no difference to a process.
    pub fn differs_in_process(&self, other: &Self) -> bool {
        (&self.command, self.ready, &self.environment, &self.working_directory)
            != (&other.command, other.ready, &other.environment, &other.working_directory)
    }
}
