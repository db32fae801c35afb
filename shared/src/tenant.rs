//! A tenant's number.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A positive 64-bit integer that names a tenant, as in `tenants.id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct TenantId(i64);

/// The number is not one that a tenant can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a tenant id: expected a whole number from 1 to 9223372036854775807")]
pub struct InvalidTenantId(String);

impl TenantId {
    /// The number as PostgreSQL's `bigint`.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for TenantId {
    type Error = InvalidTenantId;

    fn try_from(id: i64) -> Result<Self, Self::Error> {
        if id > 0 { Ok(Self(id)) } else { Err(InvalidTenantId(id.to_string())) }
    }
}

impl From<TenantId> for i64 {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenantId;

    /// Digits only and no leading zero, so that every tenant has exactly one spelling in names of queues and files.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        let id = if canonical { text.parse().ok() } else { None };
        id.filter(|id| *id > 0).map(Self).ok_or_else(|| InvalidTenantId(text.to_owned()))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_canonical_spelling_of_a_positive_number_is_a_tenant() {
        assert_eq!("7".parse::<TenantId>().unwrap().get(), 7);
        assert_eq!("9223372036854775807".parse::<TenantId>().unwrap().get(), i64::MAX);
        for wrong in ["", "0", "-1", "+1", "07", "1.0", " 1", "9223372036854775808", "seven"] {
            assert!(wrong.parse::<TenantId>().is_err(), "{wrong:?} was taken for a tenant");
        }
        assert!(serde_json::from_str::<TenantId>("0").is_err());
        assert!(serde_json::from_str::<TenantId>("\"7\"").is_err());
    }
}
