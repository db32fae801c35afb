//! Publishes messages by hand, each confirmed by the broker: those of a row or a range of rows, or one for each line of a file.

use std::{env, ops::RangeInclusive, path::PathBuf, process::ExitCode, time::Duration};

use etl_shared::{
    QueueType, TenantId, TransformMessage, amqp,
    publish::Publisher,
    trace::{Origin, TRACEPARENT, TRACESTATE, is_correlation_id},
};
use miette::{IntoDiagnostic, Report, WrapErr, miette};
use tokio::time;

use super::{Place, output, progress::Progress};
use crate::correlation;

mod lines;
mod pack;

use pack::{Message, Pack};

/// How long connecting, and the confirms of the messages that are under way, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most messages of one call with a range: beyond this it is a typing error.
const MOST: i64 = 10_000_000;

/// `publish`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose raw document it is
    #[arg(long, value_name = "NUMBER", required_unless_present = "from")]
    tenant: Option<TenantId>,
    /// Which of the tenant's integrations it came from
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..), required_unless_present = "from")]
    integration: Option<i64>,
    /// The row that holds it; FIRST..LAST, both included, publishes a message for each
    #[arg(long, value_name = "NUMBER", value_parser = rows, required_unless_present = "from")]
    raw_data_id: Option<RangeInclusive<i64>>,
    /// Its data type, such as `jira_custom_fields`
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "from")]
    kind: Option<String>,
    /// Messages from a file, a JSON object a line, each to the queue of its tenant; - is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tenant", "integration", "raw_data_id", "kind"])]
    from: Option<PathBuf>,
    /// Leave out lines that are no messages, instead of stopping at the first; the command still fails
    #[arg(long, requires = "from")]
    skip_bad: bool,
    /// Only look at the lines; publish nothing
    #[arg(long, requires = "from")]
    check: bool,
    /// The id by which the worker's log lines about them are found; without it, one is made up
    #[arg(long, value_name = "ID", value_parser = correlation_id)]
    correlation_id: Option<String>,
    /// The kind of queue it goes to
    #[arg(long, value_name = "TYPE", default_value = "transform")]
    queue_type: QueueType,
}

/// Publishes and waits for the confirms.
pub(super) async fn publish(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    if let Some(file) = &arguments.from {
        let publisher = if arguments.check { None } else { Some(connect(place).await?) };
        let origin = origin(arguments);
        let options = lines::Options { queue_type: &arguments.queue_type, skip_bad: arguments.skip_bad, origin };
        return lines::publish(publisher, file, options).await;
    }
    let (Some(tenant_id), Some(integration_id), Some(rows), Some(kind)) =
        (arguments.tenant, arguments.integration, &arguments.raw_data_id, &arguments.kind)
    else {
        return Err(miette!("name the message with --tenant, --integration, --raw-data-id and --type, or use --from"));
    };
    let publisher = connect(place).await?;
    let queue = arguments.queue_type.queue_of(tenant_id).to_string();
    let mut progress = Progress::new("publishing", u64::try_from(rows.end() - rows.start() + 1).ok());
    let origin = origin(arguments);
    let id = origin.correlation_id.clone().unwrap_or_default();
    let (mut pack, mut confirmed) = (Pack::from(origin), 0);
    for row in rows.clone() {
        let (raw_data_id, kind, extra) = (Some(row), kind.clone(), serde_json::Map::new());
        let message = TransformMessage { tenant_id, integration_id, raw_data_id, kind, extra };
        pack.push(Message { place: row, queue: queue.clone(), body: message.encode() });
        if pack.is_full() || row == *rows.end() {
            let sent = pack.send(&publisher).await;
            progress.add(sent.confirmed as u64);
            confirmed += sent.confirmed;
            if let Some((row, why)) = sent.failed.into_iter().next() {
                drop(progress);
                return Err(why)
                    .wrap_err(format!("stopped at row {row}; earlier ones are in {queue}, later ones may be"));
            }
        }
    }
    drop(progress);
    publisher.close().await;
    let messages = if confirmed == 1 { "message" } else { "messages" };
    output::line(&format!(
        "published {confirmed} {messages} to {queue}, confirmed by the broker (correlation id {id})"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Of everything that this command publishes. A trace that the caller is in, as its environment says, goes on.
fn origin(arguments: &Arguments) -> Origin {
    let variable = |name: &str| env::var(name.to_ascii_uppercase()).ok();
    let (parent, state) = (variable(TRACEPARENT), variable(TRACESTATE));
    let named = Origin::read(|name| match name {
        TRACEPARENT => parent.as_deref(),
        TRACESTATE => state.as_deref(),
        _ => None,
    });
    let fresh = correlation::fresh_origin();
    let correlation_id = arguments.correlation_id.clone().or(fresh.correlation_id);
    Origin { correlation_id, trace: named.trace.or(fresh.trace), state: named.state }
}

fn correlation_id(text: &str) -> Result<String, String> {
    if is_correlation_id(text) {
        Ok(text.to_owned())
    } else {
        Err("an id has 1 to 64 characters out of A-Z a-z 0-9 . _ -".to_owned())
    }
}

async fn connect(place: &Place) -> Result<Publisher, Report> {
    let settings = place.settings()?;
    let Some(broker) = &settings.broker else {
        return Err(miette!("no broker is configured: set [broker] url in {}", place.path().display()));
    };
    let address = amqp::parse_url(&broker.own_url().into_diagnostic()?).into_diagnostic()?;
    let shown = amqp::shown(&address.uri);
    let late = || miette!("the broker at {shown} has not answered for {} seconds", PATIENCE.as_secs());
    let connected = time::timeout(PATIENCE, Publisher::connect(&address, "etl-supervisor publish")).await;
    let publisher = connected.map_err(|_| late())?.into_diagnostic();
    publisher.wrap_err_with(|| format!("the broker at {shown} cannot be used"))
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
