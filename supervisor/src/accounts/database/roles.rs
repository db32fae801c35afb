//! A tenant's role: a login with the tenants' rights and nothing else.

use std::{collections::HashMap, time::Duration};

use postgres_protocol::{escape::escape_identifier, escape::escape_literal, password::scram_sha_256};
use secrecy::{ExposeSecret, SecretString};
use tokio::time;
use tokio_postgres::{Client, Error, Row, error::SqlState};

/// How long its sessions may take to end.
const SESSIONS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Roles, through the administrator's connection.
#[derive(Debug, Clone)]
pub(in crate::accounts) struct Roles {
    /// Whose rights they have.
    pub(in crate::accounts) group: String,
    /// How many connections each may have.
    pub(in crate::accounts) connections: i32,
}

/// What the catalogue says of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::accounts) struct RoleFacts {
    logs_in: bool,
    inherits: bool,
    /// Superuser, may make roles or databases, passes row-level security, …
    powerful: bool,
    connections: i32,
    member_of: Vec<String>,
}

const FACTS: &str = "
SELECT r.rolname::text, r.rolcanlogin, r.rolinherit,
    r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls OR r.rolreplication, r.rolconnlimit,
    array(SELECT pg_get_userbyid(m.roleid)::text FROM pg_auth_members AS m WHERE m.member = r.oid ORDER BY 1)
FROM pg_roles AS r WHERE r.rolname = ANY($1::text[])";

fn facts(row: &Row) -> RoleFacts {
    RoleFacts {
        logs_in: row.get(1),
        inherits: row.get(2),
        powerful: row.get(3),
        connections: row.get(4),
        member_of: row.get(5),
    }
}

impl RoleFacts {
    /// Makes the server refuse changes: only a superuser may take these powers away again.
    pub(in crate::accounts) const fn is_powerful(&self) -> bool {
        self.powerful
    }
}

/// What the server stores of a password. Computed here, so that no password appears in a statement or a log. Takes a while.
pub(in crate::accounts) async fn verifier(password: SecretString) -> String {
    let computing = tokio::task::spawn_blocking(move || scram_sha_256(password.expose_secret().as_bytes()));
    match computing.await {
        Ok(verifier) => verifier,
        // Nobody aborts it, so it has panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Roles {
    /// As many connections as so many workers need: each has one; its predecessor may not have given up its own yet, and somebody may
    /// run one by hand.
    pub(in crate::accounts) fn with_workers(self, workers: u32) -> Self {
        Self { connections: i32::try_from(workers).unwrap_or(i32::MAX).saturating_mul(2).saturating_add(2), ..self }
    }

    /// Those of the roles that there are.
    pub(in crate::accounts) async fn facts(
        client: &Client,
        names: &[String],
    ) -> Result<HashMap<String, RoleFacts>, Error> {
        Ok(client.query(FACTS, &[&names]).await?.iter().map(|row| (row.get(0), facts(row))).collect())
    }

    /// The statement that makes one.
    pub(in crate::accounts) fn creation(&self, name: &str, verifier: &str) -> String {
        format!(
            "CREATE ROLE {} LOGIN INHERIT CONNECTION LIMIT {} PASSWORD {} IN ROLE {}",
            escape_identifier(name),
            self.connections,
            escape_literal(verifier),
            escape_identifier(&self.group)
        )
    }

    /// The statements that make a role as it should be; with a verifier, its password too. None when nothing is to be done.
    pub(in crate::accounts) fn repair(&self, name: &str, found: &RoleFacts, verifier: Option<&str>) -> String {
        let (role, group) = (escape_identifier(name), escape_identifier(&self.group));
        let mut statements = Vec::new();
        if !found.logs_in || !found.inherits || found.connections != self.connections || verifier.is_some() {
            let password =
                verifier.map_or_else(String::new, |verifier| format!(" PASSWORD {}", escape_literal(verifier)));
            statements.push(format!("ALTER ROLE {role} LOGIN INHERIT CONNECTION LIMIT {}{password}", self.connections));
        }
        if !found.member_of.contains(&self.group) {
            statements.push(format!("GRANT {group} TO {role}"));
        }
        for other in found.member_of.iter().filter(|other| **other != self.group) {
            statements.push(format!("REVOKE {} FROM {role}", escape_identifier(other)));
        }
        statements.join("; ")
    }

    /// No session of the role is open when this returns, and none can be opened.
    ///
    /// What it owns in this database goes with it. Something in another database of the server would keep the role alive; then it
    /// stays without password, without rights, and without a way to log in.
    pub(in crate::accounts) async fn remove(&self, client: &Client, name: &str) -> Result<(), RemovalError> {
        let Some(row) = client.query_opt("SELECT oid FROM pg_roles WHERE rolname = $1", &[&name]).await? else {
            return Ok(());
        };
        let oid: u32 = row.get(0);
        let role = escape_identifier(name);
        client.batch_execute(&format!("ALTER ROLE {role} NOLOGIN PASSWORD NULL CONNECTION LIMIT 0")).await?;
        end_sessions(client, oid).await?;
        // Only a member may drop what a role owns. The membership is seen by nobody: it ends with the transaction.
        let dropped = client
            .batch_execute(&format!("GRANT {role} TO CURRENT_USER; DROP OWNED BY {role} CASCADE; DROP ROLE {role}"))
            .await;
        match dropped {
            Ok(()) => {}
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {}
            Err(error) if error.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
                let group = escape_identifier(&self.group);
                client.batch_execute(&format!("REVOKE {group} FROM {role}")).await?;
                tracing::warn!(
                    role = name,
                    "a role owns something in another database, so it cannot be dropped; it cannot log in and has no rights"
                );
            }
            Err(error) => return Err(error.into()),
        }
        // A login that was under way when the role lost its right to.
        end_sessions(client, oid).await
    }
}

async fn end_sessions(client: &Client, role: u32) -> Result<(), RemovalError> {
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1";
    let began = time::Instant::now();
    while !client.query(terminate, &[&role]).await?.is_empty() {
        if began.elapsed() > SESSIONS_WITHIN {
            return Err(RemovalError::SessionsStay);
        }
        time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// A role could not be removed.
#[derive(Debug, thiserror::Error)]
pub(in crate::accounts) enum RemovalError {
    /// The server refused, or the connection broke.
    #[error("removing a role failed")]
    Failed(#[from] Error),
    /// A session does not react.
    #[error("sessions of the role have not ended for {} seconds", SESSIONS_WITHIN.as_secs())]
    SessionsStay,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_is_as_it_should_be_is_left_alone_and_any_other_is_put_right() {
        let roles = Roles { group: "etl_tenant".to_owned(), connections: 4 };
        let right = RoleFacts {
            logs_in: true,
            inherits: true,
            powerful: false,
            connections: 4,
            member_of: vec!["etl_tenant".to_owned()],
        };
        assert_eq!(roles.repair("tenant_7", &right, None), "");
        assert_eq!(
            roles.repair("tenant_7", &right, Some("SCRAM")),
            "ALTER ROLE \"tenant_7\" LOGIN INHERIT CONNECTION LIMIT 4 PASSWORD 'SCRAM'"
        );
        let wrong = RoleFacts { logs_in: false, member_of: vec!["pg_read_all_data".to_owned()], ..right };
        assert_eq!(
            roles.repair("tenant_7", &wrong, None),
            "ALTER ROLE \"tenant_7\" LOGIN INHERIT CONNECTION LIMIT 4; GRANT \"etl_tenant\" TO \"tenant_7\"; \
             REVOKE \"pg_read_all_data\" FROM \"tenant_7\""
        );
    }
}
