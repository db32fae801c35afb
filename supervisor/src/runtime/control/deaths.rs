//! Exits of processes, and what they say of the messages in hand.
//!
//! The order is what makes a strike certain: the flight record is read before a next process can overwrite it, the strike is
//! on disk before the exit takes its course, and only then may the keeper forget the exit and the worker be started again.
//! Whatever ends the supervisor in between, the keeper tells the exit to the next one, which finds the record as it was. The
//! loop waits for none of it: the exit comes back as news.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use etl_shared::{
    QueueName, WorkerName, exit_code,
    flight::{FlightRecord, monotonic_ms},
    suspicion::Suspicions,
};
use nix::libc;
use tokio::time::Instant;

use super::{
    Control,
    accounts::{MEND_CONFIGURATION_EVERY, REPAIR_EVERY},
};
use crate::{
    clock::BootTime,
    keeper::protocol::{ExitStatus, Request, Usage},
    lifecycle::{Event, Exit, Slot, State, StopCause, verdict},
    poison::{OomKills, PassedDeath, Rules, Struck, blame, oom_kills},
    runtime::{news::AfterStrikes, recorder::Note},
};

/// Most messages that one line of the log names.
const NAMED_IN_A_LINE: usize = 20;

/// An older kill of the kernel explains no exit.
const COUNT_OOM_KILLS_EVERY: Duration = Duration::from_mins(1);

/// How long a disk may take before workers are started without it.
const KEEP_STRIKES_WITHIN: Duration = Duration::from_secs(10);
/// How often strikes that are too old are looked for.
const EXPIRE_EVERY: Duration = Duration::from_hours(1);

/// What the loop remembers of it.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    oom_kills: OomKills,
    oom_counted_at: Option<Instant>,
    /// Exits that wait until their strikes stand on disk.
    unrecorded: Vec<Unrecorded>,
    expired_at: Option<Instant>,
    /// The keeper has said everything, but some exits before that still wait.
    listed: bool,
}

/// An exit whose strikes are on their way to the disk.
#[derive(Debug)]
struct Unrecorded {
    worker: WorkerName,
    incarnation: u64,
    exit: Exit,
    since: Instant,
}

impl Deaths {
    /// The processes that the keeper had are gone, and the next one says again what there is.
    pub(super) const fn keeper_lost(&mut self) {
        self.listed = false;
    }

    /// Reads the kernel's count of its kills now and then.
    pub(super) fn count_oom_kills(&mut self, now: Instant) {
        if self.oom_counted_at.is_none_or(|at| now - at >= COUNT_OOM_KILLS_EVERY) {
            self.oom_counted_at = Some(now);
            self.oom_kills.seen(read_oom_kills());
        }
    }
}

impl Control {
    /// What a new process of this worker is told.
    pub(super) fn suspicions_for(&mut self, worker: &WorkerName) -> Suspicions {
        let rules = self.poison_rules();
        self.parts.strikes.suspicions(&worker.queue().to_string(), rules, SystemTime::now())
    }

    /// A process has ended.
    pub(super) fn ended(
        &mut self,
        worker: WorkerName,
        incarnation: u64,
        status: ExitStatus,
        usage: &Usage,
        at: BootTime,
    ) {
        if self.deaths.unrecorded.iter().any(|one| one.worker == worker && one.incarnation == incarnation) {
            // The keeper tells it once more.
            return;
        }
        self.count_last_look(&worker, incarnation, usage);
        let told = self.told_to_leave(&worker, incarnation);
        let record = self.at_work(&worker, incarnation);
        let by_memory = self.ended_by_memory(&worker, incarnation, status, usage);
        let exit = match status {
            ExitStatus::Code(code) => Exit::Code(code),
            ExitStatus::Signal(libc::SIGKILL) if by_memory == Some(true) => Exit::OutOfMemory,
            ExitStatus::Signal(libc::SIGKILL) if told.is_none() => {
                // Whoever has a control group of its own with such a count was not among the kernel's other kills.
                if by_memory.is_none() && self.deaths.oom_kills.explains(read_oom_kills()) {
                    Exit::OutOfMemory
                } else if record.as_ref().is_some_and(|record| self.was_stuck(&worker, record, at)) {
                    // We may have killed it ourselves: a supervisor that was killed in that moment has told nobody.
                    Exit::Stuck
                } else {
                    Exit::Signal(libc::SIGKILL)
                }
            }
            ExitStatus::Signal(signal) => Exit::Signal(signal),
        };
        if let (Some(blame), Some(record)) = (blame(exit, told), record) {
            let (verdict, marks) = (verdict(exit, told), record.marks);
            let death = PassedDeath { worker: worker.clone(), incarnation, verdict, blame, marks };
            let struck = self.parts.strikes.died(&death, self.poison_rules(), SystemTime::now());
            if !struck.is_empty() {
                tell(&death, &struck);
                self.keep_strikes(&worker.queue(), AfterStrikes::Exit { worker: worker.clone(), incarnation });
                self.deaths.unrecorded.push(Unrecorded { worker, incarnation, exit, since: Instant::now() });
                return;
            }
        }
        self.conclude(&worker, incarnation, exit);
    }

    fn conclude(&mut self, worker: &WorkerName, incarnation: u64, exit: Exit) {
        self.link.send(&Request::Noted { worker: worker.clone(), incarnation }, None);
        self.happened(Event::Exited { worker: worker.clone(), incarnation, exit });
        match exit {
            Exit::Code(exit_code::REFUSED) => self.refused(worker, REPAIR_EVERY),
            // A permission that is missing at the broker is told like this, and so is much that no account can mend.
            Exit::Code(exit_code::CONFIGURATION) => self.refused(worker, MEND_CONFIGURATION_EVERY),
            _ => {}
        }
    }

