//! Who may run, where what all workers together may take is limited: first come, first served.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use bytesize::ByteSize;
use etl_shared::WorkerName;

/// What one worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Its soft memory limit in bytes.
    pub memory: u64,
    /// Its database connections.
    pub connections: u64,
}

/// How much of something there is for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit {
    /// Nobody counts.
    #[default]
    Off,
    /// As much as the server has, which nobody knows yet.
    Unknown,
    /// So much.
    Of(u64),
}

/// What there is for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes.
    pub memory: Limit,
    /// Database connections.
    pub connections: Limit,
}

/// What those take that run or are about to, and how many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// How many run or are about to.
    pub workers: usize,
    /// What they take.
    pub taken: Needs,
    /// How many wait for room.
    pub waiting: usize,
}

/// Why a worker has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// There is not so much memory.
    Memory {
        /// What the worker would take.
        needs: u64,
        /// What there is.
        limit: u64,
        /// Who has it.
        others: Sums,
    },
    /// There are not so many connections.
    Connections {
        /// What there is.
        limit: u64,
        /// Who has them.
        others: Sums,
    },
    /// Nobody knows how many connections there are.
    Unknown,
    /// Others came first.
    Turn,
}

/// Who has a seat and who waits for one.
#[derive(Debug, Default)]
pub struct Admission {
    room: Room,
    seated: BTreeMap<WorkerName, Needs>,
    taken: Needs,
    /// By the number that each drew when it came.
    waiting: BTreeMap<u64, (WorkerName, Needs)>,
    numbers: HashMap<WorkerName, u64>,
    next_number: u64,
}

impl Admission {
    /// There is so much now. Nobody loses a seat by it.
    pub const fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Whether it has a seat.
    pub fn is_seated(&self, worker: &WorkerName) -> bool {
        self.seated.contains_key(worker)
    }

    /// What there is.
    pub const fn room(&self) -> Room {
        self.room
    }

    /// How it stands.
    pub fn sums(&self) -> Sums {
        Sums { workers: self.seated.len(), taken: self.taken, waiting: self.waiting.len() }
    }

    /// It runs already, or is a stand-in without which another cannot be replaced: it takes what it takes.
    pub fn seat(&mut self, worker: &WorkerName, needs: Needs) {
        self.leave_the_line(worker);
        if let Some(before) = self.seated.insert(worker.clone(), needs) {
            self.take_back(before);
        }
        self.taken.memory = self.taken.memory.saturating_add(needs.memory);
        self.taken.connections = self.taken.connections.saturating_add(needs.connections);
    }

    /// It wants to run: it gets a seat, or waits in the line.
    pub fn ask(&mut self, worker: &WorkerName, needs: Needs) {
        if self.seated.contains_key(worker) || self.numbers.contains_key(worker) {
            return;
        }
        self.next_number += 1;
        self.numbers.insert(worker.clone(), self.next_number);
        self.waiting.insert(self.next_number, (worker.clone(), needs));
    }

    /// Gives seats to those that wait, in the order in which they came, as far as there is room. One that would not find room in an
    /// empty house holds nobody up.
    pub fn admit(&mut self) -> Vec<WorkerName> {
        let mut admitted = Vec::new();
        let mut after = 0;
        while let Some((number, (worker, needs))) = self.waiting.range(after..).next() {
            after = number + 1;
            let (worker, needs) = (worker.clone(), *needs);
            if self.shortage_of(needs).is_none() {
                self.seat(&worker, needs);
                admitted.push(worker);
            } else if self.fits_alone(needs) {
                break;
            }
        }
        admitted
    }

    /// It does not run any more and does not want to. Returns whether there is more room now.
    pub fn release(&mut self, worker: &WorkerName) -> bool {
        if let Some(needs) = self.seated.remove(worker) {
            self.take_back(needs);
            return true;
        }
        // Those behind it may find room where it did not.
        self.leave_the_line(worker)
    }

    /// Has everybody ask again, in the order in which they would be served.
    pub fn clear(&mut self) -> Vec<WorkerName> {
        self.taken = Needs::default();
        self.numbers.clear();
        let (seated, waiting) = (std::mem::take(&mut self.seated), std::mem::take(&mut self.waiting));
        seated.into_keys().chain(waiting.into_values().map(|(worker, _)| worker)).collect()
    }

    /// Why this worker waits; `None`: it does not.
    pub fn shortage(&self, worker: &WorkerName) -> Option<Shortage> {
        let (_, needs) = self.waiting.get(self.numbers.get(worker)?)?;
        Some(self.shortage_of(*needs).unwrap_or(Shortage::Turn))
    }

    fn leave_the_line(&mut self, worker: &WorkerName) -> bool {
        self.numbers.remove(worker).is_some_and(|number| self.waiting.remove(&number).is_some())
    }

    fn shortage_of(&self, needs: Needs) -> Option<Shortage> {
        let others = self.sums();
        match self.room.memory {
            Limit::Of(limit) if self.taken.memory.saturating_add(needs.memory) > limit => {
                return Some(Shortage::Memory { needs: needs.memory, limit, others });
            }
            Limit::Of(_) | Limit::Off | Limit::Unknown => {}
        }
        match self.room.connections {
            Limit::Unknown if needs.connections > 0 => Some(Shortage::Unknown),
            Limit::Of(limit) if self.taken.connections.saturating_add(needs.connections) > limit => {
                Some(Shortage::Connections { limit, others })
            }
            Limit::Of(_) | Limit::Off | Limit::Unknown => None,
        }
    }

