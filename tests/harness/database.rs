//! A database for each test, made from a template that holds the schema.

use std::{fs, path::Path, thread};

use etl_shared::{flight::fingerprint, migrations};
use tokio::runtime;
use tokio_postgres::{Client, Config, NoTls};

use crate::{
    SOON, eventually,
    stack::{Endpoints, checkout},
};

/// A database of one test; it is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    admin_url: String,
    client: Client,
}

impl TestDatabase {
    /// With the whole schema and no rows.
    pub async fn with_schema(endpoints: &Endpoints) -> Self {
        let template = template(endpoints).await;
        Self::create(endpoints, &template).await
    }

    /// With nothing in it.
    pub async fn empty(endpoints: &Endpoints) -> Self {
        Self::create(endpoints, "template0").await
    }

    /// Its URL, for the ordinary role that owns it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `host:port` of the database.
    pub fn address(&self) -> String {
        let (_, rest) = self.url.split_once('@').expect("a database's URL names a user");
        rest.split('/').next().unwrap_or_default().to_owned()
    }

    /// A connection that the whole test may use.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same database after its server was away.
    #[must_use]
    pub async fn reconnected(mut self) -> Self {
        let url = self.url.clone();
        self.client = eventually("the database takes connections", SOON, async || {
            connect(&url).await.map_err(|error| error.to_string())
        })
        .await;
        self
    }

    /// Another connection, for a transaction that holds locks.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await.expect("the test's own database takes another connection")
    }

    /// A connection as superuser, for what the owner may not see or do.
    pub async fn connect_as_admin(&self) -> Client {
        connect(&in_database(&self.admin_url, &self.name)).await.expect("the superuser can connect")
    }

    async fn create(endpoints: &Endpoints, template: &str) -> Self {
        let admin = connect(&endpoints.admin_database).await.expect("the superuser can connect");
        let name = format!("test_{:016x}", rand::random::<u64>());
        let owner: Config = endpoints.database.parse().expect("DATABASE_URL is a URL");
        let owner = owner.get_user().expect("DATABASE_URL names a user");
        let statement = format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {owner}");
        admin.batch_execute(&statement).await.expect("a database can be created");
        let url = in_database(&endpoints.database, &name);
        let client = connect(&url).await.expect("the new database takes connections");
        Self { name, url, admin_url: endpoints.admin_database.clone(), client }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let admin_url = self.admin_url.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        at_once(async move {
            if let Ok(admin) = connect(&admin_url).await {
                let _ = admin.batch_execute(&statement).await;
            }
        });
    }
}

/// Connects, and serves the connection beside the test.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The same server, another database.
fn in_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a database's URL ends with its name");
    format!("{server}/{name}")
}

/// The name of a database with the schema as it is in this checkout; made by the first test that needs it.
async fn template(endpoints: &Endpoints) -> String {
    let name = format!("template_{:016x}", fingerprint(&schema_text(&checkout().join("shared/migrations"))));
    let admin = connect(&endpoints.admin_database).await.expect("the superuser can connect");
    // The lock belongs to the session, so it also ends with a test that fails here.
    admin.execute("SELECT pg_advisory_lock(7033871262900)", &[]).await.expect("a lock");
    let known = admin.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.expect("a list");
    if known.is_empty() {
        let unfinished = format!("{name}_unfinished");
        let owner: Config = endpoints.database.parse().expect("DATABASE_URL is a URL");
        let owner = owner.get_user().expect("DATABASE_URL names a user").to_owned();
        for statement in [
            format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
            format!("CREATE DATABASE {unfinished} TEMPLATE template0 OWNER {owner}"),
        ] {
            admin.batch_execute(&statement).await.expect("a database for the template");
        }
        let (mut client, connection) = tokio_postgres::connect(&in_database(&endpoints.database, &unfinished), NoTls)
            .await
            .expect("the new database takes connections");
        let connection = tokio::spawn(connection);
        migrations::apply(&mut client).await.expect("the migrations apply to an empty database");
        drop(client);
        let _ = connection.await;
        let rename = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
        admin.batch_execute(&rename).await.expect("nobody is connected to the template");
    }
    name
}

fn schema_text(directory: &Path) -> Vec<u8> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the migrations are in the checkout")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    files.sort();
    files.iter().flat_map(|file| fs::read(file).expect("a migration can be read")).collect()
}

/// Runs to its end on a thread of its own, from wherever a value is dropped.
pub(crate) fn at_once(work: impl Future<Output = ()> + Send + 'static) {
    let _ = thread::spawn(move || {
        if let Ok(runtime) = runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(work);
        }
    })
    .join();
}
