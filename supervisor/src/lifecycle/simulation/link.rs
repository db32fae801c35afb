//! The way between supervisor and keeper: what is said takes time, comes twice, gets stuck, and ends with the conversation.

use std::time::Duration;

use etl_shared::WorkerName;
use rand::RngExt;

use super::{
    keeper::{Process, between},
    world::{Happening, World},
};
use crate::lifecycle::{Event, Found};

impl World {
    /// How long something takes from one to the other: never overtaking what was said of the same worker before.
    pub(super) fn delay(&mut self, worker: &WorkerName, to_keeper: bool) -> Duration {
        let unreliable = self.unreliable;
        let rng = self.rngs.get_mut(worker).expect("every worker has one");
        let slow = unreliable && rng.random_bool(0.04);
        let arrival = self.now + if slow { between(rng, 20, 5_000) } else { between(rng, 1, 20) };
        let lane = self.lanes.entry((worker.clone(), to_keeper)).or_default();
        *lane = arrival.max(*lane + Duration::from_micros(1));
        lane.since(self.now)
    }

    pub(super) fn report(&mut self, worker: &WorkerName, event: Event) {
        if !self.connected {
            return;
        }
        let delay = self.delay(worker, false);
        let rng = self.rngs.get_mut(worker).expect("every worker has one");
        if self.unreliable && rng.random_bool(0.05) {
            let again = delay + between(rng, 1, 10_000);
            self.after(again, Happening::Report(self.talk, event.clone()));
        }
        self.after(delay, Happening::Report(self.talk, event));
    }

    pub(super) fn take_report(&mut self, event: Event) {
        if let (Event::Exited { worker, incarnation, .. }, Some(keeper)) = (&event, &mut self.keeper) {
            // Some exits are never noted, and are said again after the next hello.
            if !self.unreliable || self.rng.random_bool(0.8) {
                keeper.retained.retain(|(name, number, _)| (name, number) != (worker, incarnation));
            }
        }
        self.tell(event);
    }

    pub(super) fn say_hello_soon(&mut self) {
        let delay = between(&mut self.rng, 1, 100);
        self.after(delay, Happening::Hello(self.talk));
    }

    pub(super) fn hello(&mut self) {
        let (Some(keeper), true) = (&mut self.keeper, self.fleet.is_some()) else { return };
        let lives: Vec<_> =
            keeper.processes.iter().map(|(worker, process)| (worker.clone(), process.clone())).collect();
        let exits = keeper.retained.clone();
        if self.rng.random_bool(0.8) {
            keeper.retained.clear();
        }
        self.connected = true;
        for (worker, Process { incarnation, pid, started_at, ready, .. }) in lives {
            self.tell(Event::Found(worker, Found { incarnation, pid, started_at, ready }));
        }
        for (worker, incarnation, exit) in exits {
            self.tell(Event::Exited { worker, incarnation, exit });
        }
        self.tell(Event::KeeperUp);
        if self.settled {
            self.remove_what_nobody_wants();
        }
    }

    /// The conversation ends. The keeper still reads some of what was on its way to it; nothing else arrives.
    pub(super) fn hang_up(&mut self) {
        let talk = self.talk;
        let orders: Vec<_> = self.agenda.values().cloned().collect();
        let orders = orders.into_iter().filter_map(|happening| match happening {
            Happening::Order(sent, order) if sent == talk => Some(order),
            _ => None,
        });
        let read: usize = self.rng.random_range(0..4);
        self.talk += 1;
        self.connected = false;
        for order in orders.take(read) {
            self.keeper_takes(&order);
        }
    }

    /// Only the socket breaks; the keeper and its processes live on.
    pub(super) fn socket_breaks(&mut self) {
        if self.connected {
            self.note(|| "the socket breaks".to_owned());
            self.hang_up();
            self.abandon_reliefs(|_| true);
            self.tell(Event::KeeperLost);
            self.say_hello_soon();
        }
    }
}
