//! Addresses of broker and database: put together from URL and password file, and compared.

use std::path::Path;

use etl_shared::credentials::{CredentialsError, read_secret_file};
use secrecy::{ExposeSecret, SecretString};

use super::{Broker, Database};

impl Broker {
    /// The supervisor's own address, password included.
    pub fn own_url(&self) -> Result<SecretString, CredentialsError> {
        with_password(&self.url, self.password_file.as_deref())
    }

    /// The workers' address, password included.
    pub fn workers_url(&self) -> Result<SecretString, CredentialsError> {
        match &self.worker_url {
            Some(url) => with_password(url, self.worker_password_file.as_deref()),
            None => self.own_url(),
        }
    }
}

impl Database {
    /// The supervisor's own address, password included.
    pub fn own_url(&self) -> Result<SecretString, CredentialsError> {
        with_password(&self.url, self.password_file.as_deref())
    }

    /// The workers' address, password included.
    pub fn workers_url(&self) -> Result<SecretString, CredentialsError> {
        match &self.worker_url {
            Some(url) => with_password(url, self.worker_password_file.as_deref()),
            None => self.own_url(),
        }
    }
}

impl PartialEq for Broker {
    fn eq(&self, other: &Self) -> bool {
        same(&self.url, &other.url)
            && self.password_file == other.password_file
            && same_option(self.worker_url.as_ref(), other.worker_url.as_ref())
            && self.worker_password_file == other.worker_password_file
            && self.queue_kind == other.queue_kind
    }
}

impl PartialEq for Database {
    fn eq(&self, other: &Self) -> bool {
        same(&self.url, &other.url)
            && self.password_file == other.password_file
            && same_option(self.worker_url.as_ref(), other.worker_url.as_ref())
            && self.worker_password_file == other.worker_password_file
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

/// Puts the password of a file into a URL.
fn with_password(url: &SecretString, file: Option<&Path>) -> Result<SecretString, CredentialsError> {
    let Some(file) = file else { return Ok(url.clone()) };
    let password = read_secret_file(file)?;
    // A file of the wrong form is found by `validate`; here the text is taken as it is.
    let Ok(mut parsed) = url::Url::parse(url.expose_secret()) else { return Ok(url.clone()) };
    let _ = parsed.set_password(Some(password.expose_secret()));
    Ok(parsed.to_string().into())
}
