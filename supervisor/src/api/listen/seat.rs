//! Where clients sit: most need a seat for a moment, those who follow events keep one for hours.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most clients at once at each door; more wait outside. The unix socket has a count of its own, so that whoever fills the
/// TCP port does not lock the machine's operators out.
const CLIENTS: u32 = 256;
/// Most clients that follow events at each door. They leave their seat to others: however many follow, requests are answered.
const FOLLOWERS: u32 = 1024;

/// All seats of one door.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    clients: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

/// One client's; free again when nobody has it any longer.
#[derive(Debug)]
pub(in crate::api) struct Seat {
    permit: Mutex<OwnedSemaphorePermit>,
    followers: Arc<Semaphore>,
    follows: AtomicBool,
}

/// There are as many followers as there may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Full;

impl Seats {
    pub(super) fn new() -> Self {
        let count = |count: u32| Arc::new(Semaphore::new(count as usize));
        Self { clients: count(CLIENTS), followers: count(FOLLOWERS) }
    }

    /// Waits until one is free; `None` never happens, because nobody closes the count.
    pub(super) async fn take(&self) -> Option<Arc<Seat>> {
        let permit = Mutex::new(Arc::clone(&self.clients).acquire_owned().await.ok()?);
        Some(Arc::new(Seat { permit, followers: Arc::clone(&self.followers), follows: AtomicBool::new(false) }))
    }

    /// Waits until everybody has left.
    pub(super) async fn empty(&self) {
        let _ = self.clients.acquire_many(CLIENTS).await;
        let _ = self.followers.acquire_many(FOLLOWERS).await;
    }
}

impl Seat {
    /// Leaves the seat to the next client, and takes one among the followers. The connection is to be closed afterwards.
    pub(in crate::api) fn follow(&self) -> Result<(), Full> {
        let permit = Arc::clone(&self.followers).try_acquire_owned().map_err(|_| Full)?;
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
        self.follows.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether this client follows events.
    pub(super) fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_follows_leaves_its_seat_to_others_and_is_counted_elsewhere() {
        let seats = Seats::new();
        let seat = seats.take().await.unwrap();
        assert_eq!(seats.clients.available_permits(), CLIENTS as usize - 1);
        seat.follow().unwrap();
        assert!(seat.follows());
        assert_eq!(seats.clients.available_permits(), CLIENTS as usize);
        assert_eq!(seats.followers.available_permits(), FOLLOWERS as usize - 1);
        let rest = seats.followers.acquire_many(FOLLOWERS - 1).await.unwrap();
        assert!(seats.take().await.unwrap().follow().is_err());
        drop((rest, seat));
        assert_eq!(seats.followers.available_permits(), FOLLOWERS as usize);
    }
}
