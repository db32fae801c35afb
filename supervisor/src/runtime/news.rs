//! What the parts that talk to the outside tell the control loop.

use std::collections::{BTreeMap, BTreeSet};

use etl_shared::{
    QueueName, TenantId, WorkerName,
    api::{RotationAccepted, TenantList},
};
use tokio::sync::oneshot;

use super::{
    handle::{Asked, ControlError, Selection},
    overrides::Overrides,
    view::QueueSample,
};
use crate::{accounts::AccountNews, poison::Suspect, store::Seats};

/// One piece of news.
#[derive(Debug)]
pub enum News {
    /// The tenant query returned these.
    Tenants(BTreeSet<TenantId>),
    /// What people call them, where the query says so.
    Names(BTreeMap<TenantId, String>),
    /// What people have set for single tenants.
    Overrides(Overrides),
    /// The condition of a part changed; a dependency that became usable wakes the workers that wait for it.
    Part {
        /// `broker` or `database`.
        part: &'static str,
        /// Whether it works.
        ok: bool,
        /// What is going on, for a person.
        detail: String,
    },
    /// The database server has so many connections.
    Seats(Seats),
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
    /// What became of a tenant's accounts.
    Account(AccountNews),
    /// An order that has been recorded.
    Recorded {
        /// Which.
        order: Recorded,
        /// Who gave it.
        asked: Asked,
    },
    /// Strikes stand on disk, or cannot be written there.
    StrikesKept {
        /// What waited for it.
        then: AfterStrikes,
        /// Why they could not be written.
        error: Option<String>,
    },
}

/// What is done when strikes stand on disk.
#[derive(Debug)]
pub enum AfterStrikes {
    /// The exit that they came from takes its course.
    Exit {
        /// Whose process.
        worker: WorkerName,
        /// Which.
        incarnation: u64,
    },
    /// A message is forgiven.
    Forgiven {
        /// Its queue.
        queue: QueueName,
        /// The fingerprint of its body.
        fingerprint: u64,
        /// What was held against it.
        forgiven: Vec<Suspect>,
        /// Who waits.
        answer: Answer<bool>,
    },
    /// Nobody waits for it.
    Nothing,
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
    /// Forget what is held against a message; not recorded yet, because the control loop knows what there is to forget.
    Forgive {
        /// Its queue.
        queue: QueueName,
        /// The fingerprint of its body.
        fingerprint: u64,
        /// Who waits.
        answer: Answer<bool>,
    },
    /// Replace secrets; what is under way stands at broker and database.
    Rotate(Selection, Answer<RotationAccepted>),
    /// Accept the refused tenants.
    ConfirmTenants(Answer<TenantList>),
}

/// Where the answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, ControlError>>;