    /// The keeper has said everything that was there.
    pub(super) fn listed(&mut self) {
        // What happened before it is heard before it.
        if !self.deaths.unrecorded.is_empty() {
            self.deaths.listed = true;
            return;
        }
        self.deaths.listed = false;
        self.forgiveness.processes_are_known(true);
        // Those that were found run; whoever was to run may have to wait behind them.
        self.ask_for_room_again();
        self.accounts.processes_are_known = true;
        self.happened(Event::KeeperUp);
        self.reconcile();
    }

    pub(super) fn strikes_kept(&mut self, then: AfterStrikes, error: Option<String>) {
        match then {
            AfterStrikes::Exit { worker, incarnation } => {
                self.conclude_those(|one| one.worker == worker && one.incarnation == incarnation);
            }
            AfterStrikes::Forgiven { queue, fingerprint, forgiven, answer } => {
                self.forgiven(queue, fingerprint, forgiven, answer, error);
            }
            AfterStrikes::Nothing => {}
        }
    }

    /// A disk that does not answer keeps no worker down. The strike counts in this life, and is written when the disk answers.
    pub(super) fn conclude_overdue(&mut self, now: Instant) {
        let overdue = |one: &Unrecorded| now.saturating_duration_since(one.since) >= KEEP_STRIKES_WITHIN;
        for Unrecorded { worker, incarnation, .. } in self.deaths.unrecorded.iter().filter(|one| overdue(one)) {
            let waited = KEEP_STRIKES_WITHIN.as_secs();
            tracing::warn!(%worker, incarnation, waited, "the state disk does not answer: a strike is not recorded yet");
        }
        self.conclude_those(overdue);
    }

    fn conclude_those(&mut self, which: impl Fn(&Unrecorded) -> bool) {
        let done: Vec<_> = self.deaths.unrecorded.extract_if(.., |one| which(one)).collect();
        for Unrecorded { worker, incarnation, exit, .. } in done {
            self.conclude(&worker, incarnation, exit);
        }
        if self.deaths.listed {
            self.listed();
        }
    }

    /// What is too old is forgotten now and then, also of queues in which nobody dies any more.
    pub(super) fn expire_strikes(&mut self, now: Instant) {
        if self.deaths.expired_at.is_some_and(|at| now.saturating_duration_since(at) < EXPIRE_EVERY) {
            return;
        }
        self.deaths.expired_at = Some(now);
        let (rules, at) = (self.poison_rules(), SystemTime::now());
        self.parts.strikes.expire(rules, at);
        let _ = self.parts.notes.send(Note::Expire { rules, at });
    }

    pub(super) fn keep_strikes(&mut self, queue: &QueueName, then: AfterStrikes) {
        let queue = queue.to_string();
        let page = self.parts.strikes.page(&queue);
        // Whoever writes it down ends after this loop.
        let _ = self.parts.notes.send(Note::Strikes { queue, page, then });
    }

    fn poison_rules(&self) -> Rules {
        let poison = &self.parts.settings.poison;
        Rules { strikes: poison.strikes, window: poison.window }
    }

    fn told_to_leave(&self, worker: &WorkerName, incarnation: u64) -> Option<StopCause> {
        match self.fleet.slot(worker).map(Slot::state) {
            Some(State::Stopping { incarnation: current, cause, .. }) if *current == incarnation => Some(*cause),
            _ => None,
        }
    }

    /// The flight record of a process that had messages in hand when it ended.
    fn at_work(&self, worker: &WorkerName, incarnation: u64) -> Option<FlightRecord> {
        let path = self.parts.settings.runtime.flight_directory().join(worker.to_string());
        let record = FlightRecord::read(&path).ok()?;
        let at_work = record.phase.has_messages_in_hand() && !record.marks.is_empty();
        (record.incarnation == incarnation && at_work).then_some(record)
    }

    /// Whether it had been at work on the same for too long when it ended.
    fn was_stuck(&self, worker: &WorkerName, record: &FlightRecord, ended_at: BootTime) -> bool {
        let Some(queue) = self.parts.settings.queues.get(&worker.queue_type) else { return false };
        let since_its_end = BootTime::now().since(ended_at);
        let since = Duration::from_millis(monotonic_ms().saturating_sub(record.since_ms));
        record.since_ms > 0 && since.saturating_sub(since_its_end) >= queue.job_timeout
    }
}

fn tell(death: &PassedDeath, struck: &[Struck]) {
    let PassedDeath { worker, incarnation, verdict, .. } = death;
    let (tenant, in_hand) = (worker.tenant, death.marks.len());
    if let [Struck { mark, own_deaths, condemned }] = struck {
        let raw_data_id = mark.raw_data_id;
        let said =
            if *condemned { "a message is condemned: it becomes a dead letter" } else { "a message is suspected" };
        tracing::warn!(%worker, tenant = tenant.get(), incarnation, raw_data_id, %verdict, strikes = own_deaths, in_hand, "{said}");
        return;
    }
    let raw_data_ids: Vec<i64> = struck.iter().map(|one| one.mark.raw_data_id).take(NAMED_IN_A_LINE).collect();
    let condemned = struck.iter().filter(|one| one.condemned).count();
    tracing::warn!(
        %worker, tenant = tenant.get(), incarnation, ?raw_data_ids, %verdict, in_hand, condemned,
        "a batch is suspected: its messages run alone"
    );
}

fn read_oom_kills() -> Option<u64> {
    oom_kills(&fs::read_to_string("/proc/vmstat").ok()?)
}

#[cfg(test)]
mod tests;
