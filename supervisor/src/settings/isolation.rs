//! `[isolation]`

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};

/// `[isolation]`: what keeps workers apart on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Isolation {
    /// A user id for each tenant.
    pub users: Wish,
    /// Where those ids are taken from.
    #[serde(deserialize_with = "range")]
    pub uid_range: UidRange,
    /// Landlock: a worker sees only what it needs of the file system.
    pub filesystem: Wish,
    /// A control group for each worker.
    pub cgroups: Wish,
}

/// How much somebody wants something that the machine may not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Where it is possible; the status says where it is not.
    #[default]
    Auto,
    /// No worker is started without it.
    Required,
    /// Never.
    Off,
}

/// User ids, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    /// The smallest.
    pub first: u32,
    /// The largest.
    pub last: u32,
}

impl Default for Isolation {
    fn default() -> Self {
        Self {
            users: Wish::Auto,
            uid_range: UidRange { first: 400_000, last: 449_999 },
            filesystem: Wish::Auto,
            cgroups: Wish::Auto,
        }
    }
}

impl fmt::Display for UidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

impl FromStr for UidRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no range of user ids: write it like \"400000..449999\", both ends included");
        let (first, last) = text.split_once("..").ok_or_else(wrong)?;
        let range = Self { first: first.parse().map_err(|_| wrong())?, last: last.parse().map_err(|_| wrong())? };
        if range.first > range.last { Err(wrong()) } else { Ok(range) }
    }
}

fn range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UidRange, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
