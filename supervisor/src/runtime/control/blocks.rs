//! What a worker cannot start without: each kind of thing is known elsewhere, and here they come together.

use etl_shared::WorkerName;

use super::Control;
use crate::lifecycle::Event;

impl Control {
    /// What is missing, for a person; the first of it, where it is more than one thing.
    pub(super) fn missing_for(&self, worker: &WorkerName) -> Option<String> {
        let broker = self.parts.settings.broker.is_some();
        let accounts = || self.accounts_missing(worker.tenant).filter(|_| broker);
        accounts().or_else(|| self.missing_queue(worker)).or_else(|| self.missing_room(worker))
    }

    /// Something that it needs has come or gone: whether it may start is decided by everything together.
    pub(super) fn check_what_is_missing(&mut self, worker: &WorkerName) {
        let worker = worker.clone();
        self.happened(match self.missing_for(&worker) {
            Some(on) => Event::Blocked { worker, on },
            None => Event::Unblocked { worker },
        });
    }

    fn missing_queue(&self, worker: &WorkerName) -> Option<String> {
        self.parts.settings.broker.as_ref()?;
        let queue = worker.queue().to_string();
        (!self.ready_queues.contains(&queue)).then(|| format!("waits until the broker has its queue {queue}"))
    }
}
