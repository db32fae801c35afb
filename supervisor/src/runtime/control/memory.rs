//! Workers that have more memory than they should: replaced above the soft limit, killed at the hard one.
//!
//! The sampling round sees every worker now and then. Those that come near their soft limit are looked at every second from then
//! on, and those that this loop may have to kill, more often. What a look means is decided in [`crate::limits`].

use std::{collections::HashSet, time::Duration};

use bytesize::ByteSize;
use etl_shared::WorkerName;
use nix::libc;
use tokio::time::Instant;

use super::Control;
use crate::{
    clock::BootTime,
    keeper::protocol::{ExitStatus, Request, Scope, Usage},
    lifecycle::{Slot, State, StopCause},
    limits::{Finding, Look, MemoryLimits, TooSmall, Watches, Work},
    runtime::{sample::look, view::Sample},
};

/// Looks follow each other at least at this distance, so that however many workers are watched, this is what it costs.
const TURN: Duration = Duration::from_millis(200);
/// Most processes that are looked at in one turn: a quarter of a thousand in a second.
const LOOKS_IN_A_TURN: usize = 50;

/// What the loop remembers of it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    watches: Watches,
    turn_at: Option<BootTime>,
    /// Processes that were killed here for their memory, until they are gone.
    killed: HashSet<(WorkerName, u64)>,
}

impl Memory {
    /// An operator wants the worker to begin anew, or it is gone.
    pub(super) fn forget(&mut self, worker: &WorkerName) {
        self.watches.forget(worker);
    }
}

impl Control {
    /// A worker was looked at.
    pub(super) fn watch_memory(&mut self, worker: &WorkerName, sample: &Sample) {
        let Some(holds) = self.holds_for(worker) else { return };
        let limits = MemoryLimits { soft: holds.memory_soft, max: holds.memory_max, held: self.kernel_holds_memory() };
        let Some((incarnation, _, started_at)) = self.fleet.slot(worker).and_then(|slot| slot.state().process()) else {
            return;
        };
        let look = Look {
            incarnation,
            resident: sample.resident_memory_bytes,
            age: sample.at.since(started_at),
            // A stand-in leaves in a moment.
            leaving: matches!(self.fleet.slot(worker).map(Slot::state), Some(State::Stopping { .. }))
                || self.reliefs.stands_in_for(worker).is_some(),
            work: sample.messages.map(|messages| Work {
                // The process writes both itself, whatever it likes.
                settled: messages.done.saturating_add(messages.dead_lettered),
                in_hand: messages.phase.has_messages_in_hand(),
            }),
        };
        match self.memory.watches.looked(worker, look, limits, sample.at) {
            Finding::Fine => {}
            Finding::Replace => {
                self.remark(worker, None);
                self.replace_for_its_memory(worker, &look, limits);
            }
            Finding::TooSmall(said) => {
                let remark = too_small(&said, worker);
                if said.again {
                    tracing::debug!(%worker, tenant = %worker.tenant, incarnation, "{remark}");
                } else {
                    tracing::warn!(%worker, tenant = %worker.tenant, incarnation, "{remark}");
                }
                self.remark(worker, Some(remark));
            }
            Finding::Fits => self.remark(worker, None),
            Finding::Kill => self.kill_for_its_memory(worker, &look, limits),
        }
    }

    /// When a worker has to be looked at again.
    pub(super) fn memory_due(&self) -> Option<Instant> {
        let due = self.memory.watches.next_due()?.max(self.memory.turn_at.unwrap_or_default());
        // Rounded up to the timer's own step.
        Some(Instant::now() + due.since(BootTime::now()) + Duration::from_millis(1))
    }

    /// Looks at those whose moment has come.
    pub(super) fn look_at_memory(&mut self) {
        let now = BootTime::now();
        let early = self.memory.turn_at.is_some_and(|at| now < at);
        if early || self.memory.watches.next_due().is_none_or(|due| now < due) {
            return;
        }
        self.memory.turn_at = Some(now + TURN);
        for worker in self.memory.watches.take_due(now, LOOKS_IN_A_TURN) {
            self.look_now(&worker);
        }
    }

    /// Looks at one worker's process.
    pub(super) fn look_now(&mut self, worker: &WorkerName) {
        let process = self.fleet.slot(worker).and_then(|slot| slot.state().process());
        let Some((incarnation, pid, _)) = process else { return };
        let flights = self.parts.settings.runtime.flight_directory();
        if let Some(sample) = look(&flights, worker, incarnation, pid) {
            self.looked(worker, pid, &sample);
        }
    }

