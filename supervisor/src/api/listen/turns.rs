//! The threads on which the API waits for a disk, shared out by what they wait for: no sort of work keeps another from its own.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

/// Readers of logs at once.
pub(in crate::api) const LOG_READERS: usize = 3;
/// The text of the metrics, the file of the tokens and that of the sessions, one at a time each.
const SINGLE: usize = 3;
/// What the runtime and its libraries do there: names are looked up, and the file of the platform's keys is read.
const OTHERS: usize = 2;
/// All of them.
pub(super) const THREADS: usize = LOG_READERS + SINGLE + OTHERS;

/// So many may do one sort of work at once; the others wait, and cost nothing when they stop waiting.
#[derive(Debug, Clone)]
pub(in crate::api) struct Turns(Arc<Semaphore>);

/// Somebody's turn.
#[derive(Debug)]
pub(in crate::api) struct Turn {
    /// `None` never happens, because nobody closes the count.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(in crate::api) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Waits for one's turn.
    pub(in crate::api) async fn take(&self) -> Turn {
        Turn { _permit: Arc::clone(&self.0).acquire_owned().await.ok() }
    }
}

impl Turn {
    /// Does this on a thread where it may take its time; `None` where the supervisor is stopping.
    ///
    /// The turn ends with the work and not with whoever waits for it: clients that ask and hang up leave no queue of work behind.
    pub(in crate::api) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let work = move || {
            let done = work();
            drop(self);
            done
        };
        spawn_blocking(work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use futures_util::{FutureExt, poll};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn work_keeps_its_turn_when_nobody_waits_for_it_any_longer() {
        let turns = Turns::new(1);
        let (done, wait) = mpsc::channel::<()>();
        let mut working = Box::pin(turns.take().await.run(move || wait.recv()));
        assert!(poll!(&mut working).is_pending());
        drop(working);
        assert!(turns.take().now_or_never().is_none(), "the work goes on");
        drop(done);
        timeout(Duration::from_secs(20), turns.take()).await.expect("the turn has not ended");
    }
}
