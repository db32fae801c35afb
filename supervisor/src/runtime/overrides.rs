//! What people have set for single tenants, and what follows from it together with the configuration.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use etl_shared::{QueueType, TenantId, WorkerName, api::EffectiveSettings};
use serde::{Deserialize, Serialize};

use crate::settings::{LEAST_MEMORY, Queue};

/// Most workers of one tenant and queue type, whoever asks for them.
pub const MOST_WORKERS: u16 = 64;
/// The last moment that RFC 3339 can name, 9999-12-31T23:59:59Z: a pause until then has no end.
pub fn without_end() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799)
}

/// What is set for one tenant's workers of one queue type; `None`: as the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// How many.
    pub workers: Option<u16>,
    /// The most that the tenant's operator may ask for.
    pub workers_max: Option<u16>,
    /// In bytes.
    pub memory_soft: Option<u64>,
    /// Until then there are none.
    pub paused_until: Option<SystemTime>,
}

/// What is set for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantOverrides {
    /// By queue type.
    pub queues: BTreeMap<QueueType, Override>,
    /// Another one after every change; 0: nothing was ever set.
    pub revision: i64,
    /// When it was changed last.
    pub updated_at: SystemTime,
    /// By whom.
    pub updated_by: String,
}

/// What is set for anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides(pub BTreeMap<TenantId, TenantOverrides>);

/// What the configuration says of a queue type, as far as somebody may want it otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRules {
    /// Workers of each tenant.
    pub workers: u16,
    /// The most that a tenant's operator may ask for.
    pub workers_max: u16,
    /// In bytes.
    pub memory_soft: u64,
    /// In bytes.
    pub memory_max: u64,
}

/// By queue type.
pub type Rules = BTreeMap<QueueType, QueueRules>;

/// What holds for one tenant's workers of one queue type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effective {
    /// How many.
    pub workers: u16,
    /// The most that the tenant's operator may ask for.
    pub workers_max: u16,
    /// In bytes.
    pub memory_soft: u64,
    /// In bytes.
    pub memory_max: u64,
    /// Until then there are none; never in the past.
    pub paused_until: Option<SystemTime>,
}

impl Default for TenantOverrides {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), revision: 0, updated_at: SystemTime::UNIX_EPOCH, updated_by: String::new() }
    }
}

impl From<&Queue> for QueueRules {
    fn from(queue: &Queue) -> Self {
        let Queue { workers, memory_soft, memory_max, .. } = *queue;
        Self { workers, workers_max: queue.most_workers(), memory_soft, memory_max }
    }
}

impl QueueRules {
    /// What holds where this is set. A number from the table was not necessarily written by this program: it is kept within its limits.
    pub fn with(self, set: Option<&Override>, now: SystemTime) -> Effective {
        let nothing = Override::default();
        let set = set.unwrap_or(&nothing);
        Effective {
            workers: set.workers.unwrap_or(self.workers).min(MOST_WORKERS),
            workers_max: set.workers_max.unwrap_or(self.workers_max).min(MOST_WORKERS),
            // With less than a worker takes at rest it would be replaced for ever.
            memory_soft: set.memory_soft.map_or(self.memory_soft, |bytes| bytes.max(LEAST_MEMORY)).min(self.memory_max),
            memory_max: self.memory_max,
            paused_until: set.paused_until.filter(|until| *until > now),
        }
    }
}

impl Overrides {
    /// What is set for one tenant's workers of one queue type.
    pub fn of(&self, tenant: TenantId, queue_type: &QueueType) -> Option<&Override> {
        self.0.get(&tenant)?.queues.get(queue_type)
    }

    /// What holds for a worker's kind; nothing where its queue type is not configured.
    pub fn effective(&self, rules: &Rules, worker: &WorkerName, now: SystemTime) -> Option<Effective> {
        Some(rules.get(&worker.queue_type)?.with(self.of(worker.tenant, &worker.queue_type), now))
    }

    /// How many workers of all kinds each tenant has for whom anything is set.
    pub fn crews(&self, rules: &Rules) -> BTreeMap<TenantId, u32> {
        let of = |set: &TenantOverrides| {
            let each = rules.iter().map(|(queue_type, rules)| {
                // A pause has no say in it: the workers come back.
                u32::from(rules.with(set.queues.get(queue_type), SystemTime::UNIX_EPOCH).workers)
            });
            each.sum()
        };
        self.0.iter().map(|(tenant, set)| (*tenant, of(set))).collect()
    }

    /// When the next pause ends.
    pub fn next_resume(&self, now: SystemTime) -> Option<SystemTime> {
        let set = self.0.values().flat_map(|tenant| tenant.queues.values());
        set.filter_map(|set| set.paused_until).filter(|until| *until > now).min()
    }
}

impl Effective {
    /// For the API.
    pub fn shown(&self) -> EffectiveSettings {
        EffectiveSettings {
            workers: self.workers,
            workers_max: self.workers_max,
            memory_soft_bytes: self.memory_soft,
            memory_max_bytes: self.memory_max,
            paused: self.paused_until.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: QueueRules = QueueRules { workers: 2, workers_max: 8, memory_soft: 100, memory_max: 200 };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_not_set_is_as_the_configuration_says() {
        let holds = RULES.with(None, at(0));
        assert_eq!((holds.workers, holds.workers_max, holds.memory_soft, holds.paused_until), (2, 8, 100, None));
        let set = Override { workers: Some(0), ..Override::default() };
        assert_eq!(RULES.with(Some(&set), at(0)).workers, 0);
    }

    #[test]
    fn what_somebody_has_written_into_the_table_is_kept_within_its_limits() {
        let set = Override {
            workers: Some(500),
            workers_max: Some(500),
            memory_soft: Some(1000),
            paused_until: Some(at(10)),
        };
        let little = Override { memory_soft: Some(1), ..Override::default() };
        let roomy = QueueRules { memory_max: 2 * LEAST_MEMORY, ..RULES };
        assert_eq!(roomy.with(Some(&little), at(9)).memory_soft, LEAST_MEMORY);
        let holds = RULES.with(Some(&set), at(9));
        assert_eq!((holds.workers, holds.workers_max, holds.memory_soft), (MOST_WORKERS, MOST_WORKERS, 200));
        assert_eq!(holds.paused_until, Some(at(10)));
        assert_eq!(RULES.with(Some(&set), at(10)).paused_until, None, "its time has come");
    }

    #[test]
    fn the_pause_that_ends_first_is_the_next_one_and_past_ones_are_none() {
        let paused = |until| Override { paused_until: Some(at(until)), ..Override::default() };
        let tenant = |id: i64, until| {
            let queues = BTreeMap::from([("transform".parse().unwrap(), paused(until))]);
            let set = TenantOverrides { queues, revision: 1, updated_at: at(0), updated_by: String::new() };
            (TenantId::try_from(id).unwrap(), set)
        };
        let overrides = Overrides(BTreeMap::from([tenant(1, 30), tenant(2, 20), tenant(3, 5)]));
        assert_eq!(overrides.next_resume(at(10)), Some(at(20)));
        assert_eq!(overrides.next_resume(at(20)), Some(at(30)));
        assert_eq!(overrides.next_resume(at(30)), None);
        let written = serde_json::to_vec(&overrides).unwrap();
        assert_eq!(serde_json::from_slice::<Overrides>(&written).unwrap(), overrides);
    }

    #[test]
    fn a_pause_without_end_is_the_last_moment_that_can_be_written() {
        assert_eq!(crate::clock::rfc3339(without_end()), "9999-12-31T23:59:59.000Z");
    }
}
