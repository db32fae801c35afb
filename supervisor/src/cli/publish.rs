//! Publishes one message by hand, confirmed by the broker.

use std::{process::ExitCode, time::Duration};

use etl_shared::{QueueType, TenantId, TransformMessage, amqp, publish::Publisher};
use miette::{IntoDiagnostic, Report, WrapErr, miette};
use tokio::time;

use super::{Place, output};

/// How long connecting and publishing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `publish`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose raw document it is
    #[arg(long, value_name = "NUMBER")]
    tenant: TenantId,
    /// Which of the tenant's integrations it came from
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    integration: i64,
    /// The row that holds it
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    raw_data_id: i64,
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
    let message = TransformMessage {
        tenant_id: arguments.tenant,
        integration_id: arguments.integration,
        raw_data_id: Some(arguments.raw_data_id),
        kind: arguments.kind.clone(),
        extra: serde_json::Map::new(),
    };
    let exchange = async {
        let publisher = Publisher::connect(uri, "etl-supervisor publish").await.into_diagnostic();
        let publisher = publisher.wrap_err_with(|| format!("the broker at {shown} cannot be used"))?;
        publisher.publish(&queue, &message).await.into_diagnostic()
    };
    time::timeout(PATIENCE, exchange)
        .await
        .map_err(|_| miette!("the broker at {shown} has not answered for {} seconds", PATIENCE.as_secs()))??;
    output::line(&format!("published to {queue}, confirmed by the broker"))?;
    Ok(ExitCode::SUCCESS)
}
