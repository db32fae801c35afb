//! RabbitMQ's management API, as far as users and their permissions. It needs an account with the tag `administrator`.

use std::collections::BTreeMap;

use hyper::Method;
use serde::{Deserialize, Serialize};

use super::management::{Management, ManagementError};

/// A user, as the API takes and gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The salt and the hash; nobody has the password itself. Empty where the user cannot log in with one.
    #[serde(default)]
    pub password_hash: String,
    /// How it was hashed.
    #[serde(default)]
    pub hashing_algorithm: String,
    /// Empty: no access to the management API. Older brokers write a text, newer ones a list.
    #[serde(default, deserialize_with = "text_or_list")]
    pub tags: String,
}

/// What a user may do in a virtual host: patterns for names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// Declare and delete.
    pub configure: String,
    /// Publish and bind.
    pub write: String,
    /// Consume and purge.
    pub read: String,
}

#[derive(Deserialize)]
struct Named<T> {
    #[serde(alias = "user")]
    name: String,
    #[serde(default)]
    vhost: String,
    #[serde(flatten)]
    rest: T,
}

/// Permissions by virtual host.
pub type ByVhost = BTreeMap<String, Permissions>;

fn text_or_list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Tags {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Tags::deserialize(deserializer)? {
        Tags::Text(text) => text,
        Tags::List(list) => list.join(","),
    })
}

impl Management {
    /// Every user with its name.
    pub async fn users(&self) -> Result<BTreeMap<String, User>, ManagementError> {
        let users: Vec<Named<User>> = self.get(&["api", "users"], "").await?.unwrap_or_default();
        Ok(users.into_iter().map(|user| (user.name, user.rest)).collect())
    }

    /// Everybody's permissions in every virtual host.
    pub async fn permissions(&self) -> Result<BTreeMap<String, ByVhost>, ManagementError> {
        let all: Vec<Named<Permissions>> = self.get(&["api", "permissions"], "").await?.unwrap_or_default();
        let mut permissions: BTreeMap<String, ByVhost> = BTreeMap::new();
        for one in all {
            permissions.entry(one.name).or_default().insert(one.vhost, one.rest);
        }
        Ok(permissions)
    }

    /// One user.
    pub async fn user(&self, name: &str) -> Result<Option<User>, ManagementError> {
        self.get(&["api", "users", name], "").await
    }

    /// One user's permissions.
    pub async fn permissions_of(&self, name: &str) -> Result<ByVhost, ManagementError> {
        let all: Option<Vec<Named<Permissions>>> = self.get(&["api", "users", name, "permissions"], "").await?;
        Ok(all.unwrap_or_default().into_iter().map(|one| (one.vhost, one.rest)).collect())
    }

    /// Makes or replaces a user. Its open connections stay.
    pub async fn put_user(&self, name: &str, user: &User) -> Result<(), ManagementError> {
        let body = serde_json::to_vec(user).unwrap_or_default();
        self.exchange(Method::PUT, &["api", "users", name], "", body).await.map(drop)
    }

    /// Sets a user's permissions in the virtual host of this API.
    pub async fn put_permissions(&self, name: &str, permissions: &Permissions) -> Result<(), ManagementError> {
        let body = serde_json::to_vec(permissions).unwrap_or_default();
        self.exchange(Method::PUT, &["api", "permissions", self.vhost(), name], "", body).await.map(drop)
    }

    /// Takes a user's permissions in a virtual host away.
    pub async fn delete_permissions(&self, name: &str, vhost: &str) -> Result<(), ManagementError> {
        self.delete(&["api", "permissions", vhost, name]).await
    }

    /// Deletes a user, which closes its connections.
    pub async fn delete_user(&self, name: &str) -> Result<(), ManagementError> {
        self.delete(&["api", "users", name]).await
    }

    async fn delete(&self, path: &[&str]) -> Result<(), ManagementError> {
        match self.exchange(Method::DELETE, path, "", Vec::new()).await {
            // Somebody else was faster.
            Ok(_) | Err(ManagementError::Unexpected { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_either_form_and_written_as_text() {
        for (given, tags) in [(r#""""#, ""), ("[]", ""), (r#"["administrator"]"#, "administrator")] {
            let user = format!(r#"{{"name":"u","password_hash":"h","hashing_algorithm":"a","tags":{given}}}"#);
            let user: Named<User> = serde_json::from_str(&user).unwrap();
            assert_eq!((user.name.as_str(), user.rest.tags.as_str()), ("u", tags));
            assert!(serde_json::to_string(&user.rest).unwrap().contains(&format!(r#""tags":"{tags}""#)));
        }
    }

    #[test]
    fn a_user_without_a_password_keeps_no_other_from_being_read() {
        let users = r#"[{"name":"by_certificate","tags":[]},{"name":"u","password_hash":"h","hashing_algorithm":"a"}]"#;
        let users: Vec<Named<User>> = serde_json::from_str(users).unwrap();
        assert_eq!((users[0].rest.password_hash.as_str(), users[1].rest.password_hash.as_str()), ("", "h"));
    }
}
