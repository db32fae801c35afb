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
/// What happened so long before the last word of a stream may have come after it.
const LATE: Duration = Duration::from_mins(1);
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
    let since = SystemTime::now().checked_sub(arguments.since).unwrap_or(SystemTime::UNIX_EPOCH);
    let past = match past(&client, arguments.tenant, since).await {
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
        let last = past.last().map(|event| event.id).max(newest);
        follow(&client, arguments, Heard { last, at: SystemTime::now(), has_answered: false }).await?;
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

async fn past(client: &Client, tenant: Option<TenantId>, since: SystemTime) -> Result<Vec<FleetEvent>, ClientError> {
    let tenant = tenant.map(|tenant| format!("&tenant_id={tenant}")).unwrap_or_default();
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

/// What has come of the streams so far.
struct Heard {
    /// The newest event.
    last: Option<u64>,
    /// When something came last.
    at: SystemTime,
    has_answered: bool,
}

/// Until somebody interrupts it. Where the supervisor goes away, it is waited for.
async fn follow(client: &Client, arguments: &Arguments, mut heard: Heard) -> Result<(), Report> {
    loop {
        match follow_once(client, arguments, &mut heard).await? {
            Ok(()) => {}
            Err(error @ (ClientError::Unreachable { .. } | ClientError::Broken(_) | ClientError::Silent)) => {
                if !heard.has_answered {
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
    heard: &mut Heard,
) -> Result<Result<(), ClientError>, Report> {
    let tenant = arguments.tenant.map(|tenant| format!("&tenant_id={tenant}")).unwrap_or_default();
    let after = heard.last.map(|last| format!("&last_event_id={last}")).unwrap_or_default();
    let mut pieces = match client.stream(&format!("/api/v1/admin/workers/events?rows=false{tenant}{after}")).await {
        Ok(pieces) => pieces,
        Err(error) => return Ok(Err(error)),
    };
    heard.has_answered = true;
    // The first message has an id and is no event: where it begins again with a later one, that is told next.
    let mut known = heard.last;
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
                if let (Some(known), Some(from_here)) = (known, id) {
                    caught_up(client, arguments, (known, from_here), heard.at).await?;
                }
            } else if kind == "fleet" {
                let event = serde_json::from_str(&data).into_diagnostic()?;
                show(&event, arguments.output)?;
            }
            if !kind.is_empty() {
                known = id.or(known);
            }
            heard.last = id.or(heard.last);
        }
        heard.at = SystemTime::now();
    }
}

/// Shows what is remembered between these two events, of which a stream could not say whether that is all.
async fn caught_up(
    client: &Client,
    arguments: &Arguments,
    (after, through): (u64, u64),
    heard_at: SystemTime,
) -> Result<(), Report> {
    let since = heard_at.checked_sub(LATE).unwrap_or(SystemTime::UNIX_EPOCH);
    match past(client, arguments.tenant, since).await {
        Ok(events) => {
            let missed = events.iter().filter(|event| after < event.id && event.id <= through);
            missed.into_iter().try_for_each(|event| show(event, arguments.output))
        }
        Err(error) => {
            output::remark(&format!("What has happened cannot be shown: {error}"));
            Ok(())
        }
    }
}

fn show(event: &FleetEvent, form: Form) -> Result<(), Report> {
    match form {
        Form::Text => output::line(&line::line(event)),
        Form::Json => output::line(&serde_json::to_string(event).into_diagnostic()?),
    }
}
