//! What has happened, and what happens.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::ValueEnum;
use etl_shared::{
    TenantId,
    api::{EventPage, FleetEvent, Overview},
};
use miette::{IntoDiagnostic, Report};
use tokio::time::sleep;

use super::{Client, ClientError, Place, output};
use crate::clock::rfc3339;

mod line;
mod messages;

use messages::{Message, Messages};

/// Events of one request.
const PAGE: usize = 500;
/// Of what has happened, so many at most are shown.
const MOST: usize = 20_000;
/// Between two tries to reach a supervisor that is being restarted.
const AGAIN: Duration = Duration::from_secs(1);

/// `events`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Of this tenant only
    #[arg(value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Go on with what happens from now on, until Ctrl-C, also while the supervisor is restarted
    #[arg(short, long)]
    follow: bool,
    /// From how long ago on
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    since: Duration,
    /// How to show them
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// TIME  WORKER  FROM → TO  VERDICT  REASON
    Text,
    /// The API's own words, an event each line
    Json,
}

/// Shows events, the oldest first.
pub(super) async fn events(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    // Asked before the past: what happens in between is told at least once.
    let newest = if arguments.follow { newest(&client).await } else { None };
    let past = match past(&client, arguments).await {
        // What happens can be told even while nobody can look up what has happened.
        Err(error @ ClientError::Refused(_)) if arguments.follow => {
            output::remark(&format!("What has happened cannot be shown: {error}"));
            Vec::new()
        }
        past => past.into_diagnostic()?,
    };
    for event in &past {
        show(event, arguments.output)?;
    }
    if arguments.follow {
        follow(&client, arguments, past.last().map(|event| event.id).max(newest)).await?;
    } else if past.is_empty() {
        output::remark("Nothing has happened in this time.");
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest event; `None`: the supervisor cannot tell.
async fn newest(client: &Client) -> Option<u64> {
    let overview: Overview = client.get("/api/v1/admin/workers/overview?limit=1").await.ok()?;
    Some(overview.last_event_id)
}

async fn past(client: &Client, arguments: &Arguments) -> Result<Vec<FleetEvent>, ClientError> {
    let since = SystemTime::now().checked_sub(arguments.since).unwrap_or(SystemTime::UNIX_EPOCH);
    let tenant = arguments.tenant.map(|tenant| format!("&tenant_id={tenant}")).unwrap_or_default();
    let path = format!("/api/v1/admin/workers/history?limit={PAGE}&since={}{tenant}", rfc3339(since));
    let (mut events, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: EventPage = client.get(&format!("{path}{cursor}")).await?;
        events.extend(page.events);
        let Some(next) = page.next_cursor else { break };
        if events.len() >= MOST {
            output::remark(&format!("There are more than {MOST} events: only the newest are shown."));
            break;
        }
        cursor = format!("&cursor={next}");
    }
    events.reverse();
    Ok(events)
}

/// Until somebody interrupts it. Where the supervisor goes away, it is waited for.
async fn follow(client: &Client, arguments: &Arguments, mut last: Option<u64>) -> Result<(), Report> {
    let mut has_answered = false;
    loop {
        match follow_once(client, arguments, &mut last, &mut has_answered).await? {
            Ok(()) => {}
            Err(error @ (ClientError::Unreachable { .. } | ClientError::Broken(_) | ClientError::Silent)) => {
                if !has_answered {
                    return Err(error).into_diagnostic();
                }
            }
            Err(error) => return Err(error).into_diagnostic(),
        }
        sleep(AGAIN).await;
    }
}

/// Until the stream ends; the outer error is one of the terminal, the inner one of the stream.
async fn follow_once(
    client: &Client,
    arguments: &Arguments,
    last: &mut Option<u64>,
    has_answered: &mut bool,
) -> Result<Result<(), ClientError>, Report> {
    let tenant = arguments.tenant.map(|tenant| format!("&tenant_id={tenant}")).unwrap_or_default();
    let after = last.map(|last| format!("&last_event_id={last}")).unwrap_or_default();
    let mut pieces = match client.stream(&format!("/api/v1/admin/workers/events?rows=false{tenant}{after}")).await {
        Ok(pieces) => pieces,
        Err(error) => return Ok(Err(error)),
    };
    *has_answered = true;
    let mut messages = Messages::default();
    loop {
        match pieces.next().await {
            Ok(Some(piece)) => messages.add(&piece),
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
        while let Some(Message { id, kind, data }) = messages.next() {
            if kind == "reset" {
                output::remark(&format!("Some events may be missing: {data}"));
            } else if kind == "fleet" {
                let event = serde_json::from_str(&data).into_diagnostic()?;
                show(&event, arguments.output)?;
            }
            *last = id.or(*last);
        }
    }
}

fn show(event: &FleetEvent, form: Form) -> Result<(), Report> {
    match form {
        Form::Text => output::line(&line::line(event)),
        Form::Json => output::line(&serde_json::to_string(event).into_diagnostic()?),
    }
}
