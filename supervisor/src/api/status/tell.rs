//! Puts a worker and a tenant of the view into the words of the API.

use std::time::SystemTime;

use etl_shared::{
    TenantId,
    api::{LastExit, MessageCounts, QueueStatus, TenantStatus, WorkerState, WorkerStatus},
};

use crate::{
    clock::{BootTime, rfc3339},
    runtime::{
        FleetView, WorkerView,
        view::{ProcessView, Sample},
    },
};

/// Both clocks at one moment, so that all times of an answer agree.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Now {
    boot: BootTime,
    wall: SystemTime,
}

impl Now {
    pub(in crate::api) fn read() -> Self {
        Self { boot: BootTime::now(), wall: SystemTime::now() }
    }

    fn date(&self, at: BootTime) -> String {
        rfc3339(self.wall.checked_sub(self.boot.since(at)).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    const fn seconds_since(&self, at: BootTime) -> u64 {
        self.boot.since(at).as_secs()
    }
}

/// One tenant; `look` is asked about every process that lives.
pub(super) fn tenant(
    view: &FleetView,
    tenant: TenantId,
    now: &Now,
    look: impl Fn(&WorkerView, &ProcessView) -> Option<Sample>,
) -> TenantStatus {
    let workers: Vec<_> = view.workers_of(tenant).iter().map(|worker| self::worker(worker, now, &look)).collect();
    let mut names: Vec<&str> = workers.iter().map(|worker| worker.queue.as_str()).collect();
    names.dedup();
    let queues = names.into_iter().filter_map(|name| queue(view, name, now)).collect();
    TenantStatus {
        tenant_id: tenant,
        running: workers.iter().any(|worker| worker.state == WorkerState::Running),
        desired: if view.tenants.get(&tenant) == Some(&true) { "up" } else { "down" }.to_owned(),
        queues,
        workers,
    }
}

fn worker(worker: &WorkerView, now: &Now, look: impl Fn(&WorkerView, &ProcessView) -> Option<Sample>) -> WorkerStatus {
    let process = worker.process.as_ref();
    let sample = process.and_then(|process| look(worker, process));
    WorkerStatus {
        name: worker.name.clone(),
        queue: worker.name.queue().to_string(),
        state: worker.state,
        reason: worker.reason.clone(),
        pid: process.map(|process| process.pid),
        incarnation: worker.incarnation,
        started_at: process.map(|process| now.date(process.started_at)),
        uptime_seconds: process.map(|process| now.seconds_since(process.started_at)),
        resident_memory_bytes: sample.map(|sample| sample.resident_memory_bytes),
        cpu_seconds: sample.map(|sample| sample.cpu_seconds),
        sample_age_seconds: sample.map(|sample| now.seconds_since(sample.at)),
        restarts: worker.restarts,
        last_exit: worker.last_exit.as_ref().map(|exit| LastExit {
            verdict: exit.verdict.clone(),
            at: now.date(exit.at),
            detail: exit.detail.clone(),
        }),
        messages: sample.and_then(|sample| sample.messages).map(|messages| MessageCounts {
            phase: messages.phase.as_str().to_owned(),
            in_flight: messages.in_flight,
            done: messages.done,
            dead_lettered: messages.dead_lettered,
            retried: messages.retried,
        }),
    }
}

/// One queue, where the broker has reported it.
pub(in crate::api) fn queue(view: &FleetView, name: &str, now: &Now) -> Option<QueueStatus> {
    view.queues.get(name).map(|sample| QueueStatus {
        name: name.to_owned(),
        messages_ready: sample.messages_ready,
        messages_unacknowledged: sample.messages_unacknowledged,
        publish_rate: sample.publish_rate,
        ack_rate: sample.ack_rate,
        consumers: sample.consumers,
        sample_age_seconds: now.seconds_since(sample.at),
    })
}
