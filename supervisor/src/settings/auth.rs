//! `[auth]`: how callers of the admin API are recognised.

use std::{path::PathBuf, time::Duration};

use etl_shared::settings::unit;
use serde::Deserialize;
use url::Url;

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// A session of the page ends this long after its login.
    #[serde(with = "unit::duration")]
    pub session_ttl: Duration,
    /// So many invalid tokens from one address inside `failed_login_window` are answered; more are turned away.
    pub failed_logins: u32,
    /// See `failed_logins`.
    #[serde(with = "unit::duration")]
    pub failed_login_window: Duration,
    /// The platform's tokens; absent: API tokens only.
    pub jwt: Option<Jwt>,
    /// What the platform's words for roles mean here.
    pub roles: Roles,
}

/// `[auth.jwt]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Jwt {
    /// Which signatures count; empty: HS256 with a secret, else RS256.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// A file with the secret that the platform signs with.
    pub secret_file: Option<PathBuf>,
    /// A file with the platform's public key (PEM).
    pub public_key_file: Option<PathBuf>,
    /// A file with the platform's public keys (JWKS).
    pub jwks_file: Option<PathBuf>,
    /// Where the platform publishes its public keys.
    pub jwks_url: Option<Url>,
    /// A file with the certificates (PEM) that this server's is checked with; absent: the system's.
    pub jwks_ca_file: Option<PathBuf>,
    /// How often the keys are fetched again.
    #[serde(default = "default_refresh", with = "unit::duration")]
    pub jwks_refresh: Duration,
    /// `iss` must be this.
    pub issuer: String,
    /// `aud` must be or hold this; absent: a token with `aud` is for somebody else.
    pub audience: Option<String>,
    /// How far the platform's clock may be from ours.
    #[serde(default = "default_leeway", with = "unit::duration")]
    pub leeway: Duration,
    /// Names the tenant's claim.
    #[serde(default = "default_tenant_claim")]
    pub tenant_claim: String,
    /// Names the role's claim.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// Names the claim that, when it is true, makes an admin of every tenant; empty: none does.
    #[serde(default = "default_admin_claim")]
    pub admin_claim: String,
}

/// A way of signing. There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "RFC 7518 has named them")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
}

/// `[auth.roles]`: the platform's words for each role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Roles {
    /// These may do everything, with every tenant.
    pub admin: Vec<String>,
    /// These control their own tenant.
    pub operator: Vec<String>,
    /// These read their own tenant.
    pub viewer: Vec<String>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            session_ttl: Duration::from_hours(12),
            failed_logins: 10,
            failed_login_window: Duration::from_mins(1),
            jwt: None,
            roles: Roles::default(),
        }
    }
}

impl Default for Roles {
    /// In most platforms an `admin` is one of his own tenant. Who may touch everybody's is said by a claim of its own, or on purpose.
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self { admin: Vec::new(), operator: words(&["admin", "operator"]), viewer: words(&["viewer"]) }
    }
}

impl Algorithm {
    /// Signed with a secret that both sides have.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

impl Jwt {
    /// Those that count.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        match (self.algorithms.as_slice(), &self.secret_file) {
            ([], Some(_)) => vec![Algorithm::HS256],
            ([], None) => vec![Algorithm::RS256],
            (chosen, _) => chosen.to_vec(),
        }
    }
}

impl Auth {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.session_ttl < Duration::from_mins(1) || self.session_ttl > Duration::from_hours(24 * 366) {
            return Err("auth.session_ttl must be from 1m to 366d".to_owned());
        }
        if self.failed_logins == 0 || self.failed_login_window.is_zero() {
            return Err("auth.failed_logins and auth.failed_login_window must be more than nothing".to_owned());
        }
        let words: Vec<_> =
            [&self.roles.admin, &self.roles.operator, &self.roles.viewer].into_iter().flatten().collect();
        if let Some(twice) = words.iter().enumerate().find(|(at, word)| words[..*at].contains(word)) {
            return Err(format!("auth.roles: {:?} stands there twice: a word means one role", twice.1));
        }
        self.jwt.as_ref().map_or(Ok(()), Jwt::validate)
    }
}

impl Jwt {
    fn validate(&self) -> Result<(), String> {
        let urls = usize::from(self.jwks_url.is_some());
        let files =
            [&self.secret_file, &self.public_key_file, &self.jwks_file].iter().filter(|file| file.is_some()).count();
        if files + urls != 1 {
            let detail = "auth.jwt needs exactly one of secret_file, public_key_file, jwks_file and jwks_url";
            return Err(detail.to_owned());
        }
        let symmetric = self.secret_file.is_some();
        if self.algorithms().iter().any(|algorithm| algorithm.is_symmetric() != symmetric) {
            let detail = "auth.jwt.algorithms: HS256, HS384 and HS512 go with secret_file, RS256, RS384 and RS512 with public keys";
            return Err(detail.to_owned());
        }
        if self.issuer.is_empty() || self.audience.as_ref().is_some_and(String::is_empty) {
            return Err("auth.jwt.issuer and auth.jwt.audience must not be empty".to_owned());
        }
        if (self.jwks_file.is_some() || self.jwks_url.is_some()) && self.audience.is_none() {
            let detail = "auth.jwt.audience is needed with a JWKS: an identity provider signs tokens for others with the same keys";
            return Err(detail.to_owned());
        }
        if let Some(url) = &self.jwks_url
            && (!matches!(url.scheme(), "http" | "https") || !url.has_host() || !url.username().is_empty())
        {
            return Err("auth.jwt.jwks_url must be like https://host/path, without a user".to_owned());
        }
        if let Some(url) = self.jwks_url.as_ref().filter(|url| url.scheme() == "http")
            && !is_loopback(url)
        {
            let detail = "auth.jwt.jwks_url must be https: whoever answers in its place decides who is an admin";
            return Err(detail.to_owned());
        }
        if self.jwks_ca_file.is_some() && self.jwks_url.as_ref().is_none_or(|url| url.scheme() != "https") {
            return Err("auth.jwt.jwks_ca_file is for a jwks_url with https".to_owned());
        }
        if self.jwks_refresh < Duration::from_secs(10) || self.leeway > Duration::from_mins(10) {
            return Err("auth.jwt.jwks_refresh must be at least 10s, auth.jwt.leeway at most 10m".to_owned());
        }
        if self.tenant_claim.is_empty() || self.role_claim.is_empty() {
            return Err("auth.jwt.tenant_claim and auth.jwt.role_claim must not be empty".to_owned());
        }
        Ok(())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

const fn default_refresh() -> Duration {
    Duration::from_mins(5)
}

const fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

fn default_tenant_claim() -> String {
    "tenant_id".to_owned()
}

fn default_role_claim() -> String {
    "role".to_owned()
}

fn default_admin_claim() -> String {
    "is_admin".to_owned()
}
