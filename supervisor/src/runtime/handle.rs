//! What the API and the command line may do with the fleet.

use std::sync::Arc;

use arc_swap::ArcSwap;
use etl_shared::{
    QueueName, TenantId,
    api::{Action, RotationAccepted, TenantList},
};
use tokio::sync::{mpsc, oneshot};

use super::view::FleetView;

/// Whose workers an order is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Everybody's, tenants that appear later included.
    All,
    /// One tenant's.
    Tenant(TenantId),
}

/// Who asks for something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Who, as logs and events name them.
    pub by: String,
    /// The request that it came with.
    pub correlation_id: Option<String>,
}

impl Asked {
    /// In the request that is being worked on.
    pub fn now(by: &str) -> Self {
        Self { by: by.to_owned(), correlation_id: crate::correlation::current() }
    }
}

/// An order to the task that owns the fleet.
#[derive(Debug)]
pub enum Order {
    /// Start, stop or restart.
    Control {
        /// Whom.
        selection: Selection,
        /// What.
        action: Action,
        /// Who asked.
        asked: Asked,
        /// How many workers it concerns.
        answer: oneshot::Sender<Result<usize, ControlError>>,
    },
    /// Forget the deaths that are held against a message, because it is to be tried again.
    Forgive {
        /// Its queue.
        queue: QueueName,
        /// [`etl_shared::flight::fingerprint`] of its body.
        fingerprint: u64,
        /// Who asked.
        asked: Asked,
        /// Whether anything was held against it.
        answer: oneshot::Sender<Result<bool, ControlError>>,
    },
    /// Replace secrets.
    Rotate {
        /// Whose.
        selection: Selection,
        /// Who asked.
        asked: Asked,
        /// Under which number it is told what became of it.
        answer: oneshot::Sender<Result<RotationAccepted, ControlError>>,
    },
    /// Accept the tenant list that was refused because too many were missing from it.
    ConfirmTenants {
        /// Who asked.
        asked: Asked,
        /// The list as it is then.
        answer: oneshot::Sender<Result<TenantList, ControlError>>,
    },
}

/// An order was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No such tenant.
    #[error("there is no tenant {0} with workers here: see `etl-supervisor status` for those there are")]
    UnknownTenant(TenantId),
    /// There is one account for all.
    #[error(
        "all workers share the accounts in [broker] and [database], which nobody here may change: replace their passwords there and \
         restart the workers, or give every tenant accounts of its own with [credentials] mode = \"per_tenant\""
    )]
    SharedCredentials,
    /// Nothing was refused, so there is nothing to confirm.
    #[error("no list of tenants is waiting to be confirmed")]
    NothingToConfirm,
    /// The order could not be written to the state directory, so it would not survive a restart; nothing was done.
    #[error("the order could not be recorded in the state directory: {0}")]
    NotRecorded(String),
    /// The supervisor is going down.
    #[error("the supervisor is stopping")]
    Stopping,
}

/// A way to the fleet; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    view: Arc<ArcSwap<FleetView>>,
}

impl Handle {
    /// Joins the two ends that the owner of the fleet serves.
    pub const fn new(orders: mpsc::Sender<Order>, view: Arc<ArcSwap<FleetView>>) -> Self {
        Self { orders, view }
    }

    /// The fleet as last published. Never waits.
    pub fn view(&self) -> Arc<FleetView> {
        self.view.load_full()
    }

    /// Orders an action; returns how many workers it concerns once it is accepted and recorded, not when it is done.
    pub async fn control(&self, selection: Selection, action: Action, by: &str) -> Result<usize, ControlError> {
        self.ask(|answer| Order::Control { selection, action, asked: Asked::now(by), answer }).await
    }

    /// Replaces secrets; answers once that has begun.
    pub async fn rotate(&self, selection: Selection, by: &str) -> Result<RotationAccepted, ControlError> {
        self.ask(|answer| Order::Rotate { selection, asked: Asked::now(by), answer }).await
    }

    /// Accepts the refused tenant list.
    pub async fn confirm_tenants(&self, by: &str) -> Result<TenantList, ControlError> {
        self.ask(|answer| Order::ConfirmTenants { asked: Asked::now(by), answer }).await
    }

    /// Forgets what is held against a message, so that publishing it again makes it run again. Answers once no process is left
    /// that was told to refuse it; `false` where nothing was held against it.
    pub async fn forgive(&self, queue: &QueueName, fingerprint: u64, by: &str) -> Result<bool, ControlError> {
        let (queue, asked) = (queue.clone(), Asked::now(by));
        self.ask(|answer| Order::Forgive { queue, fingerprint, asked, answer }).await
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, ControlError>>) -> Order,
    ) -> Result<T, ControlError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_| ControlError::Stopping)?;
        answered.await.map_err(|_| ControlError::Stopping)?
    }
}
