//! An installation whose tenants have accounts of their own, with names that no other test uses.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use etl_shared::{TenantId, amqp};
use etl_supervisor::{
    accounts::{AccountNews, AccountOrder, AccountsTask, Kind, MasterKey, Names, WantedTenants},
    broker::Management,
    settings::Settings,
};
use lapin::{Connection, ConnectionProperties};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_postgres::{Client, Config, NoTls};

use crate::{
    Platform, SOON, Setup,
    database::{at_once, connect},
    eventually,
    platform::queue_of,
    stack::Endpoints,
    worker::{Worker, WorkerRun},
};

/// Broker, database, and the configuration for the accounts.
pub struct Installation {
    /// Broker and database.
    pub platform: Platform,
    /// What the supervisor is given.
    pub settings: Settings,
    names: Names,
    key: MasterKey,
    _directory: TempDir,
    // After the database: a role that still has rights there cannot be dropped.
    _cleanup: Cleanup,
}

/// The task at work.
pub struct AtWork {
    wanted: watch::Sender<WantedTenants>,
    orders: mpsc::UnboundedSender<AccountOrder>,
    news: Arc<Mutex<Vec<AccountNews>>>,
    task: JoinHandle<()>,
}

struct Cleanup {
    admin_url: String,
    management_url: String,
    prefix: String,
    roles_prefix: String,
}

/// A tenant by its number.
pub fn tenant(id: i64) -> TenantId {
    TenantId::try_from(id).expect("a test's tenant is a tenant")
}

impl Installation {
    /// On the shared stack.
    pub async fn new() -> Self {
        Self::on(Endpoints::shared()).await
    }

    /// On another one. The account that makes the others is no superuser: it may make roles, and has the rights of the tables' owner.
    pub async fn on(endpoints: &Endpoints) -> Self {
        let platform = Platform::on(endpoints).await;
        let number = format!("{:08x}", rand::random::<u32>());
        let cleanup = Cleanup {
            admin_url: endpoints.admin_database.clone(),
            management_url: endpoints.management.clone(),
            prefix: format!("t{number}_"),
            roles_prefix: format!("r{number}_"),
        };
        let owner: Config = endpoints.database.parse().expect("DATABASE_URL is a URL");
        let owner = owner.get_user().expect("DATABASE_URL names a user").to_owned();
        let admin = format!("{}admin", cleanup.roles_prefix);
        let superuser = connect(&endpoints.admin_database).await.expect("the superuser can connect");
        superuser
            .batch_execute(&format!(
                "CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD 'admin'; GRANT pg_signal_backend, {owner} TO {admin}"
            ))
            .await
            .expect("an administrator's account can be made");
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("master.key");
        fs::write(&file, format!("{:032x}", rand::random::<u128>())).expect("a key file");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode");
        let (_, rest) = platform.database.url().split_once('@').expect("a database's URL names a user");
        let quoted = |text: &str| format!("{text:?}");
        let text = Setup::default()
            .set("broker", "url", &quoted(platform.broker.url()))
            .set("database", "url", &quoted(platform.database.url()))
            .set("broker", "management_url", &quoted(&endpoints.management))
            .set("database", "admin_url", &quoted(&format!("postgres://{admin}:admin@{rest}")))
            .set("credentials", "master_key_file", &quoted(&file.display().to_string()))
            .set("credentials", "prefix", &quoted(&cleanup.prefix))
            .set("credentials", "roles_prefix", &quoted(&cleanup.roles_prefix))
            .text(directory.path(), 0);
        let config = directory.path().join("config.toml");
        fs::write(&config, text).expect("a configuration file");
        let settings = Settings::load(&config).expect("a configuration that is right");
        let names = Names::of(&settings.credentials);
        let key = MasterKey::read(&file).expect("a key");
        Self { platform, settings, names, key, _directory: directory, _cleanup: cleanup }
    }

    /// On the shared stack, with these tenants, their queues and their accounts.
    pub async fn with_tenants(ids: &[i64]) -> (Self, AtWork) {
        let installation = Self::new().await;
        for id in ids {
            installation.platform.add_tenant(*id).await;
            installation.platform.broker.declare(&queue_of(*id)).await;
        }
        let task = installation.start();
        task.want(ids.iter().copied());
        task.ready(ids, 1, SOON).await;
        (installation, task)
    }

