//! How a stream begins: with what the client has missed since the last event that it knows.

use std::{
    collections::{BTreeMap, btree_map::IntoValues},
    ops::RangeInclusive,
    time::Duration,
};

use axum::body::Bytes;
use etl_shared::TenantId;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

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
/// Events of one piece at most.
pub(super) const PIECE: usize = 256;
/// Clients for whom events of the database are held, about two megabytes each.
static BACKLOGS: Semaphore = Semaphore::const_new(16);
/// How long one of them is waited for.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// And how long a client may take to be handed everything that is held for it.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// The beginning of a stream.
pub(super) struct Opening {
    /// To be sent first.
    pub(super) text: Vec<u8>,
    /// To be sent next; it ends with the event `last`, or earlier.
    pub(super) backlog: Option<Backlog>,
    /// The stream goes on behind this event.
    pub(super) last: u64,
}

/// What one client has missed and is not in memory for everybody.
pub(super) struct Backlog {
    frames: IntoValues<u64, Bytes>,
    take_until: Instant,
    _turn: SemaphorePermit<'static>,
}

/// The client has not taken what it was handed.
pub(super) struct TooSlow;

impl Backlog {
    fn new(frames: BTreeMap<u64, Bytes>, turn: SemaphorePermit<'static>) -> Self {
        Self { frames: frames.into_values(), take_until: Instant::now() + TAKEN_WITHIN, _turn: turn }
    }

    /// The next piece; `None`: that was all.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, TooSlow> {
        if self.take_until <= Instant::now() {
            return Err(TooSlow);
        }
        let mut piece = Vec::new();
        self.frames.by_ref().take(PIECE).for_each(|frame| piece.extend_from_slice(&frame));
        Ok((!piece.is_empty()).then(|| piece.into()))
    }
}

/// Why it cannot be said what a client has missed.
struct Unknown {
    reason: String,
    /// What has happened behind this event is known, though.
    until: Option<u64>,
}

impl From<String> for Unknown {
    fn from(reason: String) -> Self {
        Self { reason, until: None }
    }
}

/// From now on, or behind the last event that the client knows.
pub(super) async fn open(api: &Api, caller: &Caller, only: Option<TenantId>, known: Option<u64>) -> Opening {
    let journal = &api.context.journal;
    let now = journal.last_id();
    // The id without an event: whoever comes again before anything has happened continues here.
    let from_now = |last: u64| format!("{RETRY}id: {last}\n\n").into_bytes();
    let Some(known) = known else { return Opening { text: from_now(now), backlog: None, last: now } };
    // It is read from memory as the client takes it, like everything that comes later.
    if journal.missed(known, 0).complete {
        return Opening { text: from_now(known), backlog: None, last: known };
    }
    let found = if known > now {
        Err(Unknown::from("this event is not known here".to_owned()))
    } else {
        older(api, caller, only, known..=now).await
    };
    match found {
        // The client's own place first, for the case that it has missed nothing of its own.
        Ok(backlog) => Opening { text: from_now(known), backlog: Some(backlog), last: now },
        Err(Unknown { reason, until }) => {
            let last = until.filter(|until| journal.missed(*until, 0).complete).unwrap_or(now);
            let data = serde_json::json!({ "reason": reason });
            let mut text = from_now(last);
            text.extend_from_slice(format!("event: reset\nid: {last}\ndata: {data}\n\n").as_bytes());
            Opening { text, backlog: None, last }
        }
    }
}

/// What has happened behind the first id up to the last; or why that cannot be said. What happens while it is put together comes
/// with the stream, and must not come here too.
async fn older(
    api: &Api,
    caller: &Caller,
    only: Option<TenantId>,
    ids: RangeInclusive<u64>,
) -> Result<Backlog, Unknown> {
    let (journal, known, last) = (&api.context.journal, *ids.start(), *ids.end());
    let nothing_lost = || match journal.lost() {
        (_, newest) if newest > known => {
            let reason = "events behind this one may be missing: the database had not taken all of them".to_owned();
            Err(Unknown { reason, until: Some(newest) })
        }
        _ => Ok(()),
    };
    nothing_lost()?;
    let Some(store) = &api.store else {
        return Err("this event is too old, and there is no database that would remember more".to_owned().into());
    };
    let Ok(Ok(turn)) = timeout(TURN_WITHIN, BACKLOGS.acquire()).await else {
        return Err("too many clients ask for what they have missed".to_owned().into());
    };
    // In this order: what is no longer in memory, or is written meanwhile, is in the database by the time that it is asked.
    let recent = journal.missed(known, usize::MAX).entries.into_iter().chain(journal.unwritten(usize::MAX));
    let recent: Vec<_> = recent
        .filter(|entry| entry.id() > known && entry.id() <= last && (only.is_none() || entry.tenant() == only))
        .collect();
    nothing_lost()?;
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
        return Err("what has happened since this event is no longer remembered".to_owned().into());
    }
    if written.len() >= MOST {
        return Err(format!("more than {MOST} events were missed").into());
    }
    let written = written.iter().map(|event| (event.id, Entry::of(event).frame().clone()));
    let recent = recent.iter().map(|entry| (entry.id(), entry.frame().clone()));
    Ok(Backlog::new(written.chain(recent).collect(), turn))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn backlog(events: u64) -> Backlog {
        let frames = (0..events).map(|id| (id, Bytes::from(format!("{id}\n")))).collect();
        Backlog::new(frames, BACKLOGS.acquire().await.unwrap())
    }

    #[tokio::test]
    async fn a_backlog_is_handed_out_in_pieces_and_in_order() {
        let mut backlog = backlog(600).await;
        let pieces: Vec<Bytes> = std::iter::from_fn(|| backlog.next().ok().flatten()).collect();
        let lines = |piece: &Bytes| piece.split(|byte| *byte == b'\n').count() - 1;
        assert_eq!(pieces.iter().map(lines).collect::<Vec<_>>(), [256, 256, 88]);
        let numbers = String::from_utf8(pieces.concat()).unwrap();
        assert!(numbers.lines().map(|number| number.parse::<u64>().unwrap()).eq(0..600), "{numbers}");
    }

    #[tokio::test]
    async fn a_client_that_takes_its_backlog_slowly_holds_it_for_a_while_only() {
        let mut backlog = backlog(600).await;
        assert!(backlog.next().is_ok());
        backlog.take_until = Instant::now();
        assert!(backlog.next().is_err());
    }
}
