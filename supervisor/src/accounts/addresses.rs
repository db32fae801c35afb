//! Where a tenant's workers connect to, as whom.

use etl_shared::{
    TenantId,
    credentials::{Credentials, CredentialsError},
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Kind, MasterKey, MasterKeyError, Names};
use crate::settings::{Broker, CredentialsSection, Database};

/// The addresses of broker and database into which each tenant's own account is put.
pub struct Addresses {
    broker: Url,
    database: Url,
    /// Certificates that the servers' are checked with.
    broker_ca: Option<String>,
    database_ca: Option<String>,
    names: Names,
    key: MasterKey,
}

/// Tenants cannot be given accounts of their own.
#[derive(Debug, thiserror::Error)]
pub enum AddressesError {
    /// The passwords have nothing to be derived from.
    #[error("[credentials] mode = \"per_tenant\" needs master_key_file")]
    NoMasterKey,
    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The addresses themselves cannot be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// There is no place for a user in it. Its text is not quoted: it may hold a password.
    #[error("the workers' URL in [{0}] has no place for a tenant's user: write it as SCHEME://HOST:PORT/NAME")]
    NoPlace(&'static str),
}

impl Addresses {
    /// As configured.
    pub fn of(section: &CredentialsSection, broker: &Broker, database: &Database) -> Result<Self, AddressesError> {
        let file = section.master_key_file.as_deref().ok_or(AddressesError::NoMasterKey)?;
        let shared = Credentials::new(broker.workers_url()?, database.workers_url()?)?;
        let addresses = Self {
            broker: parsed("broker", &shared.amqp_url)?,
            database: parsed("database", &shared.database_url)?,
            broker_ca: shared.broker_ca,
            database_ca: shared.database_ca,
            names: Names::of(section),
            key: MasterKey::read(file)?,
        };
        Ok(addresses)
    }

    /// What a process of this tenant's is handed.
    pub fn credentials(&self, tenant: TenantId, generation: u32, prove: bool) -> Credentials {
        let user = self.names.account(tenant, generation);
        let address = |url: &Url, kind| {
            let password = self.key.password(kind, tenant, generation);
            let mut url = url.clone();
            // Both have been tried when the address was read.
            let _ = url.set_username(&user).and_then(|()| url.set_password(Some(password.expose_secret())));
            SecretString::from(url.to_string())
        };
        Credentials {
            amqp_url: address(&self.broker, Kind::Broker),
            database_url: address(&self.database, Kind::Database),
            broker_ca: self.broker_ca.clone(),
            database_ca: self.database_ca.clone(),
            prove,
        }
    }
}

/// Nothing of whoever the address was written for is left in it.
fn parsed(section: &'static str, url: &SecretString) -> Result<Url, AddressesError> {
    let mut url = Url::parse(url.expose_secret()).map_err(|_| AddressesError::NoPlace(section))?;
    url.set_username("nobody").and_then(|()| url.set_password(None)).map_err(|()| AddressesError::NoPlace(section))?;
    // A user among the parameters would win over the one in front.
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !matches!(name.as_ref(), "user" | "password"))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if kept.len() != url.query_pairs().count() {
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn addresses(broker: &str, database: &str) -> Result<Addresses, String> {
        let key = tempfile::NamedTempFile::new().unwrap();
        fs::write(key.path(), "k".repeat(64)).unwrap();
        let names = Names::of(&CredentialsSection::default());
        Ok(Addresses {
            broker: parsed("broker", &broker.to_owned().into()).map_err(|error| error.to_string())?,
            database: parsed("database", &database.to_owned().into()).map_err(|error| error.to_string())?,
            broker_ca: None,
            database_ca: None,
            names,
            key: MasterKey::read(key.path()).map_err(|error| error.to_string())?,
        })
    }

    #[test]
    fn each_tenant_and_generation_has_its_own_user_and_nobody_elses_password_is_left() {
        let addresses = addresses(
            "amqp://etl:hunter2@broker:5672/%2fetl?heartbeat=10",
            "postgres://etl:hunter2@db/etl?user=other&password=hunter2&sslmode=disable",
        );
        let addresses = addresses.unwrap();
        let tenant = TenantId::try_from(7).unwrap();
        for (generation, user) in [(1, "tenant_7"), (2, "tenant_7_g2")] {
            let given = addresses.credentials(tenant, generation, true);
            let broker = etl_shared::amqp::parse_url(&given.amqp_url).unwrap();
            let database: tokio_postgres::Config = given.database_url.expose_secret().parse().unwrap();
            let password = |kind| addresses.key.password(kind, tenant, generation);
            assert_eq!(broker.uri.authority.userinfo.username, user);
            assert_eq!(broker.uri.authority.userinfo.password, password(Kind::Broker).expose_secret());
            assert_eq!(broker.uri.vhost, "/etl");
            assert_eq!((database.get_user(), database.get_dbname()), (Some(user), Some("etl")));
            assert_eq!(database.get_password(), Some(password(Kind::Database).expose_secret().as_bytes()));
            assert!(given.prove && !given.database_url.expose_secret().contains("hunter2"));
        }
    }

    #[test]
    fn an_address_without_a_place_for_a_user_is_an_error_that_quotes_nothing() {
        for url in ["host=db password=hunter2", "postgres:///etl?host=/run/postgresql&password=hunter2"] {
            let error = addresses("amqp://broker", url).err().unwrap();
            assert!(error.contains("[database]") && !error.contains("hunter2"), "{error}");
        }
    }
}
