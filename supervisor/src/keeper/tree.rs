//! Whom a worker has started: its family.
//!
//! The keeper is a subreaper, so whoever loses its parent becomes the keeper's own. That makes a family complete: the worker's
//! process, everybody below it, and those children of the keeper that are no worker and carry the family's mark, with everybody
//! below them. The marks, strongest first: the lease is open in the process; `ETL_WORKER` and `ETL_INCARNATION` stand in its
//! environment; its session is the one that the worker's process leads.
//!
//! What gets away: a process that has closed the lease, lost its environment (or made itself unreadable), left the session, and
//! whose parent is gone. It takes some effort, and a cgroup is the cure.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::ffi::OsStrExt,
};

use etl_shared::{WorkerName, environment};
use nix::{
    sys::signal::Signal,
    unistd::{Pid, getsid},
};

use super::{lease::Leases, process_table::ProcessTable, raw, users::user_of};

/// Bytes of an environment that are looked at.
const MOST_ENVIRONMENT: u64 = 256 * 1024;

/// Whose a process is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Of a worker whose process runs.
    Living(WorkerName),
    /// Of a worker's process that is gone.
    Dead,
    /// It carries no mark.
    Unknown,
}

/// Tells whose a child of the keeper is that is no worker's main process.
pub(super) fn owner(pid: Pid, table: &ProcessTable, leases: &Leases) -> Owner {
    let of = |worker: WorkerName, running: bool| if running { Owner::Living(worker) } else { Owner::Dead };
    if let Some(worker) = leases.held_by(pid) {
        // Where it is held, no later incarnation can have been started.
        let running = table.of_worker(&worker).is_some_and(|(_, process)| process.is_running());
        return of(worker, running);
    }
    if let Some((worker, incarnation)) = marks_in_environment(pid) {
        let running = table.is_running(&worker, incarnation);
        return of(worker, running);
    }
    let leader = getsid(Some(pid)).ok();
    match leader.and_then(|leader| table.get(table.of_pid(leader)?)) {
        Some(process) => Owner::Living(process.worker.clone()),
        None if table.iter().any(|(_, process)| !process.is_running() && Some(process.pid) == leader) => Owner::Dead,
        None => of_user(pid, table).map_or(Owner::Unknown, Owner::Living),
    }
}

/// The one worker that runs as the same user. With several of them nobody can tell by that whose a process is; when the last of
/// them ends, everybody of that user is killed.
fn of_user(pid: Pid, table: &ProcessTable) -> Option<WorkerName> {
    let mut workers = table.of_user(user_of(pid)?);
    workers.next().filter(|_| workers.next().is_none()).cloned()
}

/// Sends a signal to the whole family of a worker; how many processes got it.
pub(super) fn signal(worker: &WorkerName, table: &ProcessTable, leases: &Leases, signal: Signal) -> usize {
    let search = || family(worker, table, leases);
    if signal == Signal::SIGKILL {
        return kill_until_nobody_new(search);
    }
    search().into_iter().filter(|member| member.signal(signal)).count()
}

/// Kills a process that is nobody's any more and everybody below it.
pub(super) fn kill_below(root: Pid) {
    let mut members = Vec::new();
    collect(root, &mut members);
    for member in members {
        member.signal(Signal::SIGKILL);
    }
}

/// Kills whom the workers of an earlier keeper left behind, before this one has started anything; how many there were.
///
/// A worker dies with its keeper, but whoever it had started does not, and would keep its lease for ever. Nobody else can be
/// meant: the process holds one of our leases open, names that worker in its environment, and we are the only keeper here.
pub(super) fn kill_left_over_from_before(leases: &Leases) -> usize {
    if !leases.any_held().unwrap_or_default() {
        return 0;
    }
    let pids = || {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw)
    };
    let is_ours = |pid: &Pid| {
        leases.held_by(*pid).is_some_and(|held| marks_in_environment(*pid).is_some_and(|(marked, _)| marked == held))
    };
    kill_until_nobody_new(|| pids().filter(is_ours).filter_map(Member::find).collect())
}

/// Kills whom the search finds, and searches again until nobody new is found: a process can start another one while it is
/// being looked at.
fn kill_until_nobody_new(search: impl Fn() -> Vec<Member>) -> usize {
    const MOST_ROUNDS: usize = 32;
    let mut signalled = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let before = signalled.len();
        for member in search() {
            if !signalled.contains(&member) && member.signal(Signal::SIGKILL) {
                signalled.push(member);
            }
        }
        if signalled.len() == before {
            break;
        }
    }
    signalled.len()
}

