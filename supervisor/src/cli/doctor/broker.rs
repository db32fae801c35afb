//! The broker: reachable, and every tenant's queue there and safe.

use std::{collections::BTreeSet, time::Duration};

use etl_shared::{QueueName, TenantId, amqp};
use lapin::{
    Channel, Connection, Error, ErrorKind,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use miette::IntoDiagnostic;
use tokio::time;

use super::backstop;
use crate::{
    cli::finding::{Finding, in_one_line},
    settings::{Broker, Settings},
};

/// How long connecting may take, and every question after it.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// So many queues of a kind are named; the rest is counted.
pub(super) const NAMED: usize = 5;

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const PRECONDITION_FAILED: u16 = 406;

/// What a queue turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    Durable,
    /// It exists; more may not be asked with this account.
    Exists,
    Missing,
    /// A restart of the broker loses it with its messages.
    Transient,
    /// It belongs to one connection and ends with it.
    Exclusive,
}

/// What was found.
pub(super) async fn look(settings: &Settings, tenants: &[TenantId]) -> Vec<Finding> {
    let Some(broker) = &settings.broker else { return Vec::new() };
    let (connection, mut findings) = match connect(broker).await {
        Ok((connection, shown)) => (connection, vec![Finding::ok("broker", format!("{shown} answers"))]),
        Err(detail) => {
            let advice = "start it, or correct [broker] url and password_file";
            return vec![Finding::fail("broker", detail, advice)];
        }
    };
    let queues = settings.queues.keys().flat_map(|kind| tenants.iter().map(|tenant| kind.queue_of(*tenant)));
    let names: BTreeSet<String> = queues.clone().map(|queue| queue.to_string()).collect();
    match examine(&connection, queues).await {
        Ok(examined) => findings.extend(summary(&examined)),
        Err(detail) => findings.push(Finding::fail("queues", detail, "see the broker's log")),
    }
    let _ = connection.close(200, "done".into()).await;
    findings.extend(backstop::look(broker, &names).await);
    findings
}

async fn connect(broker: &Broker) -> Result<(Connection, String), String> {
    let url = broker.own_url().into_diagnostic().map_err(|report| in_one_line(&report))?;
    let address = amqp::parse_url(&url).map_err(|error| error.to_string())?;
    let shown = amqp::shown(&address.uri);
    match time::timeout(PATIENCE, address.connect("etl-supervisor doctor")).await {
        Ok(Ok(connection)) => Ok((connection, shown)),
        Ok(Err(error)) => Err(format!("{shown}: {error}")),
        Err(_) => Err(format!("{shown} has not answered for {} seconds", PATIENCE.as_secs())),
    }
}

async fn examine(
    connection: &Connection,
    queues: impl Iterator<Item = QueueName>,
) -> Result<Vec<(QueueName, Condition)>, String> {
    let mut channel = None;
    let mut examined = Vec::new();
    for queue in queues {
        let condition = time::timeout(PATIENCE, condition(connection, &mut channel, &queue)).await;
        let condition = condition.map_err(|_| format!("{queue}: no answer for {} seconds", PATIENCE.as_secs()))?;
        examined.push((queue.clone(), condition.map_err(|error| format!("{queue}: {error}"))?));
    }
    Ok(examined)
}

async fn condition(
    connection: &Connection,
    channel: &mut Option<Channel>,
    queue: &QueueName,
) -> Result<Condition, Error> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match declare(connection, channel, queue, passive, FieldTable::default()).await {
        Ok(()) => {}
        Err(error) => {
            return match refusal(&error) {
                Some((NOT_FOUND, _)) => Ok(Condition::Missing),
                Some((RESOURCE_LOCKED, _)) => Ok(Condition::Exclusive),
                Some((ACCESS_REFUSED, _)) => Ok(Condition::Exists),
                _ => Err(error),
            };
        }
    }
    // The protocol has no question for this. A declaration with a type that does not exist never makes a queue and never
    // succeeds, and of what differs the broker names durability first.
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("never".into()));
    match declare(connection, channel, queue, durable, arguments).await {
        // A broker that is lenient about redeclaration is so for quorum queues, which are always durable.
        Ok(()) => Ok(Condition::Durable),
        Err(error) => match refusal(&error) {
            Some((PRECONDITION_FAILED, words)) if words.contains("'durable'") => Ok(Condition::Transient),
            Some((PRECONDITION_FAILED, words)) if words.contains("inequivalent") => Ok(Condition::Durable),
            Some((PRECONDITION_FAILED | ACCESS_REFUSED, _)) => Ok(Condition::Exists),
            Some((NOT_FOUND, _)) => Ok(Condition::Missing),
            _ => Err(error),
        },
    }
}

/// Every refusal closes the channel, so that the next question needs a new one.
async fn declare(
    connection: &Connection,
    channel: &mut Option<Channel>,
    queue: &QueueName,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<(), Error> {
    let open = match channel.take() {
        Some(open) => open,
        None => connection.create_channel().await?,
    };
    open.queue_declare(queue.to_string().into(), options, arguments).await?;
    *channel = Some(open);
    Ok(())
}

fn refusal(error: &Error) -> Option<(u16, String)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().to_string())),
        _ => None,
    }
}

fn summary(examined: &[(QueueName, Condition)]) -> Vec<Finding> {
    let mut conditions: Vec<_> = examined.iter().map(|(_, condition)| *condition).collect();
    conditions.sort_unstable();
    conditions.dedup();
    if conditions.is_empty() {
        return vec![Finding::ok("queues", "no tenants, so none is needed")];
    }
    let finding = |condition| {
        let names: Vec<_> =
            examined.iter().filter(|(_, found)| *found == condition).map(|(queue, _)| queue.to_string()).collect();
        let more = if names.len() > NAMED { ", …" } else { "" };
        let some = format!("{} ({}{more})", names.len(), names[..names.len().min(NAMED)].join(", "));
        match condition {
            Condition::Durable => Finding::ok("queues", format!("durable: {some}")),
            Condition::Exists => {
                let advice = "this account may not ask further: look with `rabbitmqctl list_queues name durable`";
                Finding::warn("queues", format!("there, durability unknown: {some}"), advice)
            }
            Condition::Missing => {
                let advice =
                    "the supervisor creates a queue when it starts the tenant's worker; it has not done so yet";
                Finding::warn("queues", format!("missing: {some}"), advice)
            }
            Condition::Transient => {
                let advice =
                    "a restart of the broker loses these: let them run empty, delete them, start the workers again";
                Finding::fail("queues", format!("not durable: {some}"), advice)
            }
            Condition::Exclusive => {
                let advice = "another connection owns these alone: find out whose it is and delete them";
                Finding::fail("queues", format!("exclusive: {some}"), advice)
            }
        }
    };
    conditions.into_iter().map(finding).collect()
}
