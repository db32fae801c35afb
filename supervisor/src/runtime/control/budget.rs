//! What all workers together may take: who may start, and who waits until there is room.
//!
//! Whoever has a process, or may have one at any time, has a seat: the other workers find less room. A stand-in is counted and
//! never refused, because without it the worker that it stands in for could not be replaced, and it is there only for moments.

use std::collections::BTreeMap;

use etl_shared::{
    WorkerName,
    api::{BudgetStatus, Sum},
};

use super::Control;
use crate::{
    lifecycle::{Slot, Wanted},
    limits::{Admission, Limit, Needs, Room, Shortage},
    runtime::{host_memory, roster::Wish},
    settings::Budget,
    store::Seats,
};

/// What the loop remembers of it.
#[derive(Debug)]
pub(super) struct Admissions {
    admission: Admission,
    host_memory: Option<u64>,
    /// What the database server said.
    seats: Option<Seats>,
}

impl Admissions {
    /// Nobody has asked yet.
    pub(super) fn new() -> Self {
        Self { admission: Admission::default(), host_memory: host_memory::total(), seats: None }
    }
}

impl Control {
    /// Those that should run ask for a seat, in the order of their tenants.
    pub(super) fn ask_for_room(&mut self, wanted: &BTreeMap<WorkerName, Wish>) {
        self.set_room();
        let mut asking: Vec<_> =
            wanted.iter().filter(|(_, wish)| **wish == Wish::Up).map(|(worker, _)| worker).collect();
        asking.sort_by_key(|worker| (worker.tenant, *worker));
        for worker in asking {
            let needs = self.needs_of(worker);
            self.admissions.admission.ask(worker, needs);
        }
        self.admit();
    }

    /// A worker stands elsewhere now, or is gone: it may take room, or leave some.
    pub(super) fn room_of(&mut self, worker: &WorkerName) {
        let slot = self.fleet.slot(worker);
        if slot.is_some_and(Slot::has_process_or_expects_one) {
            if !self.admissions.admission.is_seated(worker) {
                let needs = self.needs_of(worker);
                self.admissions.admission.seat(worker, needs);
                self.show_budget();
            }
        } else if !matches!(slot.map(Slot::wanted), Some(Wanted::Up | Wanted::Resting))
            && self.admissions.admission.release(worker)
        {
            self.admit();
        }
    }

    /// There is more or less of something than before, or the workers need more or less of it: all ask again. Those that run
    /// come first, and then those that were to run.
    pub(super) fn ask_for_room_again(&mut self) {
        self.set_room();
        let workers = self.admissions.admission.clear();
        let runs = |worker: &&WorkerName| self.fleet.slot(worker).is_some_and(Slot::has_process_or_expects_one);
        let running: Vec<_> = workers.iter().filter(runs).cloned().collect();
        for worker in running {
            let needs = self.needs_of(&worker);
            self.admissions.admission.seat(&worker, needs);
        }
        for worker in &workers {
            let needs = self.needs_of(worker);
            self.admissions.admission.ask(worker, needs);
        }
        self.admissions.admission.admit();
        self.show_budget();
        for worker in &workers {
            self.check_what_is_missing(worker);
        }
    }

    /// The database server has said how many connections it has.
    pub(super) fn seats_known(&mut self, seats: Seats) {
        if self.admissions.seats.replace(seats) != Some(seats) {
            self.ask_for_room_again();
        }
    }

    /// What keeps a worker from starting, for a person.
    pub(super) fn missing_room(&self, worker: &WorkerName) -> Option<String> {
        let shortage = self.admissions.admission.shortage(worker)?;
        let advice = match shortage {
            Shortage::Memory { .. } => {
                format!("; raise limits.memory_budget or lower queues.{}.memory_soft", worker.queue_type)
            }
            Shortage::Connections { .. } => {
                "; raise limits.database_connections, or max_connections of the server".to_owned()
            }
            Shortage::Unknown | Shortage::Turn => String::new(),
        };
        Some(format!("{shortage}{advice}"))
    }

    fn admit(&mut self) {
        let admitted = self.admissions.admission.admit();
        self.show_budget();
        for worker in &admitted {
            self.check_what_is_missing(worker);
        }
    }

    fn set_room(&mut self) {
        let limits = &self.parts.settings.limits;
        let limit = |budget, there: Option<u64>| match (budget, there) {
            (Budget::Off, _) => Limit::Off,
            (Budget::Of(limit), _) | (Budget::Auto, Some(limit)) => Limit::Of(limit),
            (Budget::Auto, None) => Limit::Unknown,
        };
        self.admissions.admission.set_room(Room {
            memory: limit(limits.memory_budget, self.admissions.host_memory),
            connections: limit(limits.database_connections, self.admissions.seats.map(Seats::for_workers)),
        });
    }

    fn needs_of(&self, worker: &WorkerName) -> Needs {
        let holds = self.holds_for(worker);
        let connections = u64::from(self.parts.settings.database.is_some());
        Needs { memory: holds.map_or(0, |holds| holds.memory_soft), connections }
    }

    fn show_budget(&mut self) {
        let (sums, room) = (self.admissions.admission.sums(), self.admissions.admission.room());
        let limit = |limit| match limit {
            Limit::Of(limit) => Some(limit),
            Limit::Off | Limit::Unknown => None,
        };
        let seats = self.admissions.seats.map(Seats::for_workers);
        self.parts.board.set_budget(BudgetStatus {
            workers: sums.workers,
            waiting: sums.waiting,
            memory: Sum { taken: sums.taken.memory, limit: limit(room.memory), available: self.admissions.host_memory },
            database_connections: Sum {
                taken: sums.taken.connections,
                limit: limit(room.connections),
                available: seats,
            },
        });
    }
}