/// Children of the keeper that are no worker's main process, dead or alive.
pub(super) fn orphans(table: &ProcessTable) -> Vec<Pid> {
    children(Pid::this()).into_iter().filter(|pid| table.of_pid(*pid).is_none()).collect()
}

fn family(worker: &WorkerName, table: &ProcessTable, leases: &Leases) -> Vec<Member> {
    let mut members = Vec::new();
    if let Some((_, process)) = table.of_worker(worker).filter(|(_, process)| process.is_running()) {
        collect(process.pid, &mut members);
    }
    for orphan in orphans(table) {
        if owner(orphan, table, leases) == Owner::Living(worker.clone()) {
            collect(orphan, &mut members);
        }
    }
    members
}

fn collect(pid: Pid, members: &mut Vec<Member>) {
    let Some(member) = Member::find(pid) else { return };
    // A number that was reused in mid-walk cannot lead in a circle.
    if members.contains(&member) {
        return;
    }
    members.push(member);
    for child in children(pid) {
        collect(child, members);
    }
}

/// One process, told from a later one of the same number by when it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    pid: Pid,
    start_ticks: u64,
}

impl Member {
    fn find(pid: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may contain anything; the state follows it, and field 22 is the start.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let start_ticks = fields.nth(18)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Self { pid, start_ticks })
    }

    fn signal(self, signal: Signal) -> bool {
        let Ok(pidfd) = raw::open_pidfd(self.pid) else { return false };
        Self::find(self.pid) == Some(self) && raw::signal_pidfd(&pidfd, signal).is_ok()
    }
}

/// The children of all threads of a process.
fn children(pid: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let parse = |list: String| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>();
    lists.flat_map(parse).map(Pid::from_raw).collect()
}

fn marks_in_environment(pid: Pid) -> Option<(WorkerName, u64)> {
    let mut environ = Vec::new();
    // A process says itself where its environment lies, and may call all of its memory that. Ours is at the beginning.
    File::open(format!("/proc/{pid}/environ")).ok()?.take(MOST_ENVIRONMENT).read_to_end(&mut environ).ok()?;
    let value = |name: &str| {
        environ.split(|byte| *byte == 0).find_map(|variable| {
            let rest = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            std::ffi::OsStr::from_bytes(rest).to_str()
        })
    };
    Some((value(environment::WORKER)?.parse().ok()?, value(environment::INCARNATION)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn everybody_below_a_process_is_found_and_the_dead_are_not() {
        let script = "sleep 60 & sh -c 'sleep 60 & echo; wait' & wait";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        // The innermost shell prints once its own child is there.
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let root = Pid::from_raw(i32::try_from(shell.id()).unwrap());
        let mut members = Vec::new();
        collect(root, &mut members);
        assert_eq!(members.len(), 4, "{members:?}");
        kill_below(root);
        shell.wait().unwrap();
        assert_eq!(Member::find(root), None);
        assert!(!members[0].signal(Signal::SIGTERM), "nobody is signalled by a number that is gone");
    }

    #[test]
    fn a_process_is_known_by_the_marks_in_its_environment() {
        let mut sleep = Command::new("sleep");
        let mut sleep = sleep.arg("60").env_clear().env("ETL_WORKER", "transform-7-1").env("ETL_INCARNATION", "3");
        let mut process = sleep.spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
        // The kernel lets its parent go on before the new program's environment can be read.
        let until = Instant::now() + Duration::from_secs(10);
        while fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| environ.is_empty()) {
            assert!(Instant::now() < until, "a program with an environment");
        }
        assert_eq!(marks_in_environment(pid), Some(("transform-7-1".parse().unwrap(), 3)));
        let leases = Leases::new("/nonexistent".into());
        assert_eq!(owner(pid, &ProcessTable::default(), &leases), Owner::Dead);
        process.kill().unwrap();
        process.wait().unwrap();
        sleep = sleep.env_clear();
        let mut process = sleep.env("PATH", "/usr/bin:/bin").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
        assert_eq!(owner(pid, &ProcessTable::default(), &leases), Owner::Unknown);
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
