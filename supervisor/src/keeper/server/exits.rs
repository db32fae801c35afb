//! Ends of processes: reaped once, said once the family is gone.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Server;
use crate::keeper::{
    process_table::{Life, Token},
    protocol::{ExitStatus, Report, Usage},
    raw,
    tree::{self, Owner},
};

/// Orphans are looked through at most this often while processes end: with 5,000 workers one look takes 3 ms. Whoever holds a
/// lease that is needed is not left waiting for it.
const SWEEP_EVERY: Duration = Duration::from_millis(500);
/// The same while an exit cannot be said because of what the process left behind.
const SWEEP_FOR_LEFT_OVERS: Duration = Duration::from_millis(5);
/// After this long an exit is said although the lease is held: the next start will be refused with the holder's name, which
/// is something that an operator can act on.
const MOST_PATIENCE: Duration = Duration::from_secs(5);

impl Server {
    /// The main process of a worker may have ended.
    pub(super) fn main_process_ended(&mut self, token: Token) {
        let Some(process) = self.table.get(token) else { return };
        let Life::Running { pidfd } = &process.life else { return };
        if !raw::has_ended(process.pid) {
            return;
        }
        // While it is not reaped, its group cannot be anybody else's: the cheapest way to take with it what it left there.
        self.signal_group(token, Signal::SIGKILL);
        let (status, usage) = match raw::reap(process.pid) {
            Ok(Some(exit)) => exit,
            Ok(None) => return,
            Err(errno) => {
                // Nobody else can have reaped it; if somebody did, its fate is unknown, and that it is gone is not.
                tracing::error!(worker = %process.worker, %errno, "exit lost");
                (ExitStatus::Signal(Signal::SIGKILL as i32), Usage::default())
            }
        };
        // Before it is closed: an event of a closed descriptor could otherwise still come.
        if let Err(errno) = self.epoll.delete(pidfd) {
            tracing::debug!(worker = %process.worker, %errno, "process was not watched");
        }
        let exit = process.exit(status, usage);
        tracing::debug!(worker = %process.worker, incarnation = process.incarnation, ?status, "ended");
        self.table.leave_over(token, exit.clone());
        if self.nobody_is_left(token) {
            self.gone(token, exit);
        } else {
            self.sweep_within(Duration::ZERO);
        }
    }

    /// Kills everybody whom the kernel knows to belong to a worker, and only to it: what its control group holds, and its user.
    pub(super) fn kill_completely(&self, token: Token) {
        let Some(process) = self.table.get(token) else { return };
        if let Some(leaf) = self.parts.spawner.isolation.leaf(&process.worker)
            && let Err(error) = leaf.kill()
        {
            tracing::warn!(worker = %process.worker, %error, "control group not killed");
        }
        if let Some(user) = process.user
            && self.table.of_user(user).all(|worker| *worker == process.worker)
            && let Err(errno) = self.parts.spawner.isolation.kill_user(user)
        {
            tracing::warn!(worker = %process.worker, user, %errno, "processes of the user not killed");
        }
    }

    /// Whether a process that has ended has left nobody behind; kills whom it has.
    fn nobody_is_left(&self, token: Token) -> bool {
        let Some(process) = self.table.get(token) else { return true };
        let leaf_is_empty = self.parts.spawner.isolation.leaf(&process.worker).is_none_or(|leaf| {
            leaf.is_empty() || {
                if let Err(error) = leaf.kill() {
                    tracing::warn!(worker = %process.worker, %error, "control group not killed");
                }
                leaf.is_empty()
            }
        });
        let user_is_gone = match process.user {
            // Another worker of the same tenant is the same user.
            Some(user) if self.table.of_user(user).next().is_none() => {
                self.parts.spawner.isolation.kill_user(user).is_ok_and(|somebody| !somebody)
            }
            _ => true,
        };
        leaf_is_empty && user_is_gone && self.lease_is_free(token)
    }

    fn gone(&mut self, token: Token, mut exit: Report) {
        if let Some(process) = self.table.get(token)
            && let Some(leaf) = self.parts.spawner.isolation.leaf(&process.worker)
            && let Report::Exited { usage, .. } = &mut exit
        {
            // Before the group and what it counted are gone.
            usage.out_of_memory = leaf.ran_out_of_memory();
            if let Err(error) = leaf.remove() {
                tracing::warn!(worker = %process.worker, %error, "control group not removed");
            }
        }
        self.report(&exit);
        self.table.remove(token, exit);
    }

    /// Reaps orphans, kills those whose worker is gone, and says the exits that waited for it.
    pub(super) fn sweep(&mut self) {
        self.reap_orphans();
        for orphan in tree::orphans(&self.table) {
            match tree::owner(orphan, &self.table, &self.parts.spawner.leases) {
                Owner::Living(_) => {}
                Owner::Dead => {
                    tracing::info!(pid = orphan.as_raw(), "killing what a worker left behind");
                    tree::kill_below(orphan);
                }
                Owner::Unknown => tracing::debug!(pid = orphan.as_raw(), "an orphan of no known worker"),
            }
        }
        for token in self.table.left_over() {
            let Some(process) = self.table.get(token) else { continue };
            let Life::LeftOver { exit, since } = &process.life else { continue };
            let out_of_patience = since.elapsed() >= MOST_PATIENCE;
            if out_of_patience || self.nobody_is_left(token) {
                if out_of_patience {
                    tracing::error!(worker = %process.worker, "somebody whom it left behind cannot be found or killed");
                }
                let exit = exit.clone();
                self.gone(token, exit);
            }
        }
        if !self.table.left_over().is_empty() {
            self.sweep_within(SWEEP_FOR_LEFT_OVERS);
        }
    }

    /// Some process ended, and it may have been an orphan.
    pub(super) fn somebody_ended(&mut self) {
        self.sweep_within(SWEEP_EVERY);
    }

    fn sweep_within(&mut self, delay: Duration) {
        let at = Instant::now() + delay;
        self.sweep_at = Some(self.sweep_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Reaps whoever is no worker, and lets workers that are met on the way go the usual one.
    fn reap_orphans(&mut self) {
        while let Some(pid) = raw::somebody_who_ended() {
            if let Some(token) = self.table.of_pid(pid) {
                self.main_process_ended(token);
            } else if let Err(errno) = raw::reap(pid) {
                return tracing::warn!(pid = pid.as_raw(), %errno, "orphan not reaped");
            }
        }
    }

    /// Takes along whoever is left at the keeper's end: everybody below it was started by a worker.
    pub(super) fn end_orphans(&mut self) {
        let until = Instant::now() + MOST_PATIENCE;
        loop {
            self.reap_orphans();
            let orphans = tree::orphans(&self.table);
            if orphans.is_empty() || Instant::now() >= until {
                return;
            }
            for orphan in orphans {
                tree::kill_below(orphan);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn lease_is_free(&self, token: Token) -> bool {
        let Some(process) = self.table.get(token) else { return true };
        self.parts.spawner.leases.is_free(&process.worker).unwrap_or_else(|error| {
            tracing::warn!(worker = %process.worker, %error, "lease not looked at");
            true
        })
    }
}
