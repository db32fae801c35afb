//! Who is inside. A connection takes a place and a request takes a seat, from its head to the last byte of its answer; those who follow
//! events keep theirs for hours, and are counted elsewhere.
//!
//! A connection that asks for nothing costs little, so there may be more of them than seats; where there are too many, the one that has
//! asked for nothing for the longest time is closed. Nobody who only stays connected keeps others out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::api::authorize::Caller;

/// Most connections at each door, without those of followers; more wait outside while none of these is idle. The unix socket has
/// counts of its own, so that whoever fills the TCP port does not lock the machine's operators out.
const CONNECTIONS: u32 = 1024;
/// Most requests at once at each door; more wait for their turn.
const REQUESTS: u32 = 256;
/// Most clients that follow events at each door. They leave their seat to others: however many follow, requests are answered.
const FOLLOWERS: u32 = 1024;
/// Of those, most that are for one tenant, and most of one admin: nobody's open windows keep others from following.
const OF_A_TENANT: u32 = 64;
const OF_AN_ADMIN: u32 = 512;

/// All places and seats of one door.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    places: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    shares: Arc<Shares>,
    idle: Arc<Idle>,
}

/// One connection's; free again when nobody has it any longer.
#[derive(Debug)]
pub(in crate::api) struct Seat {
    held: Mutex<Held>,
    follows: AtomicBool,
    /// Its place was given to somebody else.
    dismissed: Arc<Notify>,
    of: Seats,
}

#[derive(Debug)]
enum Held {
    /// No request is there; the place is under this number among the idle ones.
    Idle(u64),
    /// A request waits for its turn, or is answered.
    Busy { place: OwnedSemaphorePermit, request: Option<OwnedSemaphorePermit>, answered: bool },
    /// The answer goes on until the connection ends.
    Follows { _permit: OwnedSemaphorePermit, _share: Share },
    /// Nothing: the connection is being closed.
    Dismissed,
}

/// The places of connections that ask for nothing, the longest idle first.
#[derive(Debug, Default)]
struct Idle {
    places: Mutex<IdlePlaces>,
    /// One more is idle.
    another: Notify,
}

#[derive(Debug, Default)]
struct IdlePlaces {
    next: u64,
    by_number: BTreeMap<u64, (OwnedSemaphorePermit, Arc<Notify>)>,
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

/// The connection is being closed, because it was idle and others wanted to come in.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("closed for others after having been idle")]
pub(super) struct Closed;

impl Seats {
    pub(super) fn new() -> Self {
        let count = |count: u32| Arc::new(Semaphore::new(count as usize));
        Self {
            places: count(CONNECTIONS),
            requests: count(REQUESTS),
            followers: count(FOLLOWERS),
            shares: Arc::default(),
            idle: Arc::default(),
        }
    }

    /// Lets a connection in, for which the longest idle one is closed where there are too many; waits while none is idle.
    pub(super) async fn enter(&self) -> Arc<Seat> {
        let place = loop {
            let free = Arc::clone(&self.places).try_acquire_owned().ok();
            if let Some(place) = free.or_else(|| self.idle.longest()) {
                break place;
            }
            tokio::select! {
                Ok(place) = Arc::clone(&self.places).acquire_owned() => break place,
                () = self.idle.another.notified() => {}
            }
        };
        let dismissed = Arc::default();
        let held = Held::Idle(self.idle.add(place, &dismissed));
        Arc::new(Seat { held: Mutex::new(held), follows: AtomicBool::new(false), dismissed, of: self.clone() })
    }

    /// Waits until everybody has left.
    pub(super) async fn empty(&self) {
        let _ = self.places.acquire_many(CONNECTIONS).await;
        let _ = self.followers.acquire_many(FOLLOWERS).await;
    }
}

impl Seat {
    /// Takes a seat for a request whose head is there; waits for one.
    pub(super) async fn take(&self) -> Result<(), Closed> {
        {
            let mut held = self.held();
            if let Held::Idle(number) = *held {
                let place = self.of.idle.remove(number);
                *held = place.map_or(Held::Dismissed, |place| Held::Busy { place, request: None, answered: false });
            }
            match &mut *held {
                Held::Dismissed => return Err(Closed),
                // The next of several requests that were sent at once: the end of the earlier answer is still on its way.
                Held::Busy { request: Some(_), answered, .. } => {
                    *answered = false;
                    return Ok(());
                }
                Held::Busy { .. } | Held::Idle(_) | Held::Follows { .. } => {}
            }
        }
        // Nobody closes the count.
        let permit = Arc::clone(&self.of.requests).acquire_owned().await.map_err(|_| Closed)?;
        if let Held::Busy { request, .. } = &mut *self.held() {
            *request = Some(permit);
        }
        Ok(())
    }

    /// The whole answer is with the connection, which may have some of it to send.
    pub(super) fn answered(&self) {
        if let Held::Busy { answered, .. } = &mut *self.held() {
            *answered = true;
        }
    }

