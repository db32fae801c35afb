//! The fleet as others see it: published whole after every change, read without waiting.

use std::{collections::BTreeMap, sync::Arc};

use etl_shared::{
    TenantId, Verdict, WorkerName,
    api::{BudgetStatus, PartStatus, TenantCredentials, TenantList, Wall, WorkerState},
    flight::Phase,
};

use super::overrides::{Overrides, Rules};
use crate::{clock::BootTime, history::Tally};

/// Everything that was true at one moment. Unchanged workers are shared with the view before.
#[derive(Debug, Clone)]
pub struct FleetView {
    /// Every worker, sorted by tenant, then queue type, then slot.
    pub workers: Arc<[Arc<WorkerView>]>,
    /// Tenants that are wanted, with or without workers, each with whether it is wanted up.
    pub tenants: Arc<BTreeMap<TenantId, bool>>,
    /// Queue depths by queue name.
    pub queues: Arc<BTreeMap<String, QueueSample>>,
    /// The supervisor's parts: `keeper`, `broker`, `database`, `tenants`.
    pub parts: BTreeMap<&'static str, PartStatus>,
    /// The keeper's pid while it answers.
    pub keeper_pid: Option<i32>,
    /// What keeps workers apart on this machine, and what does not.
    pub walls: Arc<[Wall]>,
    /// Each tenant's own accounts; `None`: all workers share one.
    pub accounts: Option<Arc<BTreeMap<TenantId, TenantCredentials>>>,
    /// What people call the tenants, where the tenant query says so.
    pub names: Arc<BTreeMap<TenantId, String>>,
    /// What people have set for single tenants.
    pub overrides: Arc<Overrides>,
    /// What the configuration says of queue types.
    pub rules: Arc<Rules>,
    /// Where the tenants come from.
    pub tenant_list: Arc<TenantList>,
    /// What all workers together take.
    pub budget: BudgetStatus,
    /// What has been counted; always as of now.
    pub tally: Tally,
    /// The first reading of the tenants has been acted on.
    pub settled: bool,
    /// The newest event that it shows; every later one is not in it, or not quite.
    pub last_event_id: u64,
    /// When the control loop last turned.
    pub turned_at: BootTime,
    /// Grows with every change of anything above but the times at which things were looked at and found as they were.
    pub version: u64,
}

/// One worker.
#[derive(Debug, Clone)]
pub struct WorkerView {
    /// Its name.
    pub name: WorkerName,
    /// Where it stands.
    pub state: WorkerState,
    /// Why, for a person.
    pub reason: String,
    /// Its process.
    pub process: Option<ProcessView>,
    /// The last incarnation that was started.
    pub incarnation: u64,
    /// Starts after the first one.
    pub restarts: u64,
    /// How the process before this one ended.
    pub last_exit: Option<ExitView>,
}

/// A process that lives.
#[derive(Debug, Clone, Copy)]
pub struct ProcessView {
    /// Its pid.
    pub pid: i32,
    /// When it started.
    pub started_at: BootTime,
    /// What it used when it was last looked at.
    pub sample: Option<Sample>,
}

/// What the operating system says of a process, and what the process says of its messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was read.
    pub at: BootTime,
    /// Resident memory in bytes.
    pub resident_memory_bytes: u64,
    /// Processor time in seconds.
    pub cpu_seconds: f64,
    /// From its flight record, where it keeps one.
    pub messages: Option<MessageSample>,
}

/// What a worker has noted of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageSample {
    /// What it is doing.
    pub phase: Phase,
    /// Since when, and on the same messages, in milliseconds of [`etl_shared::flight::monotonic_ms`]; 0: it does not say.
    pub since_ms: u64,
    /// Delivered and not settled.
    pub in_flight: u32,
    /// Done since its process started.
    pub done: u64,
    /// Dead-lettered since its process started.
    pub dead_lettered: u64,
    /// Held for another try since its process started.
    pub retried: u64,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub struct ExitView {
    /// In one word.
    pub verdict: Verdict,
    /// When.
    pub at: BootTime,
    /// In a sentence.
    pub detail: Option<String>,
}

/// A queue as the broker reported it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QueueSample {
    /// Messages ready for delivery.
    pub messages_ready: u32,
    /// Delivered and not acknowledged, where the management API has told.
    pub messages_unacknowledged: Option<u32>,
    /// Published per second, where the management API has told.
    pub publish_rate: Option<f64>,
    /// Acknowledged per second, where the management API has told.
    pub ack_rate: Option<f64>,
    /// Consumers attached.
    pub consumers: u32,
    /// When it was read.
    pub at: BootTime,
}

impl FleetView {
    /// The workers of one tenant.
    pub fn workers_of(&self, tenant: TenantId) -> &[Arc<WorkerView>] {
        let start = self.workers.partition_point(|worker| worker.name.tenant < tenant);
        let length = self.workers[start..].partition_point(|worker| worker.name.tenant == tenant);
        &self.workers[start..start + length]
    }
}
