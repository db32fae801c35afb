//! The broker's side: a tenant's user, which may read the tenant's queues and nothing else.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use etl_shared::TenantId;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::broker::{ByVhost, Management, ManagementError, Permissions, User};

/// RabbitMQ's word for: four bytes of salt, then SHA-256 of salt and password.
const ALGORITHM: &str = "rabbit_password_hashing_sha256";
const SALT: usize = 4;

/// What the broker has of an account.
#[derive(Debug, Clone, Default)]
pub(super) struct UserFacts {
    user: Option<User>,
    permissions: ByVhost,
}

impl UserFacts {
    pub(super) const fn exists(&self) -> bool {
        self.user.is_some()
    }

    /// Everybody's.
    pub(super) async fn all(management: &Management) -> Result<BTreeMap<String, Self>, ManagementError> {
        let (users, permissions) = tokio::join!(management.users(), management.permissions());
        let mut permissions = permissions?;
        Ok(users?
            .into_iter()
            .map(|(name, user)| {
                let permissions = permissions.remove(&name).unwrap_or_default();
                (name, Self { user: Some(user), permissions })
            })
            .collect())
    }

    /// One.
    pub(super) async fn of(management: &Management, name: &str) -> Result<Self, ManagementError> {
        let (user, permissions) = tokio::join!(management.user(name), management.permissions_of(name));
        Ok(Self { user: user?, permissions: permissions? })
    }
}

/// Neither declaring nor publishing, and reading the tenant's own queues only. Anchored at both ends: without the last sign
/// tenant 1 could read what belongs to tenant 11.
pub(super) fn permissions(tenant: TenantId) -> Permissions {
    Permissions {
        configure: "^$".to_owned(),
        write: "^$".to_owned(),
        read: format!("^[a-z][a-z0-9_]*_queue_tenant_{tenant}$"),
    }
}

/// Makes user and permissions as they should be; `anew`: whatever is there.
pub(super) async fn ensure(
    management: &Management,
    (name, tenant): (&str, TenantId),
    found: &UserFacts,
    password: &SecretString,
    anew: bool,
) -> Result<(), ManagementError> {
    let right = found.user.as_ref().is_some_and(|user| user.tags.is_empty() && is_hash_of(user, password));
    if anew || !right {
        management.put_user(name, &user(password, rand::random())).await?;
    }
    let wanted = permissions(tenant);
    if anew || found.permissions.get(management.vhost()) != Some(&wanted) {
        management.put_permissions(name, &wanted).await?;
    }
    for elsewhere in found.permissions.keys().filter(|vhost| *vhost != management.vhost()) {
        management.delete_permissions(name, elsewhere).await?;
    }
    Ok(())
}

fn user(password: &SecretString, salt: [u8; SALT]) -> User {
    User {
        password_hash: BASE64_STANDARD.encode(hash(password, &salt)),
        hashing_algorithm: ALGORITHM.to_owned(),
        tags: String::new(),
    }
}

fn hash(password: &SecretString, salt: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update(salt).chain_update(password.expose_secret()).finalize();
    [salt, &digest].concat()
}

// What is compared is known to the broker and to us; the answer goes to nobody.
fn is_hash_of(user: &User, password: &SecretString) -> bool {
    let Ok(stored) = BASE64_STANDARD.decode(&user.password_hash) else { return false };
    user.hashing_algorithm == ALGORITHM && stored.len() > SALT && stored == hash(password, &stored[..SALT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_its_password_alone() {
        let (one, other) = (SecretString::from("test12"), SecretString::from("test13"));
        // The example of RabbitMQ's documentation.
        let documented = User {
            password_hash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR".to_owned(),
            hashing_algorithm: ALGORITHM.to_owned(),
            tags: String::new(),
        };
        assert!(is_hash_of(&documented, &one));
        assert!(!is_hash_of(&documented, &other));
        assert!(is_hash_of(&user(&other, [1, 2, 3, 4]), &other));
        assert!(!is_hash_of(&User { password_hash: String::new(), ..documented }, &one));
    }
}
