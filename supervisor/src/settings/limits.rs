//! `[limits]`

use std::time::Duration;

use etl_shared::settings::unit;
use serde::{Deserialize, Deserializer, de::Error};

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// How often memory and processor time of every worker are read.
    #[serde(with = "unit::duration")]
    pub sample_every: Duration,
    /// What the soft memory limits of all workers together may come to, in bytes.
    #[serde(deserialize_with = "memory")]
    pub memory_budget: Budget,
    /// How many database connections all workers together may come to.
    #[serde(deserialize_with = "connections")]
    pub database_connections: Budget,
}

/// A sum that must not be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Nobody counts.
    Off,
    /// What the machine or the server has.
    Auto,
    /// So much.
    Of(u64),
}

impl Default for Limits {
    fn default() -> Self {
        Self { sample_every: Duration::from_mins(1), memory_budget: Budget::Off, database_connections: Budget::Off }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Budget, D::Error> {
    budget(deserializer, "a size such as \"3GiB\"", |text| text.parse::<bytesize::ByteSize>().ok().map(|size| size.0))
}

fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Budget, D::Error> {
    budget(deserializer, "a number", |text| text.parse().ok())
}

fn budget<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
    parse: impl Fn(&str) -> Option<u64>,
) -> Result<Budget, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(Budget::Of(number)),
        Written::Text(text) => match text.as_str() {
            "off" => Ok(Budget::Off),
            "auto" => Ok(Budget::Auto),
            text => parse(text)
                .map(Budget::Of)
                .ok_or_else(|| D::Error::custom(format!("{text:?}: write {expected}, \"auto\" or \"off\""))),
        },
    }
}
