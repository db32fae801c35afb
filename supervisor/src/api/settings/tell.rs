//! Puts what is set into the words of the API.

use std::time::SystemTime;

use etl_shared::{
    TenantId,
    api::{QueueSettings, SettingsDocument},
};

use crate::{
    clock::rfc3339,
    runtime::overrides::{Override, Rules, TenantOverrides},
};

/// One tenant's, with what follows from it.
pub(super) fn document(tenant: TenantId, set: &TenantOverrides, rules: &Rules, now: SystemTime) -> SettingsDocument {
    let effective = rules
        .iter()
        .map(|(queue_type, rules)| (queue_type.clone(), rules.with(set.queues.get(queue_type), now).shown()));
    let ever = set.revision > 0;
    SettingsDocument {
        tenant_id: tenant,
        revision: set.revision,
        queues: set.queues.iter().map(|(queue_type, set)| (queue_type.clone(), shown(set))).collect(),
        effective: effective.collect(),
        updated_at: ever.then(|| rfc3339(set.updated_at)),
        updated_by: ever.then(|| set.updated_by.clone()),
    }
}

/// What is set for one queue type.
pub(super) fn shown(set: &Override) -> QueueSettings {
    QueueSettings {
        workers: set.workers,
        workers_max: set.workers_max,
        memory_soft_bytes: set.memory_soft,
        paused_until: set.paused_until.map(rfc3339),
    }
}
