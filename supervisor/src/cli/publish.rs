//! Publishes messages by hand, each confirmed by the broker.

use std::{ops::RangeInclusive, process::ExitCode, time::Duration};

use etl_shared::{QueueType, TenantId, TransformMessage, amqp, publish::Publisher};
use futures_util::{StreamExt, TryStreamExt, stream};
use miette::{IntoDiagnostic, Report, WrapErr, miette};
use tokio::time;

use super::{Place, output};

/// How long connecting, and the confirmation of each message, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many messages may be on their way at once.
const UNCONFIRMED: usize = 64;
/// Most messages of one call: beyond this it is a typing error.
const MOST: i64 = 10_000_000;

/// `publish`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose raw document it is
    #[arg(long, value_name = "NUMBER")]
    tenant: TenantId,
    /// Which of the tenant's integrations it came from
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    integration: i64,
    /// The row that holds it; FIRST..LAST, both included, publishes a message for each
    #[arg(long, value_name = "NUMBER", value_parser = rows)]
    raw_data_id: RangeInclusive<i64>,
    /// Its data type, such as `jira_custom_fields`
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// The kind of queue it goes to
    #[arg(long, value_name = "TYPE", default_value = "transform")]
    queue_type: QueueType,
}

/// Publishes and waits for the confirm.
pub(super) async fn publish(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let settings = place.settings()?;
    let Some(broker) = &settings.broker else {
        return Err(miette!("no broker is configured: set [broker] url in {}", place.path().display()));
    };
    let uri = amqp::parse_url(&broker.own_url().into_diagnostic()?).into_diagnostic()?;
    let shown = amqp::shown(&uri);
    let queue = arguments.queue_type.queue_of(arguments.tenant);
    let message = |row| TransformMessage {
        tenant_id: arguments.tenant,
        integration_id: arguments.integration,
        raw_data_id: Some(row),
        kind: arguments.kind.clone(),
        extra: serde_json::Map::new(),
    };
    let late = || miette!("the broker at {shown} has not answered for {} seconds", PATIENCE.as_secs());
    let connected = time::timeout(PATIENCE, Publisher::connect(uri, "etl-supervisor publish")).await;
    let publisher = connected.map_err(|_| late())?.into_diagnostic();
    let publisher = publisher.wrap_err_with(|| format!("the broker at {shown} cannot be used"))?;
    let sent = stream::iter(arguments.raw_data_id.clone()).map(async |row| {
        let confirmed = time::timeout(PATIENCE, publisher.publish(&queue, &message(row))).await;
        confirmed
            .map_err(|_| late())?
            .into_diagnostic()
            .wrap_err_with(|| format!("stopped at row {row}; earlier ones are in {queue}, later ones may be"))
    });
    let confirmed = sent.buffered(UNCONFIRMED).try_fold(0_u64, async |count, ()| Ok(count + 1)).await?;
    let messages = if confirmed == 1 { "message" } else { "messages" };
    output::line(&format!("published {confirmed} {messages} to {queue}, confirmed by the broker"))?;
    Ok(ExitCode::SUCCESS)
}

/// `7`, or `7..500` with both ends.
fn rows(text: &str) -> Result<RangeInclusive<i64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.parse::<i64>(), last.parse::<i64>()) {
        (Ok(first), Ok(last)) if first >= 1 && first <= last && last - first < MOST => Ok(first..=last),
        _ => Err("write a row's number, such as 7, or the first and the last of several: 7..500".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_or_a_range_of_rows_can_be_named() {
        assert_eq!(rows("7"), Ok(7..=7));
        assert_eq!(rows("7..500"), Ok(7..=500));
        for wrong in ["", "0", "-1", "x", "5..4", "0..3", "1..", "1..9999999999"] {
            assert!(rows(wrong).is_err_and(|said| said.contains("7..500")), "{wrong}");
        }
    }
}