    fn fits_alone(&self, needs: Needs) -> bool {
        let fits = |limit: Limit, needs: u64| match limit {
            Limit::Of(limit) => needs <= limit,
            Limit::Off | Limit::Unknown => true,
        };
        fits(self.room.memory, needs.memory) && fits(self.room.connections, needs.connections)
    }

    const fn take_back(&mut self, needs: Needs) {
        self.taken.memory = self.taken.memory.saturating_sub(needs.memory);
        self.taken.connections = self.taken.connections.saturating_sub(needs.connections);
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: u64| ByteSize(bytes).display().iec();
        match self {
            Self::Memory { needs, limit, others } => write!(
                f,
                "memory budget: {} workers with {} of soft limits run, and {} more would pass the {} there are",
                others.workers,
                size(others.taken.memory),
                size(*needs),
                size(*limit)
            ),
            Self::Connections { limit, others } => write!(
                f,
                "database connections: {} workers with {} of them run, and one more would pass the {limit} there are",
                others.workers, others.taken.connections
            ),
            Self::Unknown => f.write_str("database connections: the server has not said yet how many it has"),
            Self::Turn => f.write_str("waits for room: others came first"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(tenant: i64) -> WorkerName {
        format!("transform-{tenant}-1").parse().unwrap()
    }

    const fn needs(memory: u64) -> Needs {
        Needs { memory, connections: 1 }
    }

    fn asked(room: Room, needs: &[(i64, Needs)]) -> (Admission, Vec<WorkerName>) {
        let mut admission = Admission::default();
        admission.set_room(room);
        for (tenant, needs) in needs {
            admission.ask(&worker(*tenant), *needs);
        }
        let admitted = admission.admit();
        (admission, admitted)
    }

    #[test]
    fn who_comes_first_is_served_first_and_freed_room_goes_to_the_next() {
        let room = Room { memory: Limit::Of(250), connections: Limit::Off };
        let (mut admission, admitted) = asked(room, &[1, 2, 3, 4].map(|tenant| (tenant, needs(100))));
        assert_eq!(admitted, [worker(1), worker(2)]);
        assert_eq!(admission.sums(), Sums { workers: 2, taken: Needs { memory: 200, connections: 2 }, waiting: 2 });
        let said = admission.shortage(&worker(4)).unwrap().to_string();
        assert!(said.starts_with("memory budget: 2 workers with 200 B of soft limits run"), "{said}");
        assert!(admission.release(&worker(1)) && !admission.release(&worker(1)));
        assert_eq!(admission.admit(), [worker(3)]);
        assert!(admission.shortage(&worker(3)).is_none() && admission.shortage(&worker(4)).is_some());
    }

    #[test]
    fn a_large_one_is_not_overtaken_unless_it_can_never_be_served() {
        let room = Room { memory: Limit::Of(250), connections: Limit::Off };
        let (mut admission, admitted) =
            asked(room, &[(1, needs(100)), (2, needs(300)), (3, needs(200)), (4, needs(100))]);
        assert_eq!(admitted, [worker(1)], "3 has to wait, and 4 behind it");
        assert_eq!(admission.shortage(&worker(4)), Some(Shortage::Turn));
        admission.release(&worker(1));
        assert_eq!(admission.admit(), [worker(3)]);
        admission.release(&worker(3));
        assert_eq!(admission.admit(), [worker(4)]);
        assert!(matches!(admission.shortage(&worker(2)), Some(Shortage::Memory { .. })));
    }

    #[test]
    fn connections_are_counted_and_until_the_server_has_said_how_many_nobody_is_served() {
        let room = Room { memory: Limit::Off, connections: Limit::Unknown };
        let (mut admission, admitted) = asked(room, &[(1, needs(1)), (2, needs(1))]);
        assert_eq!(admitted, []);
        assert_eq!(admission.shortage(&worker(1)), Some(Shortage::Unknown));
        admission.set_room(Room { connections: Limit::Of(1), ..room });
        assert_eq!(admission.admit(), [worker(1)]);
        assert!(matches!(admission.shortage(&worker(2)), Some(Shortage::Connections { limit: 1, .. })));
    }

    #[test]
    fn what_runs_already_is_counted_and_never_refused() {
        let room = Room { memory: Limit::Of(100), connections: Limit::Off };
        let (mut admission, _) = asked(room, &[(1, needs(60)), (2, needs(60))]);
        admission.seat(&worker(2), needs(60));
        admission.seat(&worker(2), needs(70));
        assert_eq!(admission.sums().taken.memory, 130);
        assert_eq!(admission.sums().waiting, 0);
        assert_eq!(admission.clear(), [worker(1), worker(2)]);
        assert_eq!(admission.sums(), Sums::default());
    }

    #[test]
    fn without_limits_everybody_is_served_and_counted() {
        let (admission, admitted) = asked(Room::default(), &[(1, needs(u64::MAX)), (2, needs(u64::MAX))]);
        assert_eq!(admitted.len(), 2);
        assert_eq!(admission.sums().taken.connections, 2);
    }
}
