//! Sets up roles, rights and row-level security, and puts right what is no longer as it should be.

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, error::SqlState};

use super::{catalogue, policies, policies::Whom, proof, rights};
use crate::accounts::Names;

/// The walls of one installation.
#[derive(Debug, Clone)]
pub struct Walls {
    tenant: String,
    worker: String,
    supervisor: String,
}

/// The walls do not stand, so no tenant gets a new account.
#[derive(Debug, thiserror::Error)]
pub enum WallsError {
    /// The migrations have not been run.
    #[error("the database has no table worker_accounts yet: run `etl-supervisor migrate`")]
    NoSchema,
    /// The account may not, or the connection broke.
    #[error("setting up row-level security failed")]
    Failed(#[from] tokio_postgres::Error),
    /// A way past them.
    #[error("row-level security would not keep tenants apart: {}", .0.join("; "))]
    Open(Vec<String>),
}

impl Walls {
    /// For these names.
    pub fn new(names: &Names) -> Self {
        Self { tenant: names.tenant_role(), worker: names.worker_role(), supervisor: names.supervisor_role() }
    }

    /// Makes what is missing and returns the statements that it took; none when everything was as it should be.
    pub async fn raise(&self, client: &mut Client) -> Result<Vec<String>, WallsError> {
        let found = client.query_one(
            "SELECT n.nspname::text FROM (SELECT to_regclass('worker_accounts') AS oid) AS t
             LEFT JOIN pg_class AS c ON c.oid = t.oid LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace",
            &[],
        );
        let Some(schema) = found.await?.get::<_, Option<String>>(0) else { return Err(WallsError::NoSchema) };
        let mut said = self.roles(client).await?;
        let transaction = client.transaction().await?;
        // One at a time. Tenants have no rights on this table, so they cannot hold it up.
        let name = escape_identifier(&schema);
        transaction
            .batch_execute(&format!(
                "SET LOCAL lock_timeout = '5s'; LOCK TABLE {name}.worker_accounts IN SHARE ROW EXCLUSIVE MODE; SET LOCAL search_path = ''"
            ))
            .await?;
        let client = transaction.client();
        let mut statements = Vec::new();
        let whom = Whom { schema: &schema, tenant: &self.tenant, worker: &self.worker, supervisor: &self.supervisor };
        statements.extend(policies::statements(client, &whom).await?);
        let tables = catalogue::tables(client, &schema).await?;
        for (role, rights) in
            [(&self.tenant, rights::WORKER), (&self.worker, rights::WORKER), (&self.supervisor, rights::SUPERVISOR)]
        {
            statements.extend(catalogue::statements(client, &schema, role, rights, &tables).await?);
        }
        statements.extend(self.doors(client, &schema).await?);
        for statement in &statements {
            transaction.batch_execute(statement).await?;
        }
        let open = proof::open(transaction.client(), &self.tenant, &schema).await?;
        // What was mended stays mended, whatever else is open.
        transaction.commit().await?;
        if !open.is_empty() {
            return Err(WallsError::Open(open));
        }
        said.extend(statements);
        Ok(said)
    }

    /// The roles that hold rights for others. They belong to the whole cluster, hence without a transaction around.
    async fn roles(&self, client: &Client) -> Result<Vec<String>, WallsError> {
        let mut said = Vec::new();
        for role in [&self.tenant, &self.worker, &self.supervisor] {
            if client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[role]).await?.is_some() {
                continue;
            }
            let create = format!("CREATE ROLE {} NOLOGIN", escape_identifier(role));
            match client.batch_execute(&create).await {
                // Another supervisor of the same cluster was faster.
                Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => {}
                outcome => {
                    outcome?;
                    said.push(create);
                }
            }
        }
        Ok(said)
    }

    /// Database, schema and functions.
    async fn doors(&self, client: &Client, schema: &str) -> Result<Vec<String>, tokio_postgres::Error> {
        let mut statements = Vec::new();
        let name = escape_identifier(schema);
        for role in [&self.tenant, &self.worker, &self.supervisor] {
            let row = client
                .query_one(
                    "SELECT has_database_privilege($1, current_database(), 'CONNECT'), current_database()::text,
                            has_schema_privilege($1, $2, 'USAGE')",
                    &[role, &schema],
                )
                .await?;
            let role = escape_identifier(role);
            if !row.get::<_, bool>(0) {
                let database = escape_identifier(row.get(1));
                statements.push(format!("GRANT CONNECT ON DATABASE {database} TO {role}"));
            }
            if !row.get::<_, bool>(2) {
                statements.push(format!("GRANT USAGE ON SCHEMA {name} TO {role}"));
            }
        }
        let row = client
            .query_one(
                "SELECT has_function_privilege($1, $2 || '.etl_tenant()', 'EXECUTE'), has_schema_privilege($1, $3, 'CREATE')",
                &[&self.tenant, &name, &schema],
            )
            .await?;
        if !row.get::<_, bool>(0) {
            let tenant = escape_identifier(&self.tenant);
            statements.push(format!("GRANT EXECUTE ON FUNCTION {name}.etl_tenant() TO {tenant}"));
        }
        if row.get(1) {
            // The default since PostgreSQL 15. What is made here could stand in for what somebody else means.
            statements.push(format!("REVOKE CREATE ON SCHEMA {name} FROM PUBLIC"));
        }
        Ok(statements)
    }
}
