//! Accounts of the tenants' own: whether there is a master key, and whether the accounts that make them may.

use std::time::Duration;

use crate::{
    accounts::{MasterKey, leftover},
    broker::Management,
    causes::in_one_line,
    cli::finding::Finding,
    settings::{CredentialsMode, Settings},
    store,
};

const KEY: &str = "credentials: key";
const BROKER: &str = "credentials: broker";
const DATABASE: &str = "credentials: database";
/// How long each question may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was found; where all workers share one account, only what is left of others.
pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    if settings.credentials.mode() != CredentialsMode::PerTenant {
        return leftover_accounts(settings).await.into_iter().collect();
    }
    let mut findings = vec![key(settings)];
    let broker = tokio::time::timeout(PATIENCE, broker(settings)).await;
    findings.push(match broker.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
        Ok(detail) => Finding::ok(BROKER, detail),
        Err(detail) => Finding::fail(
            BROKER,
            detail,
            "name a user with the tag administrator in broker.management_url (rabbitmqctl set_user_tags USER administrator)",
        ),
    });
    let database = tokio::time::timeout(PATIENCE, database(settings)).await;
    findings.push(match database.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
        Ok(detail) => Finding::ok(DATABASE, detail),
        Err(detail) => Finding::fail(
            DATABASE,
            detail,
            "name a role with CREATEROLE in database.admin_url (ALTER ROLE … CREATEROLE)",
        ),
    });
    findings
}

/// A database that does not answer is somebody else's finding.
async fn leftover_accounts(settings: &Settings) -> Option<Finding> {
    let asked = tokio::time::timeout(PATIENCE, leftover(settings.database.as_ref()?)).await;
    let count = asked.ok()?.ok().filter(|count| *count > 0)?;
    let detail = format!("all workers share one, but {count} of tenants' own are still in force");
    let advice = "revoke them as docs/security.md says, or set credentials.mode to per_tenant again";
    Some(Finding::warn("credentials", detail, advice))
}

fn key(settings: &Settings) -> Finding {
    let Some(file) = settings.credentials.master_key_file.as_deref() else {
        return Finding::fail(
            KEY,
            "there is none",
            "set credentials.master_key_file; make one with openssl rand -hex 32",
        );
    };
    match MasterKey::read(file) {
        Ok(_) => Finding::ok(KEY, format!("{} can be used", file.display())),
        Err(error) => Finding::fail(KEY, in_one_line(&error), "without it no worker of a tenant can log in"),
    }
}

/// Only an administrator may see the users.
async fn broker(settings: &Settings) -> Result<String, String> {
    let broker = settings.broker.as_ref().ok_or("there is no [broker] url")?;
    let management = Management::of(broker)?.ok_or("there is no broker.management_url")?;
    let users = management.users().await.map_err(|error| in_one_line(&error))?;
    Ok(format!("{} may make users; there are {}", management.shown(), users.len()))
}

async fn database(settings: &Settings) -> Result<String, String> {
    let database = settings.database.as_ref().ok_or("there is no [database] url")?;
    let url = database.admin_url().map_err(|error| in_one_line(&error))?;
    let (client, ..) = store::connect(&url, "etl-supervisor doctor").await.map_err(|error| in_one_line(&error))?;
    let select = "SELECT rolname, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user";
    let row = client.query_one(select, &[]).await.map_err(|error| in_one_line(&error))?;
    let (name, may): (&str, bool) = (row.get(0), row.get(1));
    if may { Ok(format!("{name} may make roles")) } else { Err(format!("{name} may not make roles")) }
}
