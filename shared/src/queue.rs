//! Names of queues.
//!
//! `{type}_queue_tenant_{id}` belongs to one tenant, `{type}_queue` is the global queue of an older deployment, and any
//! other name is consumed as it is; but one that looks like a tenant's and is not is refused.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::TenantId;

const TENANT_MARK: &str = "_queue_tenant_";
const GLOBAL_MARK: &str = "_queue";

/// What kind of work a queue carries, such as `transform`: `[a-z][a-z0-9_]*`, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueType(Arc<str>);

/// The word is not a queue type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a queue type: expected a lower-case letter, then lower-case letters, digits or underscores, at most 64 in all"
)]
pub struct InvalidQueueType(String);

/// The text cannot name a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a queue name: expected 1 to 255 bytes without control characters, and of a tenant exactly TYPE_queue_tenant_ID, such as transform_queue_tenant_7"
)]
pub struct InvalidQueueName(String);

impl QueueType {
    /// The word itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The queue of one tenant.
    pub fn queue_of(&self, tenant: TenantId) -> QueueName {
        QueueName::Tenant { queue_type: self.clone(), tenant }
    }
}

impl FromStr for QueueType {
    type Err = InvalidQueueType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            // Such a type could not be told from the tenant part that follows it.
            && !text.contains("_queue_tenant_")
            && !text.ends_with("_queue");
        if valid { Ok(Self(text.into())) } else { Err(InvalidQueueType(text.to_owned())) }
    }
}

impl TryFrom<String> for QueueType {
    type Error = InvalidQueueType;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<QueueType> for String {
    fn from(queue_type: QueueType) -> Self {
        queue_type.0.as_ref().to_owned()
    }
}

impl fmt::Display for QueueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A queue, and what its name says about who may be served from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QueueName {
    /// Messages of one tenant only.
    Tenant {
        /// The kind of work.
        queue_type: QueueType,
        /// Whose messages it carries.
        tenant: TenantId,
    },
    /// `{type}_queue`: messages of every tenant, from before there was a queue for each.
    Global {
        /// The kind of work.
        queue_type: QueueType,
    },
    /// Any other name: messages of every tenant.
    Other(Box<str>),
}

impl QueueName {
    /// The only tenant whose messages this queue may carry; `None` where it serves all of them.
    pub const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Tenant { tenant, .. } => Some(*tenant),
            Self::Global { .. } | Self::Other(_) => None,
        }
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            return Err(InvalidQueueName(text.to_owned()));
        }
        if let Some((kind, id)) = text.rsplit_once(TENANT_MARK)
            && let (Ok(queue_type), Ok(tenant)) = (kind.parse(), id.parse())
        {
            return Ok(Self::Tenant { queue_type, tenant });
        }
        // One that was meant for a tenant and is misspelt must not serve everybody.
        if text.contains(TENANT_MARK) {
            return Err(InvalidQueueName(text.to_owned()));
        }
        if let Some(kind) = text.strip_suffix(GLOBAL_MARK)
            && let Ok(queue_type) = kind.parse()
        {
            return Ok(Self::Global { queue_type });
        }
        Ok(Self::Other(text.into()))
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant { queue_type, tenant } => write!(f, "{queue_type}{TENANT_MARK}{tenant}"),
            Self::Global { queue_type } => write!(f, "{queue_type}{GLOBAL_MARK}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whom_it_serves_and_prints_as_it_was_read() {
        for (text, tenant) in [
            ("transform_queue_tenant_7", Some(7)),
            ("jira_sync_2_queue_tenant_11", Some(11)),
            ("transform_queue", None),
            ("anything else", None),
        ] {
            let name: QueueName = text.parse().unwrap();
            assert_eq!(name.tenant().map(TenantId::get), tenant, "{text}");
            assert_eq!(name.to_string(), text);
        }
        assert!("".parse::<QueueName>().is_err());
        assert!("a\nb".parse::<QueueName>().is_err());
    }

    #[test]
    fn a_misspelt_queue_of_a_tenant_serves_nobody() {
        for wrong in
            ["transform_queue_tenant_07", "transform_queue_tenant_", "Transform_queue_tenant_7", "a_queue_tenant_x"]
        {
            assert!(wrong.parse::<QueueName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_type_can_never_be_confused_with_the_rest_of_a_queue_name() {
        for wrong in ["", "Transform", "7up", "a-b", "a_queue_tenant_1", "a_queue", "a b"] {
            assert!(wrong.parse::<QueueType>().is_err(), "{wrong:?}");
        }
        assert_eq!("transform".parse::<QueueType>().unwrap().as_str(), "transform");
    }
}
