//! How a stream begins: with what the client has missed since the last event that it knows.

use std::{collections::BTreeMap, ops::RangeInclusive};

use axum::body::Bytes;
use etl_shared::TenantId;

use super::super::{Api, authorize::Caller};
use crate::{
    causes::in_one_line,
    history::{Entry, source},
    store::{StoreError, history::EventFilter},
};

/// Whoever has missed more loads everything again.
const MOST: usize = 5_000;
/// When a browser comes again after the stream has ended, in milliseconds.
const RETRY: &str = "retry: 2000\n";

/// The first piece of a stream.
pub(super) struct Opening {
    /// To be sent.
    pub(super) text: Vec<u8>,
    /// The last event that is in it, or that it passes over.
    pub(super) last: u64,
}

/// From now on, or behind the last event that the client knows.
pub(super) async fn open(api: &Api, caller: &Caller, only: Option<TenantId>, known: Option<u64>) -> Opening {
    let journal = &api.context.journal;
    let now = journal.last_id();
    // The id without an event: whoever comes again before anything has happened continues here.
    let from_now = |last: u64| format!("{RETRY}id: {last}\n\n").into_bytes();
    let Some(known) = known else { return Opening { text: from_now(now), last: now } };
    let missed = journal.missed(known, usize::MAX);
    let last = missed.entries.last().map_or(now, |entry| entry.id()).max(now);
    let recent = missed.entries.iter().filter(|entry| only.is_none() || entry.tenant() == only);
    let recent = recent.map(|entry| (entry.id(), entry.frame().clone()));
    let found = match missed.complete {
        true => Ok(recent.collect()),
        // In this order: what is no longer among the first is in the second or, being written, in the third.
        false if known > last => Err("this event is not known here".to_owned()),
        false => older(api, caller, only, known..=last).await.map(|mut older| {
            older.extend(recent);
            older
        }),
    };
    let mut text = from_now(last);
    match found {
        Ok(events) => {
            // The client's own place first, for the case that it has missed nothing of its own.
            text = from_now(known);
            for frame in events.values() {
                text.extend_from_slice(frame);
            }
        }
        Err(reason) => {
            let data = serde_json::json!({ "reason": reason });
            text.extend_from_slice(format!("event: reset\nid: {last}\ndata: {data}\n\n").as_bytes());
        }
    }
    Opening { text, last }
}

/// What has happened behind the first id up to the last, by id; or why that cannot be said. What happens while it is put together
/// comes with the stream, and must not come here too.
async fn older(
    api: &Api,
    caller: &Caller,
    only: Option<TenantId>,
    ids: RangeInclusive<u64>,
) -> Result<BTreeMap<u64, Bytes>, String> {
    let (journal, known, last) = (&api.context.journal, *ids.start(), *ids.end());
    let unwritten = journal.unwritten(usize::MAX);
    if journal.lost().1 > known {
        return Err("events behind this one were lost while the database took none".to_owned());
    }
    let Some(store) = &api.store else {
        return Err("this event is too old, and there is no database that would remember more".to_owned());
    };
    let source = source();
    let filter = EventFilter {
        source: Some(source.clone()),
        tenant: only,
        after: Some(known),
        before: Some(last + 1),
        ..EventFilter::default()
    };
    let reading = async {
        let session = store.session_for(caller.tenant()).await?;
        let reaches_back = session.remembers(known, &source).await?;
        let most = i64::try_from(MOST).unwrap_or(i64::MAX);
        Ok::<_, StoreError>((reaches_back, session.oldest_events(&filter, most).await?))
    };
    let (reaches_back, written) = reading.await.map_err(|error| {
        tracing::warn!(error = in_one_line(&error), "events that a client has missed cannot be read");
        "what has happened since this event cannot be read now".to_owned()
    })?;
    if !reaches_back {
        return Err("what has happened since this event is no longer remembered".to_owned());
    }
    if written.len() >= MOST {
        return Err(format!("more than {MOST} events were missed"));
    }
    let unwritten = unwritten
        .iter()
        .filter(|entry| entry.id() > known && entry.id() <= last && (only.is_none() || entry.tenant() == only));
    let unwritten = unwritten.map(|entry| (entry.id(), entry.frame().clone()));
    Ok(written.iter().map(|event| (event.id, Entry::of(event).frame().clone())).chain(unwritten).collect())
}
