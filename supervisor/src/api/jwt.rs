//! Tokens of the platform (JWT): which of them are believed, and what their claims come to.
//!
//! What is checked is settled by the configuration alone; the token has no say in it beyond which of the known keys it names.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use etl_shared::{TenantId, api::Role};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::Value;

use super::{
    authorize::{Grant, Subject},
    secret::hash,
};
use crate::settings::{self, Auth, Roles};

mod claims;
mod fetch;
mod keys;
mod signatures;

use claims::Claims;
pub use keys::JwtKeysError;
use keys::{Key, Keys};

/// Largest token that is looked at, in bytes.
const LARGEST: usize = 8 * 1024;
/// Longest name of a subject in log lines.
const LONGEST_NAME: usize = 100;
/// The last moment that can be written as RFC 3339, with room for a leeway.
const END_OF_TIME: u64 = 253_402_300_799 - 86_400;

/// How the platform's tokens are checked.
#[derive(Debug)]
pub(super) struct Jwts {
    settings: settings::Jwt,
    roles: Roles,
    validation: Validation,
    keys: Keys,
}

/// A token that lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unbelieved {
    /// Not one, forged, or not for us. What exactly is nobody's business who cannot make one.
    Invalid(&'static str),
    /// It was valid.
    Expired,
    /// No key is known yet, so nobody can tell.
    NoKeys,
    /// It is genuine, and its claims make nobody of its bearer; a stable code and what to do.
    Nobody(&'static str, &'static str),
}

impl Jwts {
    /// As configured, with the keys that can be read at once.
    pub(super) fn new(auth: &Auth) -> Result<Option<Self>, JwtKeysError> {
        let Some(settings) = auth.jwt.clone() else { return Ok(None) };
        signatures::install();
        let algorithms: Vec<_> = settings.algorithms().into_iter().map(algorithm).collect();
        let mut validation = Validation::new(algorithms[0]);
        validation.algorithms = algorithms;
        validation.leeway = settings.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&settings.issuer]);
        let mut required = vec!["exp", "iss"];
        if let Some(audience) = &settings.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let keys = Keys::open(&settings)?;
        Ok(Some(Self { settings, roles: auth.roles.clone(), validation, keys }))
    }

    /// Keeps the keys fresh, for as long as the API is served.
    pub(super) async fn keep_keys(&self) {
        self.keys.keep(&self.settings).await;
    }

    /// Whom the token is about, where it can be believed.
    pub(super) async fn subject(&self, token: &str) -> Result<Subject, Unbelieved> {
        const UNREADABLE: Unbelieved = Unbelieved::Invalid("this is neither an API token nor a JWT");
        if token.len() > LARGEST {
            return Err(Unbelieved::Invalid("this token is too large to be one"));
        }
        let header = decode_header(token).map_err(|_| UNREADABLE)?;
        // Before a key is looked for: nobody makes us fetch keys for a signature that would not count.
        if !self.validation.algorithms.contains(&header.alg) {
            return Err(Unbelieved::Invalid("the token's algorithm is none of [auth.jwt] algorithms"));
        }
        // Whatever it is that we must understand: we do not.
        if header.crit.is_some() {
            return Err(Unbelieved::Invalid("the token's header has crit, which is not understood here"));
        }
        let key = self.keys.find(header.kid.as_deref()).await?;
        if !key.is_for(header.alg) {
            return Err(Unbelieved::Invalid("the token's key is for another algorithm"));
        }
        let claims = decode::<Claims>(token, &key.decoding, &self.validation).map_err(|error| refused(error.kind()))?;
        self.whom(&claims.claims.0, &key)
    }

    /// Whether a token that was signed with the key of this name would be believed now. While no key is known, those that were are.
    pub(super) fn trusts(&self, key: &str) -> bool {
        self.keys.has(key)
    }

    /// What the claims of a genuine token come to.
    fn whom(&self, claims: &BTreeMap<String, Value>, key: &Key) -> Result<Subject, Unbelieved> {
        let seconds = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        // Rounded as it was checked; a number out of this world means "for ever".
        let ends = Duration::try_from_secs_f64(seconds.round()).unwrap_or(Duration::MAX);
        let ends = ends.saturating_add(self.settings.leeway).min(Duration::from_secs(END_OF_TIME));
        let ends = SystemTime::UNIX_EPOCH + ends;
        let sub = match claims.get("sub") {
            Some(Value::String(sub)) if !sub.is_empty() => sub.clone(),
            Some(Value::Number(sub)) => sub.to_string(),
            // Counts, sessions and the audit log would take all of them for one person.
            _ => return Err(Unbelieved::Invalid("this token says of nobody whose it is (sub)")),
        };
        let (name, identity, key) = (fit_for_a_line(&sub), hash(&sub), key.name.clone());
        Ok(Subject { name, identity, grant: self.grant(claims)?, key, ends })
    }

    fn grant(&self, claims: &BTreeMap<String, Value>) -> Result<Grant, Unbelieved> {
        let claim = |name: &str| claims.get(name).filter(|_| !name.is_empty());
        if claim(&self.settings.admin_claim) == Some(&Value::Bool(true)) {
            return Ok(Grant::Admin);
        }
        let role = claim(&self.settings.role_claim).and_then(|claimed| self.role(claimed));
        let role = role.ok_or(Unbelieved::Nobody(
            "no_role",
            "the token is genuine, but its role is none of those in [auth.roles]",
        ))?;
        let tenant = || {
            claim(&self.settings.tenant_claim).and_then(tenant).ok_or(Unbelieved::Nobody(
                "no_tenant",
                "the token is genuine, but names no tenant: an operator or viewer has exactly one",
            ))
        };
        Ok(match role {
            Role::Admin => Grant::Admin,
            Role::Operator => Grant::Operator(tenant()?),
            Role::Viewer => Grant::Viewer(tenant()?),
        })
    }

    /// Of several words the one that allows most.
    fn role(&self, claimed: &Value) -> Option<Role> {
        let words: Vec<_> = match claimed {
            Value::String(word) => vec![word.as_str()],
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let all = [
            (&self.roles.admin, Role::Admin),
            (&self.roles.operator, Role::Operator),
            (&self.roles.viewer, Role::Viewer),
        ];
        let held = |listed: &Vec<String>| listed.iter().any(|word| words.contains(&word.as_str()));
        all.into_iter().find(|(listed, _)| held(listed)).map(|(_, role)| role)
    }
}

