//! `[reconcile]`

use std::time::Duration;

use etl_shared::{QueueType, settings::unit};
use serde::{Deserialize, Deserializer, de::Error};

/// `[reconcile]`: what happens to raw rows whose message is missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Reconcile {
    /// A row that has been pending for longer, without a message in the queue, has one published; `"off"`: never.
    #[serde(deserialize_with = "duration_or_off")]
    pub after: Option<Duration>,
    /// How often such rows are looked for.
    #[serde(with = "unit::duration")]
    pub every: Duration,
    /// Most messages of one round.
    pub limit: usize,
    /// The kind of queue that raw rows are transformed from.
    pub queue_type: QueueType,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            after: Some(Duration::from_hours(1)),
            every: Duration::from_mins(5),
            limit: 1_000,
            // A constant that is certainly one.
            queue_type: "transform".parse().unwrap_or_else(|_| unreachable!()),
        }
    }
}

fn duration_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "off" => Ok(None),
        text => humantime::parse_duration(text)
            .map(Some)
            .map_err(|_| D::Error::custom(format!("{text:?} is no duration: write it like \"1h\", or \"off\""))),
    }
}
