//! The latest events, in memory, for whoever listens.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use etl_shared::{
    TenantId, Verdict, WorkerName,
    api::{EventKind, FleetEvent, WorkerState},
};
use tokio::sync::broadcast;

use crate::clock::rfc3339;

/// Events kept in memory.
const KEPT: usize = 4096;

/// What has happened; number and time are the journal's.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// What it is about.
    pub kind: EventKind,
    /// Whose.
    pub tenant: Option<TenantId>,
    /// Which worker.
    pub worker: Option<WorkerName>,
    /// Which of its processes.
    pub incarnation: Option<u64>,
    /// From one state to another.
    pub change: Option<(WorkerState, WorkerState)>,
    /// How a process ended.
    pub verdict: Option<Verdict>,
    /// Why, or what, in a sentence.
    pub reason: String,
    /// Who asked for it.
    pub by: Option<String>,
    /// The request that led to it.
    pub correlation_id: Option<String>,
}

impl Happening {
    /// Of this kind, in these words; the rest is filled in where there is something to say.
    pub const fn new(kind: EventKind, reason: String) -> Self {
        Self {
            kind,
            tenant: None,
            worker: None,
            incarnation: None,
            change: None,
            verdict: None,
            reason,
            by: None,
            correlation_id: None,
        }
    }
}

/// Takes events and hands them on; cheap to clone. It never waits for anybody.
#[derive(Debug, Clone)]
pub struct Journal {
    kept: Arc<Mutex<VecDeque<Arc<FleetEvent>>>>,
    listeners: broadcast::Sender<Arc<FleetEvent>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { kept: Arc::default(), listeners: broadcast::Sender::new(KEPT) }
    }
}

impl Journal {
    /// Writes an event down and tells whoever listens.
    pub fn record(&self, happening: Happening) {
        let now = SystemTime::now();
        // A panic elsewhere leaves the queue whole: it only ever gains and loses single events.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let id = u64::try_from(micros).unwrap_or(u64::MAX).max(kept.back().map_or(0, |last| last.id) + 1);
        let event = Arc::new(FleetEvent {
            id,
            at: rfc3339(now),
            kind: happening.kind,
            tenant_id: happening.tenant,
            worker: happening.worker,
            incarnation: happening.incarnation,
            from: happening.change.map(|(from, _)| from),
            to: happening.change.map(|(_, to)| to),
            verdict: happening.verdict,
            reason: happening.reason,
            by: happening.by,
            correlation_id: happening.correlation_id,
        });
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // Inside the lock, so that listeners see the events in the order of their ids. Nobody need be listening.
        let _ = self.listeners.send(event);
    }

    /// The events behind `last` that are still kept, and everything from now on: nothing in between is missing or doubled.
    pub fn listen(&self, last: u64) -> (Vec<Arc<FleetEvent>>, broadcast::Receiver<Arc<FleetEvent>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = kept.iter().filter(|event| event.id > last).cloned().collect();
        (missed, self.listeners.subscribe())
    }

    /// The id of the newest event; 0 where there is none.
    pub fn last_id(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).back().map_or(0, |event| event.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_a_listener_misses_nothing_behind_the_last_that_it_knows() {
        let journal = Journal::default();
        for word in ["one", "two", "three"] {
            journal.record(Happening::new(EventKind::Order, word.to_owned()));
        }
        let (all, _) = journal.listen(0);
        assert!(all.is_sorted_by(|earlier, later| earlier.id < later.id));
        let (missed, mut news) = journal.listen(all[0].id);
        assert_eq!(missed.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["two", "three"]);
        journal.record(Happening::new(EventKind::Order, "four".to_owned()));
        assert_eq!(news.try_recv().unwrap().reason, "four");
        assert!(news.try_recv().is_err());
        assert_eq!(journal.last_id(), journal.listen(0).0.last().unwrap().id);
    }
}
