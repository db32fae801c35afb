//! The latest events, in memory, for whoever listens.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use etl_shared::{
    TenantId, Verdict, WorkerName,
    api::{EventKind, FleetEvent, WorkerState},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Entry;
use crate::clock::rfc3339;

/// Events kept in memory for listeners.
const KEPT: usize = 4096;
/// Events kept in memory for the database while it takes none.
const UNWRITTEN: usize = 16_384;

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

/// What a listener has missed.
#[derive(Debug)]
pub struct Missed {
    /// Of it what is still kept, the oldest first.
    pub entries: Vec<Arc<Entry>>,
    /// Nothing else was missed.
    pub complete: bool,
}

/// How the events of a supervisor's life ended: the database has all of them but those that were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The id of the newest one.
    last: u64,
    /// The id of the newest one that was lost, in this life or an earlier one; 0: none was.
    lost: u64,
}

/// Takes events and hands them on; cheap to clone. It never waits for anybody: listeners come and read, and who comes too late finds
/// that something is gone.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pages: Mutex<Pages>,
    /// The id of the newest event.
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Pages {
    kept: VecDeque<Arc<Entry>>,
    /// Everything that is newer is kept.
    reach: u64,
    /// The highest id that was given.
    last: u64,
    /// What the database does not have yet; `None`: there is none.
    unwritten: Option<VecDeque<Arc<Entry>>>,
    /// Events that the database will never have, and the newest of them.
    lost: (u64, u64),
    /// Ids up to here are of earlier lives.
    began: u64,
    /// Of the events of earlier lives, the database has those up to here. It is asked once whether there were more.
    vouched: u64,
}

impl Default for Journal {
    fn default() -> Self {
        // Whatever an earlier life has told had lower numbers, unless the clock was set back; see `raise`.
        let began = micros(SystemTime::now());
        let pages = Pages {
            kept: VecDeque::new(),
            reach: began,
            last: began,
            unwritten: None,
            lost: (0, 0),
            began,
            vouched: u64::MAX,
        };
        Self(Arc::new(Shared { pages: Mutex::new(pages), newest: watch::Sender::new(began) }))
    }
}

impl Journal {
    /// Writes an event down and tells whoever listens.
    pub fn record(&self, happening: Happening) {
        let now = SystemTime::now();
        let mut pages = self.pages();
        let id = micros(now).max(pages.last + 1);
        let entry = Arc::new(Entry::of(&FleetEvent {
            id,
            at: rfc3339(now),
            kind: happening.kind,
            tenant_id: happening.tenant,
            worker: happening.worker,
            incarnation: happening.incarnation,
            from: happening.change.map(|(from, _)| from),
            to: happening.change.map(|(_, to)| to),
            verdict: happening.verdict,
            // A character that PostgreSQL has no place for.
            reason: happening.reason.replace('\0', ""),
            by: happening.by,
            correlation_id: happening.correlation_id,
        }));
        pages.last = id;
        if let Some(unwritten) = &mut pages.unwritten {
            unwritten.push_back(Arc::clone(&entry));
            if unwritten.len() > UNWRITTEN
                && let Some(oldest) = unwritten.pop_front()
            {
                pages.lost = (pages.lost.0 + 1, oldest.id());
            }
        }
        if pages.kept.len() == KEPT
            && let Some(oldest) = pages.kept.pop_front()
        {
            pages.reach = pages.reach.max(oldest.id());
        }
        pages.kept.push_back(entry);
        drop(pages);
        self.0.newest.send_if_modified(|newest| {
            let is_newer = *newest < id;
            *newest = id.max(*newest);
            is_newer
        });
    }

    /// The oldest events behind `last` that are still kept, at most so many.
    pub fn missed(&self, last: u64, most: usize) -> Missed {
        let pages = self.pages();
        let from = pages.kept.partition_point(|entry| entry.id() <= last);
        let entries = pages.kept.range(from..).take(most).cloned().collect();
        Missed { entries, complete: (pages.reach..=pages.last).contains(&last) }
    }

    /// Changes with every event.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// The id of the newest event. Every event to come has a higher one.
    pub fn last_id(&self) -> u64 {
        self.pages().last
    }

    /// An earlier life has ended like this; `None`: nobody knows how, so its last events may be lost.
    pub fn go_on_from(&self, ending: Option<Ending>) {
        let mut pages = self.pages();
        pages.vouched = ending.map_or(0, |ending| ending.last);
        pages.lost.1 = ending.map_or(pages.began, |ending| ending.lost);
    }

    /// How this life has ended so far; `None`: the database does not have all of its events.
    pub fn ending(&self) -> Option<Ending> {
        let pages = self.pages();
        let all_written = pages.unwritten.as_ref().is_none_or(VecDeque::is_empty);
        all_written.then_some(Ending { last: pages.last, lost: pages.lost.1 })
    }

    /// This is the highest id in the database. Where it is above those that were given here, the clock was set back: ids go on above it.
    pub(super) fn raise(&self, id: u64) {
        let mut pages = self.pages();
        // An ending that does not know all events is not that of the last life.
        if id > pages.vouched {
            pages.lost.1 = pages.lost.1.max(pages.began).max(id);
        }
        pages.vouched = u64::MAX;
        if id > pages.last {
            pages.last = id;
            // What lies between is not all here: listeners look in the database.
            pages.reach = id;
        }
    }

