//! Addresses of broker and database: put together from URL, password file and authorities' file, and compared.
//!
//! What comes out says everything that is needed to connect, so that whoever connects needs nothing but the URL.

use std::path::Path;

use etl_shared::{
    amqp,
    credentials::{CredentialsError, read_secret_file},
    postgres,
};
use secrecy::{ExposeSecret, SecretString};

use super::{Broker, Database};

impl Broker {
    /// The supervisor's own address, password included.
    pub fn own_url(&self) -> Result<SecretString, CredentialsError> {
        with_password(&self.url, self.password_file.as_deref()).map(|url| self.with_authorities(url))
    }

    /// The workers' address, password included.
    pub fn workers_url(&self) -> Result<SecretString, CredentialsError> {
        or_own(self.worker_url.as_ref(), self.worker_password_file.as_deref(), || self.own_url())
            .map(|url| self.with_authorities(url))
    }

    /// The management API's address, password included.
    pub fn management_url(&self) -> Result<Option<SecretString>, CredentialsError> {
        let file = self.management_password_file.as_deref();
        let url = self.management_url.as_ref().map(|url| with_password(url, file)).transpose()?;
        Ok(url.map(|url| self.with_authorities(url)))
    }

    fn with_authorities(&self, url: SecretString) -> SecretString {
        match &self.ca_file {
            Some(file) => amqp::with_authorities(url, file),
            None => url,
        }
    }
}

impl Database {
    /// The supervisor's own address, password included.
    pub fn own_url(&self) -> Result<SecretString, CredentialsError> {
        with_password(&self.url, self.password_file.as_deref()).map(|url| self.with_authorities(url))
    }

    /// The workers' address, password included.
    pub fn workers_url(&self) -> Result<SecretString, CredentialsError> {
        or_own(self.worker_url.as_ref(), self.worker_password_file.as_deref(), || self.own_url())
            .map(|url| self.with_authorities(url))
    }

    /// The address of the account that changes the schema and makes accounts, password included.
    pub fn admin_url(&self) -> Result<SecretString, CredentialsError> {
        or_own(self.admin_url.as_ref(), self.admin_password_file.as_deref(), || self.own_url())
            .map(|url| self.with_authorities(url))
    }

    fn with_authorities(&self, url: SecretString) -> SecretString {
        match &self.ca_file {
            Some(file) => postgres::with_authorities(url, file),
            None => url,
        }
    }
}

impl PartialEq for Broker {
    fn eq(&self, other: &Self) -> bool {
        same(&self.url, &other.url)
            && self.password_file == other.password_file
            && same_option(self.worker_url.as_ref(), other.worker_url.as_ref())
            && self.worker_password_file == other.worker_password_file
            && self.ca_file == other.ca_file
            && self.queue_kind == other.queue_kind
            && same_option(self.management_url.as_ref(), other.management_url.as_ref())
            && self.management_password_file == other.management_password_file
            && self.delivery_limit == other.delivery_limit
    }
}

impl PartialEq for Database {
    fn eq(&self, other: &Self) -> bool {
        same(&self.url, &other.url)
            && self.password_file == other.password_file
            && same_option(self.worker_url.as_ref(), other.worker_url.as_ref())
            && self.worker_password_file == other.worker_password_file
            && same_option(self.admin_url.as_ref(), other.admin_url.as_ref())
            && self.admin_password_file == other.admin_password_file
            && self.ca_file == other.ca_file
            && self.tenants_query == other.tenants_query
            && self.refresh == other.refresh
            && self.migrate == other.migrate
    }
}

// Both sides are this process's own configuration: there is nobody whom the time of a comparison could tell anything.
fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

fn same_option(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// An address of its own where there is one.
fn or_own(
    url: Option<&SecretString>,
    file: Option<&Path>,
    own: impl FnOnce() -> Result<SecretString, CredentialsError>,
) -> Result<SecretString, CredentialsError> {
    url.map_or_else(own, |url| with_password(url, file))
}

/// Puts the password of a file into a URL.
fn with_password(url: &SecretString, file: Option<&Path>) -> Result<SecretString, CredentialsError> {
    let Some(file) = file else { return Ok(url.clone()) };
    let password = read_secret_file(file)?;
    let no_place = || CredentialsError::NoPlace { path: file.to_owned() };
    let mut parsed = url::Url::parse(url.expose_secret()).map_err(|_| no_place())?;
    // The rest is escaped by the library; a per cent sign it takes for the beginning of an escape.
    let escaped = password.expose_secret().replace('%', "%25");
    parsed.set_password(Some(&escaped)).map_err(|()| no_place())?;
    Ok(parsed.to_string().into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with(url: &str, password: &str) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), password).unwrap();
        let url = with_password(&url.to_owned().into(), Some(file.path()));
        url.map(|url| url.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn any_password_arrives_as_it_stands_in_the_file() {
        for password in ["simple", "ab%41c", "a:b/c@d?e#f", "per cent % and blank", "ü€"] {
            let url: SecretString = with("postgres://etl@db:5432/etl", password).unwrap().into();
            let config: tokio_postgres::Config = url.expose_secret().parse().unwrap();
            assert_eq!(config.get_password(), Some(password.as_bytes()));
            let url: SecretString = with("amqp://etl@broker:5672/%2f", password).unwrap().into();
            assert_eq!(amqp::parse_url(&url).unwrap().uri.authority.userinfo.password, password);
        }
    }

    #[test]
    fn a_password_that_has_no_place_in_the_url_is_an_error() {
        for url in ["host=db user=etl", "postgres:///etl?host=/run/postgresql"] {
            assert!(with(url, "secret").unwrap_err().contains("postgres://USER@HOST"), "{url}");
        }
    }
}
