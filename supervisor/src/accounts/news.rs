//! What the control loop and the task that looks after the accounts say to each other.

use etl_shared::TenantId;

/// What the control loop asks for. That every listed tenant has accounts needs no order: the task sees the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountOrder {
    /// Make the next generation beside the current one; answered by [`AccountNews::Prepared`].
    Prepare {
        /// Whose.
        tenant: TenantId,
    },
    /// The workers have moved over: this generation is the current one, every other one is deleted, which ends its connections.
    Adopt {
        /// Whose.
        tenant: TenantId,
        /// Which.
        generation: u32,
    },
    /// The workers could not move over: delete this generation, the current one goes on.
    Discard {
        /// Whose.
        tenant: TenantId,
        /// Which.
        generation: u32,
    },
    /// A worker was refused with the current accounts: set them up again as they should be.
    Repair {
        /// Whose.
        tenant: TenantId,
    },
}

/// Why an order to adopt or to discard has not been carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsettled {
    /// It is tried again; for a person.
    Yet(String),
    /// It never will be, because the accounts that it names are gone; for a person.
    Ever(String),
}

/// What became of the accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountNews {
    /// They are as they should be, and workers can use them.
    Ready {
        /// Whose.
        tenant: TenantId,
        /// The current generation.
        generation: u32,
        /// A next one, which an earlier life of the supervisor prepared and did not come to adopt.
        next: Option<u32>,
    },
    /// They are not there, or nobody knows.
    Missing {
        /// Whose.
        tenant: TenantId,
        /// Why, for a person.
        why: String,
    },
    /// Answers [`AccountOrder::Prepare`].
    Prepared {
        /// Whose.
        tenant: TenantId,
        /// The new generation, or why there is none; then the current one is as it was.
        outcome: Result<u32, String>,
    },
    /// Answers [`AccountOrder::Adopt`] and [`AccountOrder::Discard`].
    Settled {
        /// Whose.
        tenant: TenantId,
        /// The current generation, or what could not be done.
        outcome: Result<u32, Unsettled>,
    },
    /// The tenant has no accounts any more, and no connection of theirs is open.
    Revoked {
        /// Whose.
        tenant: TenantId,
    },
}
