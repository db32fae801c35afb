//! Messages in this worker's hands that are not in a transaction: waiting for their next try, or for their turn.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::job::Job;

/// Held messages. They belong to one channel and are forgotten with it: the broker delivers them again.
#[derive(Default)]
pub(super) struct Held {
    ready: VecDeque<Job>,
    waiting: BTreeMap<(Instant, u64), Job>,
}

impl Held {
    /// Holds a message until then.
    pub(super) fn until(&mut self, due: Instant, job: Job) {
        self.waiting.insert((due, job.ticket), job);
    }

    /// Puts a message in front: it is its turn again at once.
    pub(super) fn again(&mut self, job: Job) {
        self.ready.push_front(job);
    }

    /// Takes in a message that has just arrived.
    pub(super) fn arrived(&mut self, job: Job) {
        self.ready.push_back(job);
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.waiting.clear();
    }

    /// When the next one is due, where none is ready.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(due, _)| *due)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }

    /// The next message whose time has come.
    pub(super) fn take(&mut self, now: Instant) -> Option<Job> {
        if let Some(job) = self.ready.pop_front() {
            return Some(job);
        }
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job(ticket: u64) -> Job {
        Job::new(ticket, Vec::new(), "{}".to_owned(), None)
    }

    #[test]
    fn a_message_comes_back_when_it_is_due_and_not_before() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut held = Held::default();
        held.until(later, job(1));
        held.until(now, job(2));
        held.until(later, job(3));
        let tickets = |held: &mut Held, now| -> Vec<u64> {
            std::iter::from_fn(|| held.take(now)).map(|job| job.ticket).collect()
        };
        assert_eq!(tickets(&mut held, now), [2]);
        assert_eq!(held.next_due(), Some(later));
        held.again(job(4));
        assert_eq!(tickets(&mut held, later), [4, 1, 3]);
        assert!(held.is_empty());
    }
}
