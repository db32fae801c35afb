//! The processes that the keeper has started, by worker, by pid, and by the token that their events carry.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use etl_shared::WorkerName;
use nix::unistd::Pid;

use super::{
    protocol::{ExitStatus, Report, Usage},
    spawn::Spawned,
};
use crate::clock::BootTime;

/// The event loop's own tokens are smaller.
pub(super) const FIRST_PROCESS: u64 = 16;

/// Names one process in events; never used twice, so that late news of an earlier process finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Token(pub(super) u64);

/// One process and what is known of it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) worker: WorkerName,
    pub(super) incarnation: u64,
    pub(super) pid: Pid,
    pub(super) started_at: BootTime,
    pub(super) ready: bool,
    pub(super) grace: Duration,
    /// The user that it is, where that is not ours.
    pub(super) user: Option<u32>,
    pub(super) life: Life,
}

/// How far a process has come.
#[derive(Debug)]
pub(super) enum Life {
    /// It runs its program.
    Running {
        /// Tells its end.
        pidfd: OwnedFd,
    },
    /// It has ended and been reaped, but somebody whom it left behind holds its lease.
    LeftOver {
        /// What will be said of it.
        exit: Report,
        /// When it ended.
        since: Instant,
    },
}

/// Every process that has not been reported as gone, and the exits of which no brain has taken note.
#[derive(Debug, Default)]
pub(super) struct ProcessTable {
    last_token: u64,
    processes: HashMap<Token, Process>,
    by_worker: HashMap<WorkerName, Token>,
    /// Only those that run: the pid of a reaped one may mean somebody else.
    by_pid: HashMap<Pid, Token>,
    exits: BTreeMap<(WorkerName, u64), Report>,
}

impl ProcessTable {
    /// The token that the next process will have.
    pub(super) const fn next_token(&mut self) -> Token {
        self.last_token += 1;
        Token(FIRST_PROCESS + self.last_token)
    }

    pub(super) fn insert(&mut self, token: Token, worker: WorkerName, incarnation: u64, spawned: Spawned) {
        let Spawned { pid, pidfd, started_at, ready, grace, user } = spawned;
        self.by_worker.insert(worker.clone(), token);
        self.by_pid.insert(pid, token);
        let life = Life::Running { pidfd };
        self.processes.insert(token, Process { worker, incarnation, pid, started_at, ready, grace, user, life });
    }

    pub(super) fn get(&self, token: Token) -> Option<&Process> {
        self.processes.get(&token)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Process> {
        self.processes.get_mut(&token)
    }

    pub(super) fn of_worker(&self, worker: &WorkerName) -> Option<(Token, &Process)> {
        let token = *self.by_worker.get(worker)?;
        Some((token, self.processes.get(&token)?))
    }

    /// The running main process of this pid.
    pub(super) fn of_pid(&self, pid: Pid) -> Option<Token> {
        self.by_pid.get(&pid).copied()
    }

    /// Workers whose processes run as this user.
    pub(super) fn of_user(&self, user: u32) -> impl Iterator<Item = &WorkerName> {
        let running = self.processes.values().filter(move |process| process.user == Some(user) && process.is_running());
        running.map(|process| &process.worker)
    }

    /// Whether this very incarnation runs.
    pub(super) fn is_running(&self, worker: &WorkerName, incarnation: u64) -> bool {
        self.of_worker(worker).is_some_and(|(_, process)| process.incarnation == incarnation && process.is_running())
    }

    /// The process has been reaped; others whom it left behind hold its lease.
    pub(super) fn leave_over(&mut self, token: Token, exit: Report) {
        if let Some(process) = self.processes.get_mut(&token) {
            self.by_pid.remove(&process.pid);
            process.life = Life::LeftOver { exit, since: Instant::now() };
        }
    }

    /// The process is gone with all that it left; its exit is kept until a brain has noted it.
    pub(super) fn remove(&mut self, token: Token, exit: Report) {
        if let Some(process) = self.processes.remove(&token) {
            if process.is_running() {
                self.by_pid.remove(&process.pid);
            }
            self.by_worker.remove(&process.worker);
            self.exits.insert((process.worker, process.incarnation), exit);
        }
    }

    /// A brain has taken note of this exit.
    pub(super) fn noted(&mut self, worker: WorkerName, incarnation: u64) {
        self.exits.remove(&(worker, incarnation));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Process)> {
        self.processes.iter().map(|(token, process)| (*token, process))
    }

    /// Tokens of the processes that only left-over descendants keep here.
    pub(super) fn left_over(&self) -> Vec<Token> {
        self.iter().filter(|(_, process)| !process.is_running()).map(|(token, _)| token).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.processes.len()
    }

    /// What a brain has to know at the beginning of a conversation.
    pub(super) fn listing(&self) -> impl Iterator<Item = Report> {
        let living = self.processes.values().map(|process| Report::Process {
            worker: process.worker.clone(),
            incarnation: process.incarnation,
            pid: process.pid.as_raw(),
            started_at: process.started_at,
            ready: process.ready,
        });
        living.chain(self.exits.values().cloned())
    }
}

impl Process {
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.life, Life::Running { .. })
    }

    /// The report of its end, now.
    pub(super) fn exit(&self, status: ExitStatus, usage: Usage) -> Report {
        Report::Exited {
            worker: self.worker.clone(),
            incarnation: self.incarnation,
            pid: self.pid.as_raw(),
            status,
            usage,
            at: BootTime::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn insert(table: &mut ProcessTable, worker: &str, incarnation: u64, pid: i32) -> Token {
        let token = table.next_token();
        let pidfd = File::open("/dev/null").unwrap().into();
        let (pid, started_at) = (Pid::from_raw(pid), BootTime::now());
        let spawned = Spawned { pid, pidfd, started_at, ready: false, grace: Duration::ZERO, user: Some(400_000) };
        table.insert(token, worker.parse().unwrap(), incarnation, spawned);
        token
    }

    fn ended(table: &ProcessTable, token: Token) -> Report {
        table.get(token).unwrap().exit(ExitStatus::Code(0), Usage::default())
    }

    #[test]
    fn an_exit_is_told_to_every_brain_until_one_has_noted_it() {
        let mut table = ProcessTable::default();
        let token = insert(&mut table, "transform-7-1", 1, 100);
        let exit = ended(&table, token);
        table.remove(token, exit.clone());
        assert!(table.is_empty());
        assert_eq!(table.listing().collect::<Vec<_>>(), std::slice::from_ref(&exit));
        assert_eq!(table.listing().collect::<Vec<_>>(), [exit]);
        table.noted("transform-7-1".parse().unwrap(), 2);
        assert_eq!(table.listing().count(), 1, "another incarnation was noted");
        table.noted("transform-7-1".parse().unwrap(), 1);
        assert_eq!(table.listing().count(), 0);
    }

    #[test]
    fn a_pid_that_has_been_reaped_means_nobody_even_while_its_family_lives() {
        let mut table = ProcessTable::default();
        let first = insert(&mut table, "transform-7-1", 1, 100);
        let exit = ended(&table, first);
        table.leave_over(first, exit.clone());
        assert_eq!(table.of_pid(Pid::from_raw(100)), None);
        assert!(!table.is_running(&"transform-7-1".parse().unwrap(), 1));
        let second = insert(&mut table, "transform-8-1", 1, 100);
        table.remove(first, exit);
        assert_eq!(table.of_pid(Pid::from_raw(100)), Some(second), "the number is another worker's by now");
        assert!(table.is_running(&"transform-8-1".parse().unwrap(), 1));
        assert!(!table.is_running(&"transform-8-1".parse().unwrap(), 2));
    }
}
