//! The private RabbitMQ and PostgreSQL that the suites work on.
//!
//! Where `AMQP_URL`, `MANAGEMENT_URL`, `DATABASE_URL` and `ADMIN_DATABASE_URL` are set (`eval "$(scripts/stack env)"`), they
//! are used. Otherwise `scripts/stack up` brings up a stack of the tests' own, which is left running for the next run.
//! Tests that stop or kill a part work on a [second stack](OwnStack), one test at a time, so that they disturb nobody.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    path::PathBuf,
    process::Command,
    sync::OnceLock,
};

use nix::fcntl::{Flock, FlockArg};

/// A variable that names the directory of the second stack; whoever sets it takes that stack down.
pub const SECOND_DIRECTORY: &str = "ETL_SECOND_STACK_DIR";

const WORDS: [&str; 4] = ["AMQP_URL", "MANAGEMENT_URL", "DATABASE_URL", "ADMIN_DATABASE_URL"];
const TLS_WORDS: [&str; 3] = ["AMQPS_PORT", "MANAGEMENT_TLS_PORT", "STACK_CA_FILE"];

/// Where broker and database are, passwords included.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The broker: `amqp://user:password@host:port/%2f`.
    pub amqp: String,
    /// The broker's management API: `http://user:password@host:port`.
    pub management: String,
    /// The database as an ordinary role that may create tables in a database of its own.
    pub database: String,
    /// The database as superuser.
    pub admin_database: String,
    /// The same parts with TLS, where the stack has it.
    pub tls: Option<TlsEndpoints>,
}

/// Where broker and database listen with TLS; the database's port is its only one.
#[derive(Debug, Clone)]
pub struct TlsEndpoints {
    /// The broker's port.
    pub amqps_port: u16,
    /// The management API's port.
    pub management_port: u16,
    /// The certificate of the authority that signed theirs.
    pub ca_file: PathBuf,
}

impl Endpoints {
    /// Those of the stack that all tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Endpoints> = OnceLock::new();
        SHARED.get_or_init(|| {
            let given: BTreeMap<String, String> =
                WORDS.iter().filter_map(|word| Some(((*word).to_owned(), env::var(word).ok()?))).collect();
            if given.len() == WORDS.len() {
                let more = TLS_WORDS.iter().filter_map(|word| Some(((*word).to_owned(), env::var(word).ok()?)));
                return Self::read(&given.into_iter().chain(more).collect());
            }
            assert!(given.is_empty(), "either all or none of {WORDS:?} must be set, but only {:?} are", given.keys());
            let stack = Script { directory: default_directory("tests") };
            stack.run(&["up"]);
            stack.endpoints()
        })
    }

    fn read(words: &BTreeMap<String, String>) -> Self {
        let word = |name: &str| {
            words.get(name).unwrap_or_else(|| panic!("`scripts/stack env` does not print {name}")).to_owned()
        };
        Self {
            amqp: word("AMQP_URL"),
            management: word("MANAGEMENT_URL"),
            database: word("DATABASE_URL"),
            admin_database: word("ADMIN_DATABASE_URL"),
            tls: TlsEndpoints::read(words),
        }
    }
}

impl TlsEndpoints {
    fn read(words: &BTreeMap<String, String>) -> Option<Self> {
        let [amqps, management, ca_file] = TLS_WORDS.map(|word| words.get(word));
        Some(Self {
            amqps_port: amqps?.parse().ok()?,
            management_port: management?.parse().ok()?,
            ca_file: PathBuf::from(ca_file?),
        })
    }
}

/// The second stack, for one test alone as long as this value lives. Both parts run whenever a test gets it.
#[derive(Debug)]
pub struct OwnStack {
    script: Script,
    /// Where its parts are.
    pub endpoints: Endpoints,
    _turn: Flock<File>,
}

/// A part of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// RabbitMQ.
    Broker,
    /// PostgreSQL.
    Database,
}

impl OwnStack {
    /// Waits for this test's turn and has both parts running.
    pub async fn acquire() -> Self {
        let directory = env::var_os(SECOND_DIRECTORY).map_or_else(|| default_directory("outages"), PathBuf::from);
        blocking(move || {
            let lock = directory.with_extension("lock");
            let file = File::create(&lock).unwrap_or_else(|error| panic!("cannot create {}: {error}", lock.display()));
            let turn = Flock::lock(file, FlockArg::LockExclusive).expect("waiting for this test's turn");
            let script = Script { directory };
            script.run(&["up"]);
            let endpoints = script.endpoints();
            Self { script, endpoints, _turn: turn }
        })
        .await
    }

    /// Stops a part as an administrator would.
    pub async fn stop(&self, part: Part) {
        self.part(part, "stop").await;
    }

    /// Kills a part, as a crash would.
    pub async fn kill(&self, part: Part) {
        self.part(part, "kill").await;
    }

    /// Starts a part, on the same ports, and waits until it answers.
    pub async fn start(&self, part: Part) {
        self.part(part, "start").await;
    }

    async fn part(&self, part: Part, what: &'static str) {
        let script = self.script.clone();
        let name = match part {
            Part::Broker => "broker",
            Part::Database => "database",
        };
        blocking(move || script.run(&[name, what])).await;
    }
}

#[derive(Debug, Clone)]
struct Script {
    directory: PathBuf,
}

impl Script {
    fn run(&self, arguments: &[&str]) -> String {
        let script = checkout().join("scripts/stack");
        let output = Command::new(&script)
            .arg("--dir")
            .arg(&self.directory)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
        assert!(
            output.status.success(),
            "scripts/stack {arguments:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn endpoints(&self) -> Endpoints {
        let printed = self.run(&["env"]);
        let words = printed
            .lines()
            .filter_map(|line| line.strip_prefix("export "))
            // Without quotes and blanks in their values, several may stand in one line.
            .flat_map(str::split_whitespace)
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
            .collect();
        Endpoints::read(&words)
    }
}

/// Runs something slow beside the test's own tasks.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The directory of the whole project.
pub fn checkout() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    fs::canonicalize(package.join("..")).expect("the package lies in the checkout")
}

/// One for each checkout and purpose, in a place that the daemons' own users can reach.
fn default_directory(purpose: &str) -> PathBuf {
    let checkout = checkout();
    let number = etl_shared::flight::fingerprint(checkout.as_os_str().as_encoded_bytes());
    PathBuf::from(format!("/var/tmp/etl-stack-{purpose}-{:08x}", number >> 32))
}