    /// Starts the task; nobody has told it yet which tenants there are.
    pub fn start(&self) -> AtWork {
        let (wanted, wanted_seen) = watch::channel(None);
        let (orders, orders_seen) = mpsc::unbounded_channel();
        let news = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&news);
        let tell = move |word| heard.lock().unwrap_or_else(PoisonError::into_inner).push(word);
        let task = AccountsTask::new(&self.settings, wanted_seen, orders_seen, tell).expect("it can be set up");
        let task = tokio::spawn(task.expect("each tenant has its accounts").run());
        AtWork { wanted, orders, news, task }
    }

    /// What an account is called.
    pub fn name(&self, id: i64, generation: u32) -> String {
        self.names.account(tenant(id), generation)
    }

    /// The role that all tenants' roles belong to.
    pub fn tenant_role(&self) -> String {
        self.names.tenant_role()
    }

    /// The role of a worker for several tenants.
    pub fn worker_role(&self) -> String {
        self.names.worker_role()
    }

    /// The role of the supervisor.
    pub fn supervisor_role(&self) -> String {
        self.names.supervisor_role()
    }

    /// The URL of the management API.
    pub fn management(&self) -> Management {
        let broker = self.settings.broker.as_ref().expect("a broker");
        Management::of(broker).expect("a URL").expect("a management API")
    }

    /// A tenant's database URL.
    pub fn database_url(&self, id: i64, generation: u32) -> String {
        let (_, rest) = self.platform.database.url().split_once('@').expect("a URL with a user");
        let password = self.key.password(Kind::Database, tenant(id), generation);
        format!("postgres://{}:{}@{rest}", self.name(id, generation), password.expose_secret())
    }

    /// A login to the database as a tenant's worker.
    pub async fn database(&self, id: i64, generation: u32) -> Result<Client, String> {
        self.database_at(&self.database_url(id, generation)).await
    }

    /// A login at this address.
    pub async fn database_at(&self, url: &str) -> Result<Client, String> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|error| crate::causes(&error))?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A tenant's broker URL.
    pub fn broker_url(&self, id: i64, generation: u32) -> String {
        let (_, rest) = self.platform.broker.url().split_once('@').expect("a URL with a user");
        let password = self.key.password(Kind::Broker, tenant(id), generation);
        format!("amqp://{}:{}@{rest}", self.name(id, generation), password.expose_secret())
    }

    /// Starts a tenant's worker with the tenant's own accounts.
    pub fn worker(&self, id: i64) -> Worker {
        WorkerRun::on(&self.platform)
            .broker(Some(self.broker_url(id, 1)))
            .database(Some(self.database_url(id, 1)))
            .arguments(&["--queue", &queue_of(id)])
            .start()
    }

    /// A login to the broker as a tenant's worker.
    pub async fn broker(&self, id: i64, generation: u32) -> Result<Connection, String> {
        let uri = amqp::parse_url(&self.broker_url(id, generation).into()).map_err(|error| error.to_string())?;
        Connection::connect_uri(uri, ConnectionProperties::default()).await.map_err(|error| error.to_string())
    }
}

impl AtWork {
    /// These tenants should have accounts.
    pub fn want(&self, ids: impl IntoIterator<Item = i64>) {
        let ids: BTreeSet<TenantId> = ids.into_iter().map(tenant).collect();
        self.wanted.send_replace(Some(Arc::new(ids)));
    }

    /// Gives an order.
    pub fn order(&self, order: AccountOrder) {
        self.orders.send(order).expect("the task is at work");
    }

    /// Everything that was said until now.
    pub fn news(&self) -> Vec<AccountNews> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much was said until now.
    pub fn heard(&self) -> usize {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until this was said, and forgets everything.
    #[track_caller]
    pub fn says(&self, word: AccountNews, within: Duration) -> impl Future<Output = ()> {
        eventually(format!("{word:?} is said"), within, async move || {
            let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
            if news.contains(&word) {
                news.clear();
                Ok(())
            } else {
                Err(format!("{news:?}"))
            }
        })
    }

    /// Waits until every one of these tenants is ready with this generation, and forgets everything.
    #[track_caller]
    pub fn ready(&self, ids: &[i64], generation: u32, within: Duration) -> impl Future<Output = ()> {
        eventually(format!("{} tenants are ready", ids.len()), within, async move || {
            let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
            let ready = |id: &i64| {
                let word = AccountNews::Ready { tenant: tenant(*id), generation, next: None };
                news.contains(&word)
            };
            let missing: Vec<_> = ids.iter().filter(|id| !ready(id)).take(3).collect();
            if missing.is_empty() {
                news.clear();
                return Ok(());
            }
            let last: Vec<_> = news.iter().rev().take(3).collect();
            Err(format!("not {missing:?}; last: {last:?}"))
        })
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let (admin_url, management_url) = (self.admin_url.clone(), self.management_url.clone());
        let (prefix, roles_prefix) = (self.prefix.clone(), self.roles_prefix.clone());
        at_once(async move {
            if let Ok(management) = Management::new(&management_url.into(), "/")
                && let Ok(users) = management.users().await
            {
                for name in users.keys().filter(|name| name.starts_with(&prefix)) {
                    let _ = management.delete_user(name).await;
                }
            }
            if let Ok(admin) = connect(&admin_url).await {
                let roles = format!(
                    "DO $$ DECLARE r text; BEGIN
                       FOR r IN SELECT rolname FROM pg_roles WHERE starts_with(rolname, '{prefix}')
                           OR starts_with(rolname, '{roles_prefix}') LOOP
                         EXECUTE format('DROP ROLE %I', r);
                       END LOOP; END $$"
                );
                let _ = admin.batch_execute(&roles).await;
            }
        });
    }
}
