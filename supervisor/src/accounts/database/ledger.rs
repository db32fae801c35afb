//! `worker_accounts`: which accounts there are. What stands here is the truth; broker and database follow.

use std::collections::BTreeMap;

use etl_shared::TenantId;
use postgres_protocol::escape::escape_literal;
use tokio_postgres::{Client, Error, Row, error::SqlState};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::accounts) enum State {
    /// The workers use it.
    Current,
    /// The workers are going to use it.
    Next,
    /// It is to be deleted.
    Leaving,
    /// It was deleted.
    Retired,
}

/// One generation of a tenant's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::accounts) struct Account {
    pub(in crate::accounts) generation: u32,
    pub(in crate::accounts) name: String,
    pub(in crate::accounts) state: State,
    /// Which master key its passwords come from, once broker and database have it.
    pub(in crate::accounts) made_with: Option<String>,
}

/// The accounts of every tenant.
pub(in crate::accounts) type Accounts = BTreeMap<TenantId, Vec<Account>>;

/// The table, through the administrator's connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::accounts) struct Ledger<'a>(pub(in crate::accounts) &'a Client);

/// This database, whatever it and its server are called: a copy has another number, on this server or on another one.
const HOME: &str = "(SELECT system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) \
                    FROM pg_control_system())";

const COLUMNS: &str = "tenant_id, generation, name, state, key_fingerprint";

impl Ledger<'_> {
    /// Whether accounts that are in use were made by another database, of which this one is a copy. Those of no database are ours.
    pub(in crate::accounts) async fn is_copied(self) -> Result<bool, Error> {
        self.0.batch_execute(&format!("UPDATE worker_accounts SET home = {HOME} WHERE home IS NULL")).await?;
        let foreign =
            format!("SELECT EXISTS (SELECT FROM worker_accounts WHERE home <> {HOME} AND state <> 'retired')");
        Ok(self.0.query_one(&foreign, &[]).await?.get(0))
    }

    /// Everybody's.
    pub(in crate::accounts) async fn all(self) -> Result<Accounts, Error> {
        let select = format!("SELECT {COLUMNS} FROM worker_accounts ORDER BY tenant_id, generation");
        let mut accounts = Accounts::new();
        for row in self.0.query(&select, &[]).await? {
            if let Ok(tenant) = TenantId::try_from(row.get::<_, i64>(0)) {
                accounts.entry(tenant).or_default().push(account(&row));
            }
        }
        Ok(accounts)
    }

    /// One tenant's, the oldest first.
    pub(in crate::accounts) async fn of(self, tenant: TenantId) -> Result<Vec<Account>, Error> {
        let select = format!("SELECT {COLUMNS} FROM worker_accounts WHERE tenant_id = $1 ORDER BY generation");
        Ok(self.0.query(&select, &[&tenant.get()]).await?.iter().map(account).collect())
    }

    /// Records a new account and makes its role, both or neither: so a role of this name that is there already is somebody else's.
    /// `false`: somebody has recorded an account of this tenant meanwhile.
    pub(in crate::accounts) async fn claim(
        self,
        tenant: TenantId,
        account: &Account,
        make_role: &str,
    ) -> Result<Claim, Error> {
        let state = if account.state == State::Current { "current" } else { "next" };
        let (name, generation) = (escape_literal(&account.name), account.generation);
        // One message is one transaction.
        let claim = format!(
            "INSERT INTO worker_accounts (tenant_id, generation, name, state, home)
                 VALUES ({tenant}, {generation}, {name}, '{state}', {HOME});
             {make_role}"
        );
        match self.0.batch_execute(&claim).await {
            Ok(()) => Ok(Claim::Made),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Claim::TooLate),
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => Ok(Claim::Foreign),
            Err(error) => Err(error),
        }
    }

    /// Broker and database have the account.
    pub(in crate::accounts) async fn made(self, tenant: TenantId, generation: u32, key: &str) -> Result<(), Error> {
        let update = "UPDATE worker_accounts SET key_fingerprint = $3, changed_at = now()
                      WHERE tenant_id = $1 AND generation = $2 AND state IN ('current', 'next')";
        self.0.execute(update, &[&tenant.get(), &number(generation), &key]).await.map(drop)
    }

    /// This generation is the current one and all others leave; nothing happens where it is not there.
    pub(in crate::accounts) async fn adopt(self, tenant: TenantId, generation: u32) -> Result<(), Error> {
        self.0
            .batch_execute(&format!(
                "UPDATE worker_accounts SET state = 'leaving', changed_at = now()
                 WHERE tenant_id = {tenant} AND generation <> {generation} AND state IN ('current', 'next')
                   AND EXISTS (SELECT FROM worker_accounts WHERE tenant_id = {tenant} AND generation = {generation}
                               AND state IN ('current', 'next'));
                 UPDATE worker_accounts SET state = 'current', changed_at = now()
                 WHERE tenant_id = {tenant} AND generation = {generation} AND state = 'next'"
            ))
            .await
    }

    /// The account leaves. From this moment on its sessions see nothing.
    pub(in crate::accounts) async fn dismiss(self, tenant: TenantId, generation: u32) -> Result<(), Error> {
        let update = "UPDATE worker_accounts SET state = 'leaving', changed_at = now()
                      WHERE tenant_id = $1 AND generation = $2 AND state IN ('current', 'next')";
        self.0.execute(update, &[&tenant.get(), &number(generation)]).await.map(drop)
    }

    /// The account is gone. The newest generation stays on record.
    pub(in crate::accounts) async fn retire(self, tenant: TenantId, generation: u32) -> Result<(), Error> {
        self.0
            .batch_execute(&format!(
                "UPDATE worker_accounts SET state = 'retired', key_fingerprint = NULL, changed_at = now()
                 WHERE tenant_id = {tenant} AND generation = {generation} AND state = 'leaving';
                 DELETE FROM worker_accounts WHERE tenant_id = {tenant} AND state = 'retired'
                   AND generation < (SELECT max(generation) FROM worker_accounts WHERE tenant_id = {tenant})"
            ))
            .await
    }
}

/// What became of a new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::accounts) enum Claim {
    /// It is recorded and its role is there.
    Made,
    /// Another supervisor was faster.
    TooLate,
    /// The role of this name belongs to nobody whom this database knows.
    Foreign,
}

fn account(row: &Row) -> Account {
    Account {
        generation: u32::try_from(row.get::<_, i32>(1)).unwrap_or(1),
        name: row.get(2),
        state: match row.get(3) {
            "current" => State::Current,
            "next" => State::Next,
            "leaving" => State::Leaving,
            _ => State::Retired,
        },
        made_with: row.get(4),
    }
}

fn number(generation: u32) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}