    /// The connection has nothing left to send: where that was the end of an answer, the seat is free.
    pub(super) fn sent(&self) {
        let mut held = self.held();
        if matches!(*held, Held::Busy { answered: true, .. })
            && let Held::Busy { place, .. } = std::mem::replace(&mut *held, Held::Dismissed)
        {
            *held = Held::Idle(self.of.idle.add(place, &self.dismissed));
        }
    }

    /// Waits until the connection has to be closed for another one.
    pub(super) async fn dismissed(&self) {
        self.dismissed.notified().await;
    }

    /// Leaves place and seat to the next client, and takes one among the followers. The connection is closed afterwards.
    pub(in crate::api) fn follow(&self, caller: &Caller) -> Result<(), Full> {
        let share = Shares::take(&self.of.shares, caller)?;
        let permit = Arc::clone(&self.of.followers).try_acquire_owned().map_err(|_| Full)?;
        *self.held() = Held::Follows { _permit: permit, _share: share };
        self.follows.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether this client follows events.
    pub(super) fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is one step, so it is whole even after a panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Held::Idle(number) = *self.held() {
            self.of.idle.remove(number);
        }
    }
}

impl Idle {
    /// Its number.
    fn add(&self, place: OwnedSemaphorePermit, dismissed: &Arc<Notify>) -> u64 {
        let mut places = self.places();
        let number = places.next;
        places.next += 1;
        places.by_number.insert(number, (place, Arc::clone(dismissed)));
        drop(places);
        self.another.notify_one();
        number
    }

    /// The place of this connection; `None` where somebody else has it already.
    fn remove(&self, number: u64) -> Option<OwnedSemaphorePermit> {
        self.places().by_number.remove(&number).map(|(place, _)| place)
    }

    /// The place of the longest idle connection, which is told.
    fn longest(&self) -> Option<OwnedSemaphorePermit> {
        let (_, (place, dismissed)) = self.places().by_number.pop_first()?;
        dismissed.notify_one();
        Some(place)
    }

    fn places(&self) -> MutexGuard<'_, IdlePlaces> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
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

    async fn asking(seats: &Seats) -> Arc<Seat> {
        let seat = seats.enter().await;
        seat.take().await.unwrap();
        seat
    }

    #[tokio::test]
    async fn one_tenants_followers_leave_room_for_others_and_give_their_share_back() {
        let seats = Seats::new();
        let viewer = |id: &str, of| Caller::Token { id: id.to_owned(), grant: Grant::Viewer(tenant(of)) };
        let follow = async |caller: &Caller| {
            let seat = asking(&seats).await;
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
        let free = || [&seats.places, &seats.requests, &seats.followers].map(|count| count.available_permits());
        let [places, requests, followers] = free();
        let seat = asking(&seats).await;
        assert_eq!(free(), [places - 1, requests - 1, followers]);
        seat.follow(&admin("a")).unwrap();
        assert!(seat.follows());
        assert_eq!(free(), [places, requests, followers - 1]);
        let rest = seats.followers.acquire_many(FOLLOWERS - 1).await.unwrap();
        assert!(asking(&seats).await.follow(&admin("b")).is_err());
        drop((rest, seat));
        assert_eq!(free(), [places, requests, followers]);
    }

    #[tokio::test]
    async fn a_seat_is_free_when_the_answer_has_been_sent_and_not_before() {
        let seats = Seats::new();
        let free = || seats.requests.available_permits();
        let seat = asking(&seats).await;
        seat.sent();
        assert_eq!(free(), REQUESTS as usize - 1, "nothing was answered yet");
        seat.answered();
        // Two requests at once: the second one goes on with the seat of the first.
        seat.take().await.unwrap();
        seat.sent();
        assert_eq!(free(), REQUESTS as usize - 1);
        seat.answered();
        seat.sent();
        assert_eq!(free(), REQUESTS as usize);
        assert_eq!(seats.places.available_permits(), CONNECTIONS as usize - 1, "it is still connected");
        drop(seat);
        assert_eq!(seats.places.available_permits(), CONNECTIONS as usize);
    }

    #[tokio::test]
    async fn who_has_asked_for_nothing_for_the_longest_time_makes_room() {
        let seats = Seats::new();
        let mut inside = Vec::new();
        for _ in 0..CONNECTIONS {
            inside.push(seats.enter().await);
        }
        // The first asks again, so the second is now the one that has been quiet for the longest time.
        inside[0].take().await.unwrap();
        inside[0].answered();
        inside[0].sent();
        let newcomer = seats.enter().await;
        inside[1].dismissed().await;
        assert!(inside[1].take().await.is_err(), "its place is taken");
        inside[0].take().await.unwrap();
        newcomer.take().await.unwrap();
    }

    #[tokio::test]
    async fn where_everybody_is_busy_the_next_one_waits_for_whoever_is_idle_first() {
        let seats = Seats { places: Arc::new(Semaphore::new(1)), ..Seats::new() };
        let busy = asking(&seats).await;
        let mut next = Box::pin(seats.enter());
        assert!(futures_util::poll!(&mut next).is_pending());
        busy.answered();
        busy.sent();
        next.await.take().await.unwrap();
        assert!(busy.take().await.is_err());
    }
}
