//! `[credentials]`

use std::path::PathBuf;

use serde::Deserialize;

/// `[credentials]`: whose accounts workers use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CredentialsSection {
    /// Absent: per tenant where there is a master key.
    pub mode: Option<CredentialsMode>,
    /// A file with the secret that all passwords are derived from.
    pub master_key_file: Option<PathBuf>,
    /// What the names of the tenants' accounts begin with; the tenant's id follows.
    pub prefix: String,
    /// What the names of the roles begin with that hold rights for others, such as `etl_tenant`.
    pub roles_prefix: String,
}

/// Whose accounts workers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsMode {
    /// One for all, from the configuration.
    Shared,
    /// Each tenant's own, made by the supervisor.
    PerTenant,
}

impl Default for CredentialsSection {
    fn default() -> Self {
        Self { mode: None, master_key_file: None, prefix: "tenant_".to_owned(), roles_prefix: "etl_".to_owned() }
    }
}

impl CredentialsSection {
    /// What holds.
    pub const fn mode(&self) -> CredentialsMode {
        match (self.mode, &self.master_key_file) {
            (Some(mode), _) => mode,
            (None, Some(_)) => CredentialsMode::PerTenant,
            (None, None) => CredentialsMode::Shared,
        }
    }
}
