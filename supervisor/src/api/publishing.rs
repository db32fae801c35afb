//! A connection to the broker for whoever publishes on a person's behalf.

use std::time::Duration;

use axum::http::StatusCode;
use etl_shared::{amqp, publish::Publisher};
use tokio::time;

use super::{Api, problem::Refusal};
use crate::{causes::in_one_line, settings::Broker};

/// How long connecting to the broker may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection of its own, with confirms; `what` publishes messages.
pub(super) async fn connect(api: &Api, what: &str) -> Result<Publisher, Refusal> {
    let refusal = |code, detail| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    let Some(broker) = &api.context.broker else {
        let detail = format!("{what} publishes messages, and no broker is configured: set [broker] url");
        return Err(refusal("broker_not_configured", detail));
    };
    connected(broker, what).await.map_err(|detail| refusal("broker_unavailable", detail))
}

async fn connected(broker: &Broker, what: &str) -> Result<Publisher, String> {
    let url = broker.own_url().map_err(|error| in_one_line(&error))?;
    let mut address = amqp::parse_url(&url).map_err(|error| error.to_string())?;
    // Whatever headers a worker could read can be written again: all of a message's must fit into one frame.
    address.uri.query.frame_max = Some(amqp::LARGE_FRAME_MAX);
    let shown = amqp::shown(&address.uri);
    match time::timeout(CONNECT_WITHIN, Publisher::connect(&address, &format!("etl-supervisor {what}"))).await {
        Ok(Ok(publisher)) => Ok(publisher),
        Ok(Err(error)) => Err(format!("the broker at {shown} cannot be used: {error}")),
        Err(_) => Err(format!("the broker at {shown} has not answered for {} seconds", CONNECT_WITHIN.as_secs())),
    }
}