    /// Everybody who wants to know of a look is told.
    pub(super) fn looked(&mut self, worker: &WorkerName, pid: i32, sample: &Sample) {
        self.parts.board.sampled(worker, pid, *sample);
        self.watch_progress(worker, sample.messages);
        self.watch_memory(worker, sample);
    }

    /// What is known of a worker's memory is forgotten, together with what is said of it.
    pub(super) fn forget_memory(&mut self, worker: &WorkerName) {
        self.memory.forget(worker);
        self.remark(worker, None);
    }

    /// By the word of the keeper.
    fn kernel_holds_memory(&self) -> bool {
        self.parts.board.wall_is_up("memory")
    }

    fn replace_for_its_memory(&mut self, worker: &WorkerName, look: &Look, limits: MemoryLimits) {
        let (uses, soft) = (size(look.resident), size(limits.soft));
        tracing::warn!(
            %worker, tenant = %worker.tenant, incarnation = look.incarnation, %uses, memory_soft = %soft,
            "more memory than its soft limit for a while: it is replaced"
        );
        self.relieve([worker.clone()], StopCause::Recycle);
    }

    fn kill_for_its_memory(&mut self, worker: &WorkerName, look: &Look, limits: MemoryLimits) {
        let (uses, max, incarnation) = (size(look.resident), size(limits.max), look.incarnation);
        tracing::error!(
            %worker, tenant = %worker.tenant, incarnation, %uses, memory_max = %max,
            "as much memory as its hard limit: it is killed"
        );
        // Before the signal: however it ends now, this is why.
        self.memory.killed.insert((worker.clone(), incarnation));
        let (worker, signal, scope) = (worker.clone(), libc::SIGKILL, Scope::Tree);
        self.link.send(&Request::Signal { worker, incarnation, signal, scope }, None);
    }

    /// Whether it is certain that a process ended because of its memory, by what was done here or by the kernel's word for
    /// the process's own control group; `None`: nobody has looked.
    pub(super) fn ended_by_memory(
        &mut self,
        worker: &WorkerName,
        incarnation: u64,
        status: ExitStatus,
        usage: &Usage,
    ) -> Option<bool> {
        let killed_here = self.memory.killed.remove(&(worker.clone(), incarnation));
        if status != ExitStatus::Signal(libc::SIGKILL) {
            self.mention_its_memory(worker, incarnation, status, usage);
            return Some(false);
        }
        if killed_here || usage.out_of_memory == Some(true) {
            return Some(true);
        }
        // A supervisor that was killed right after it had killed a worker has told nobody.
        let max = self.parts.settings.queues.get(&worker.queue_type)?.memory_max;
        let had_it_all =
            usage.out_of_memory.is_none() && !self.kernel_holds_memory() && usage.max_resident_bytes >= max;
        if had_it_all { Some(true) } else { usage.out_of_memory }
    }

    /// Where memory is refused, a program ends itself in a way of its own. That is no proof, so it keeps its own word; but it is
    /// worth a line.
    fn mention_its_memory(&self, worker: &WorkerName, incarnation: u64, status: ExitStatus, usage: &Usage) {
        let Some(queue) = self.parts.settings.queues.get(&worker.queue_type) else { return };
        if status != ExitStatus::Code(0) && usage.max_resident_bytes >= queue.memory_max / 20 * 19 {
            let (had, max) = (size(usage.max_resident_bytes), size(queue.memory_max));
            tracing::warn!(%worker, tenant = %worker.tenant, incarnation, %had, memory_max = %max, "it ended near its memory limit");
        }
    }

    /// Shows with a worker what its state does not say.
    fn remark(&mut self, worker: &WorkerName, remark: Option<String>) {
        if self.parts.board.remark(worker, remark)
            && let Some(slot) = self.fleet.slot(worker)
        {
            self.parts.board.show(worker, slot, self.reliefs.stands_in_for(worker));
        }
    }
}

fn too_small(said: &TooSmall, worker: &WorkerName) -> String {
    let (key, soft, uses) = (format!("queues.{}.memory_soft", worker.queue_type), size(said.soft), size(said.uses));
    match said.in_vain {
        0 => format!(
            "memory_soft is too small for this program: fresh it uses {uses}, {key} is {soft}; it is left running"
        ),
        times => format!(
            "memory_soft is too small for this program: replaced {times} times within the hour, it uses {uses} again, \
             {key} is {soft}; it is left running"
        ),
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}
