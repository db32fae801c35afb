//! The name of a worker: the slot that a process fills, not the process.

use std::{fmt, num::NonZeroU16, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{QueueName, QueueType, TenantId};

/// `{type}-{tenant}-{slot}`, such as `transform-7-1`; safe as a file name, because neither part can hold a slash or a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerName {
    /// The kind of work, which chooses the command template.
    pub queue_type: QueueType,
    /// Whose worker it is.
    pub tenant: TenantId,
    /// Which of the tenant's workers, counted from 1.
    pub slot: NonZeroU16,
}

/// The text does not name a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a worker name: expected TYPE-TENANT-SLOT, such as transform-7-1")]
pub struct InvalidWorkerName(String);

impl WorkerName {
    /// The queue that this worker consumes.
    pub fn queue(&self) -> QueueName {
        self.queue_type.queue_of(self.tenant)
    }
}

impl FromStr for WorkerName {
    type Err = InvalidWorkerName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.splitn(3, '-');
            let queue_type = parts.next()?.parse().ok()?;
            let tenant = parts.next()?.parse().ok()?;
            // Through the tenant's own rule: one spelling for every number.
            let slot: TenantId = parts.next()?.parse().ok()?;
            let slot = NonZeroU16::new(u16::try_from(slot.get()).ok()?)?;
            Some(Self { queue_type, tenant, slot })
        };
        parse().ok_or_else(|| InvalidWorkerName(text.to_owned()))
    }
}

impl TryFrom<String> for WorkerName {
    type Error = InvalidWorkerName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WorkerName> for String {
    fn from(name: WorkerName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}-{}", self.queue_type, self.tenant, self.slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_name_survives_being_written_and_read() {
        let name: WorkerName = "jira_sync-7-2".parse().unwrap();
        assert_eq!((name.queue_type.as_str(), name.tenant.get(), name.slot.get()), ("jira_sync", 7, 2));
        assert_eq!(name.to_string(), "jira_sync-7-2");
        assert_eq!(name.queue().to_string(), "jira_sync_queue_tenant_7");
    }

    #[test]
    fn a_path_or_a_second_spelling_is_no_worker_name() {
        for wrong in
            ["", "transform-7", "transform-7-0", "transform-7-01", "../x-7-1", "transform-7-1/..", "transform-7-70000"]
        {
            assert!(wrong.parse::<WorkerName>().is_err(), "{wrong:?}");
        }
    }
}