    /// From now on events are kept until the database has them.
    pub fn keep_for_the_database(&self) {
        self.pages().unwritten.get_or_insert_default();
    }

    /// The oldest events that the database does not have, at most so many.
    pub fn unwritten(&self, most: usize) -> Vec<Arc<Entry>> {
        self.pages().unwritten.iter().flatten().take(most).cloned().collect()
    }

    /// The database has these, or will never take them.
    pub(super) fn written(&self, through: u64) {
        if let Some(unwritten) = &mut self.pages().unwritten {
            while unwritten.front().is_some_and(|entry| entry.id() <= through) {
                unwritten.pop_front();
            }
            if unwritten.is_empty() {
                unwritten.shrink_to(64);
            }
        }
    }

    /// One that the database refuses.
    pub(super) fn lose(&self, id: u64) {
        let mut pages = self.pages();
        pages.lost = (pages.lost.0 + 1, id.max(pages.lost.1));
    }

    /// How many events the database will never have, and the id of the newest of them.
    pub fn lost(&self) -> (u64, u64) {
        self.pages().lost
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // A panic elsewhere leaves the queues whole: they only ever gain and lose single events.
        self.0.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(journal: &Journal, words: &str) {
        journal.record(Happening::new(EventKind::Order, words.to_owned()));
    }

    fn words(entries: &[Arc<Entry>]) -> Vec<String> {
        entries.iter().map(|entry| entry.event().unwrap().reason).collect()
    }

    #[test]
    fn ids_grow_and_a_listener_misses_nothing_behind_the_last_that_it_knows() {
        let journal = Journal::default();
        let began = journal.last_id();
        let mut news = journal.listen();
        for word in ["one", "two", "three"] {
            record(&journal, word);
        }
        assert!(news.has_changed().unwrap());
        assert_eq!(*news.borrow_and_update(), journal.last_id());
        let all = journal.missed(began, 9);
        assert!(all.complete && all.entries.is_sorted_by(|earlier, later| earlier.id() < later.id()));
        let missed = journal.missed(all.entries[0].id(), 9);
        assert_eq!((words(&missed.entries), missed.complete), (vec!["two".to_owned(), "three".to_owned()], true));
        assert_eq!(words(&journal.missed(began, 1).entries), ["one"]);
        assert!(journal.missed(journal.last_id(), 9).entries.is_empty());
    }

    #[test]
    fn who_comes_too_late_or_from_another_life_is_told_so() {
        let journal = Journal::default();
        let began = journal.last_id();
        assert!(!journal.missed(began - 1, 9).complete);
        assert!(!journal.missed(began + 1, 9).complete);
        (0..=KEPT).for_each(|_| record(&journal, "x"));
        assert!(!journal.missed(began, 9).complete);
        assert_eq!(journal.missed(journal.last_id() - 1, 9).entries.len(), 1);
    }

    #[test]
    fn what_the_database_does_not_take_is_kept_up_to_a_bound_and_counted_beyond() {
        let journal = Journal::default();
        record(&journal, "before");
        journal.keep_for_the_database();
        (0..UNWRITTEN + 3).for_each(|_| record(&journal, "x"));
        let waiting = journal.unwritten(usize::MAX);
        assert_eq!((waiting.len(), journal.lost().0), (UNWRITTEN, 3));
        assert!(journal.lost().1 < waiting[0].id());
        journal.written(waiting[9].id());
        assert_eq!(journal.unwritten(1)[0].id(), waiting[10].id());
    }

    #[test]
    fn an_ending_that_does_not_know_the_newest_event_vouches_for_nothing() {
        let journal = Journal::default();
        let began = journal.last_id();
        let ending = Ending { last: began - 9, lost: 0 };
        journal.go_on_from(Some(ending));
        journal.raise(began - 9);
        assert_eq!(journal.lost().1, 0);
        journal.raise(began + 1);
        assert_eq!(journal.lost().1, 0, "that one is of this life");
        journal.go_on_from(Some(ending));
        journal.raise(began - 8);
        assert_eq!(journal.lost().1, began);
    }

    #[test]
    fn a_life_has_an_ending_once_the_database_has_its_events() {
        let journal = Journal::default();
        journal.keep_for_the_database();
        record(&journal, "x");
        assert_eq!(journal.ending(), None);
        journal.written(journal.last_id());
        assert_eq!(journal.ending(), Some(Ending { last: journal.last_id(), lost: 0 }));
    }

    #[test]
    fn after_the_clock_was_set_back_ids_go_on_above_those_in_the_database() {
        let journal = Journal::default();
        let ahead = journal.last_id() + 3_600_000_000;
        journal.raise(ahead);
        record(&journal, "x");
        assert_eq!(journal.last_id(), ahead + 1);
        assert!(journal.missed(ahead, 9).complete && !journal.missed(ahead - 1, 9).complete);
        journal.raise(5);
        assert_eq!(journal.last_id(), ahead + 1);
    }
}
