//! What the parts that talk to the outside tell the control loop.

use std::collections::{BTreeMap, BTreeSet};

use etl_shared::{TenantId, api::TenantList};
use tokio::sync::oneshot;

use super::{
    handle::{ControlError, Selection},
    view::QueueSample,
};

/// One piece of news.
#[derive(Debug)]
pub enum News {
    /// The tenant query returned these.
    Tenants(BTreeSet<TenantId>),
    /// The condition of a part changed; a dependency that became usable wakes the workers that wait for it.
    Part {
        /// `broker` or `database`.
        part: &'static str,
        /// Whether it works.
        ok: bool,
        /// What is going on, for a person.
        detail: String,
    },
    /// A queue exists.
    QueueReady(String),
    /// A queue does not exist and could not be made, or nobody knows.
    QueueMissing {
        /// Which.
        queue: String,
        /// Why, for a person.
        why: String,
    },
    /// Depths as the broker reported them.
    Depths(BTreeMap<String, QueueSample>),
    /// An order that has been recorded.
    Recorded(Recorded),
}

/// An order of an operator that would survive a restart by now.
#[derive(Debug)]
pub enum Recorded {
    /// Start.
    Start(Selection, Answer<usize>),
    /// Stop.
    Stop(Selection, Answer<usize>),
    /// Restart.
    Restart(Selection, Answer<usize>),
    /// Accept the refused tenants.
    ConfirmTenants(Answer<TenantList>),
}

/// Where the answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, ControlError>>;
