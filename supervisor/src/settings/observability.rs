//! What others may see of the supervisor's work.

use serde::{Deserialize, Deserializer, de::Error};
use url::Url;

/// Name of the socket of [`super::Runtime::spans_socket`], beside the one on which workers say that they are ready.
pub const SPANS_SOCKET: &str = "spans.sock";

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// A collector that takes traces by OTLP over HTTP, without the path; `"off"`: nothing is exported.
    #[serde(deserialize_with = "endpoint")]
    pub otlp_endpoint: Option<String>,
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "off" {
        return Ok(None);
    }
    match Url::parse(&text) {
        // The collector stands on this machine or in its network; it is what speaks TLS to the world.
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(Some(text.trim_end_matches('/').to_owned())),
        _ => Err(D::Error::custom(format!(
            "{text:?} is no collector: write otlp_endpoint like \"http://127.0.0.1:4318\", or \"off\""
        ))),
    }
}

/// Who may read the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsAccess {
    /// Everybody who reaches the listener.
    #[default]
    Open,
    /// Bearers of an admin's token, and the unix socket.
    Admin,
}
