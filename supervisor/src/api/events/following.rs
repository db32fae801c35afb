//! One client that follows: it is handed what is new when it has taken what was handed to it before, and nothing is kept for it.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use etl_shared::TenantId;
use tokio::{
    sync::{broadcast, watch},
    time::{self, Instant},
};

use super::{
    super::Api,
    Caller,
    resume::{Backlog, Opening, PIECE, TooSlow},
};
use crate::{api::overview::Rows, history::Missed};

/// A sign of life.
const BEAT: &str = ": beat\n\n";
/// How often one is given.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// How soon a stream ends after its token was revoked, at the latest.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Events come one by one to a quiet stream; in a busy one those of this time go out together: with hundreds of clients it is the
/// writes that cost, not the events.
const GATHER: Duration = Duration::from_millis(80);

/// The stream's state.
pub(super) struct Following {
    api: Arc<Api>,
    caller: Caller,
    only: Option<TenantId>,
    rows: Option<broadcast::Receiver<Arc<Rows>>>,
    news: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    opening: Option<Vec<u8>>,
    backlog: Option<Backlog>,
    /// The last event that was handed out or passed over.
    last: u64,
    gathered_at: Instant,
    beat_at: Instant,
}

/// The client has fallen so far behind that what it has missed is not in memory any more.
struct Gone;

enum Woken {
    News,
    Rows(Result<Arc<Rows>, broadcast::error::RecvError>),
    Clock,
    Ended,
}

impl Following {
    pub(super) fn new(
        api: Arc<Api>,
        caller: Caller,
        only: Option<TenantId>,
        rows: Option<broadcast::Receiver<Arc<Rows>>>,
        opening: Opening,
    ) -> Self {
        let (news, stopping) = (api.context.journal.listen(), api.stopping.clone());
        let now = Instant::now();
        Self {
            api,
            caller,
            only,
            rows,
            news,
            stopping,
            last: opening.last,
            opening: Some(opening.text),
            backlog: opening.backlog,
            gathered_at: now,
            beat_at: now + BEAT_EVERY,
        }
    }

    /// The next piece; `None`: the stream ends. What it ends without having told, the client asks for when it comes again.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening.into());
        }
        while let Some(backlog) = &mut self.backlog {
            if *self.stopping.borrow() || !self.api.still_knows(&self.caller) {
                return None;
            }
            match backlog.next() {
                Ok(Some(piece)) => return Some(piece),
                // It is not held any longer than it is needed.
                Ok(None) => self.backlog = None,
                Err(TooSlow) => return None,
            }
        }
        loop {
            let woken = self.wait().await;
            if matches!(woken, Woken::Ended) || *self.stopping.borrow() || !self.api.still_knows(&self.caller) {
                return None;
            }
            let piece = match woken {
                Woken::News => match self.events() {
                    Ok(piece) => piece,
                    Err(Gone) => return None,
                },
                Woken::Rows(rows) => rows.ok()?.of(self.only),
                Woken::Clock if self.beat_at <= Instant::now() => Some(BEAT.into()),
                Woken::Clock | Woken::Ended => None,
            };
            if let Some(piece) = piece {
                self.beat_at = Instant::now() + BEAT_EVERY;
                return Some(piece);
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let look_at = self.beat_at.min(Instant::now() + ASK_AGAIN);
        let rows = async {
            match &mut self.rows {
                Some(rows) => rows.recv().await,
                None => std::future::pending().await,
            }
        };
        let (gathered_at, last, news) = (self.gathered_at, self.last, &mut self.news);
        let news = async {
            // Not only what is new to this receiver: whatever woke it before may have kept it from telling.
            while *news.borrow() <= last {
                news.changed().await?;
            }
            time::sleep_until(gathered_at).await;
            Ok::<_, watch::error::RecvError>(())
        };
        tokio::select! {
            changed = news => if changed.is_ok() { Woken::News } else { Woken::Ended },
            rows = rows => Woken::Rows(rows),
            () = time::sleep_until(look_at) => Woken::Clock,
            _ = self.stopping.wait_for(|stopping| *stopping) => Woken::Ended,
        }
    }

    /// What is new, if the client may see any of it.
    fn events(&mut self) -> Result<Option<Bytes>, Gone> {
        let Missed { entries, complete } = self.api.context.journal.missed(self.last, PIECE);
        if !complete {
            return Err(Gone);
        }
        // Where there is more already, there is nothing to wait for.
        if entries.len() < PIECE {
            self.gathered_at = Instant::now() + GATHER;
        }
        self.last = entries.last().map_or(self.last, |entry| entry.id());
        let mut seen = entries.iter().filter(|entry| self.only.is_none() || entry.tenant() == self.only);
        let Some(first) = seen.next() else { return Ok(None) };
        let Some(second) = seen.next() else { return Ok(Some(first.frame().clone())) };
        let mut piece = [&first.frame()[..], second.frame()].concat();
        seen.for_each(|entry| piece.extend_from_slice(entry.frame()));
        Ok(Some(piece.into()))
    }
}
