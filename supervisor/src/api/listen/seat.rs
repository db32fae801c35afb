//! Where clients sit: most need a seat for a moment, those who follow events keep one for hours.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::authorize::Caller;

/// Most clients at once at each door; more wait outside. The unix socket has a count of its own, so that whoever fills the
/// TCP port does not lock the machine's operators out.
const CLIENTS: u32 = 256;
/// Most clients that follow events at each door. They leave their seat to others: however many follow, requests are answered.
const FOLLOWERS: u32 = 1024;
/// Of those, most that are for one tenant, and most of one admin: nobody's open windows keep others from following.
const OF_A_TENANT: u32 = 64;
const OF_AN_ADMIN: u32 = 512;

/// All seats of one door.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    clients: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// One client's; free again when nobody has it any longer.
#[derive(Debug)]
pub(in crate::api) struct Seat {
    held: Mutex<Held>,
    followers: Arc<Semaphore>,
    shares: Arc<Shares>,
    follows: AtomicBool,
}

#[derive(Debug)]
struct Held {
    _permit: OwnedSemaphorePermit,
    /// A follower's.
    _share: Option<Share>,
}

/// How many follow, by whom they follow for.
#[derive(Debug, Default)]
struct Shares(Mutex<BTreeMap<String, u32>>);

/// One of them, given back when it is dropped.
#[derive(Debug)]
struct Share {
    of: String,
    all: Arc<Shares>,
}

/// There are as many followers as there may be, of everybody or of this caller.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Full;

impl Seats {
    pub(super) fn new() -> Self {
        let count = |count: u32| Arc::new(Semaphore::new(count as usize));
        Self { clients: count(CLIENTS), followers: count(FOLLOWERS), shares: Arc::default() }
    }

    /// Waits until one is free; `None` never happens, because nobody closes the count.
    pub(super) async fn take(&self) -> Option<Arc<Seat>> {
        let held = Held { _permit: Arc::clone(&self.clients).acquire_owned().await.ok()?, _share: None };
        Some(Arc::new(Seat {
            held: Mutex::new(held),
            followers: Arc::clone(&self.followers),
            shares: Arc::clone(&self.shares),
            follows: AtomicBool::new(false),
        }))
    }

    /// Waits until everybody has left.
    pub(super) async fn empty(&self) {
        let _ = self.clients.acquire_many(CLIENTS).await;
        let _ = self.followers.acquire_many(FOLLOWERS).await;
    }
}

impl Seat {
    /// Leaves the seat to the next client, and takes one among the followers. The connection is to be closed afterwards.
    pub(in crate::api) fn follow(&self, caller: &Caller) -> Result<(), Full> {
        let share = Shares::take(&self.shares, caller)?;
        let permit = Arc::clone(&self.followers).try_acquire_owned().map_err(|_| Full)?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Held { _permit: permit, _share: Some(share) };
        self.follows.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether this client follows events.
    pub(super) fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }
}

impl Shares {
    fn take(all: &Arc<Self>, caller: &Caller) -> Result<Share, Full> {
        let (of, most) = match caller.tenant() {
            Some(tenant) => (format!("tenant {tenant}"), OF_A_TENANT),
            None => (caller.name(), OF_AN_ADMIN),
        };
        let mut counts = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(of.clone()).or_default();
        if *count >= most {
            return Err(Full);
        }
        *count += 1;
        drop(counts);
        Ok(Share { of, all: Arc::clone(all) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.get(&self.of).map_or(0, |count| count - 1);
        if left == 0 {
            counts.remove(&self.of);
        } else {
            counts.insert(self.of.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{authorize::Grant, tests::fleet::tenant};

    fn admin(id: &str) -> Caller {
        Caller::Token { id: id.to_owned(), grant: Grant::Admin }
    }

    #[tokio::test]
    async fn one_tenants_followers_leave_room_for_others_and_give_their_share_back() {
        let seats = Seats::new();
        let viewer = |id: &str, of| Caller::Token { id: id.to_owned(), grant: Grant::Viewer(tenant(of)) };
        let follow = async |caller: &Caller| {
            let seat = seats.take().await.unwrap();
            seat.follow(caller).map(|()| seat)
        };
        let mut followers = Vec::new();
        for at in 0..OF_A_TENANT {
            followers.push(follow(&viewer(&format!("token {at}"), 1)).await.unwrap());
        }
        assert!(follow(&viewer("another", 1)).await.is_err(), "tokens of one tenant have one share");
        follow(&viewer("another", 2)).await.unwrap();
        follow(&admin("a")).await.unwrap();
        followers.pop();
        followers.push(follow(&viewer("another", 1)).await.unwrap());
        followers.clear();
        assert!(seats.shares.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_follows_leaves_its_seat_to_others_and_is_counted_elsewhere() {
        let seats = Seats::new();
        let seat = seats.take().await.unwrap();
        assert_eq!(seats.clients.available_permits(), CLIENTS as usize - 1);
        seat.follow(&admin("a")).unwrap();
        assert!(seat.follows());
        assert_eq!(seats.clients.available_permits(), CLIENTS as usize);
        assert_eq!(seats.followers.available_permits(), FOLLOWERS as usize - 1);
        let rest = seats.followers.acquire_many(FOLLOWERS - 1).await.unwrap();
        assert!(seats.take().await.unwrap().follow(&admin("b")).is_err());
        drop((rest, seat));
        assert_eq!(seats.followers.available_permits(), FOLLOWERS as usize);
    }
}