/// A number, or its digits; nothing else that a tolerant reader would take for one.
fn tenant(claimed: &Value) -> Option<TenantId> {
    let id = match claimed {
        Value::Number(number) => number.as_i64()?,
        Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0') => {
            digits.parse().ok()?
        }
        _ => return None,
    };
    TenantId::try_from(id).ok()
}

/// A subject is whatever the platform lets people call themselves.
fn fit_for_a_line(name: &str) -> String {
    let fit = |letter: char| if letter.is_alphanumeric() || "-_.@+:|/=".contains(letter) { letter } else { '_' };
    name.chars().take(LONGEST_NAME).map(fit).collect()
}

fn refused(kind: &ErrorKind) -> Unbelieved {
    match kind {
        ErrorKind::ExpiredSignature => Unbelieved::Expired,
        ErrorKind::ImmatureSignature => Unbelieved::Invalid("this token is not valid yet"),
        ErrorKind::InvalidIssuer => Unbelieved::Invalid("this token has another issuer"),
        ErrorKind::InvalidAudience => Unbelieved::Invalid("this token is for another audience"),
        ErrorKind::MissingRequiredClaim(_) => Unbelieved::Invalid("this token lacks exp, iss or aud"),
        ErrorKind::InvalidSignature => Unbelieved::Invalid("this token's signature is wrong"),
        _ => Unbelieved::Invalid("this token cannot be used"),
    }
}

const fn algorithm(configured: settings::Algorithm) -> Algorithm {
    match configured {
        settings::Algorithm::HS256 => Algorithm::HS256,
        settings::Algorithm::HS384 => Algorithm::HS384,
        settings::Algorithm::HS512 => Algorithm::HS512,
        settings::Algorithm::RS256 => Algorithm::RS256,
        settings::Algorithm::RS384 => Algorithm::RS384,
        settings::Algorithm::RS512 => Algorithm::RS512,
    }
}

#[cfg(test)]
pub(in crate::api) mod tests;
