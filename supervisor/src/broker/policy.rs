//! The policies under which no message of a tenant's queue is lost, and the queue that they lead to.

use std::time::Duration;

use lapin::Connection;
use serde_json::{Value, json};
use tokio::time::{self, Instant};

use super::{
    ensure::ensure,
    management::{Management, ManagementError, Policy},
};
use crate::settings::Broker;

/// Where the broker puts what it gives up, of every tenant.
pub const DEAD_LETTER_QUEUE: &str = "etl_dead_letters";

/// The queues of tenants, as a pattern of the broker.
const TENANTS_QUEUES: &str = "^[a-z][a-z0-9_]*_queue_tenant_[1-9][0-9]*$";

/// For quorum queues: a policy with a word that a classic queue does not know is not in force for it at all.
const QUORUM: &str = "etl-supervisor";
/// For classic queues, which know neither delivery limit nor strategy; lower, so that a quorum queue takes the other.
const CLASSIC: &str = "etl-supervisor-classic";
/// For the dead-letter queue itself, which must not lose what cannot be stored for a while.
const BACKSTOP: &str = "etl-supervisor-dead-letters";

/// Our policies.
pub const POLICY_NAMES: [&str; 3] = [QUORUM, CLASSIC, BACKSTOP];

/// No limit, for every version: -1 is understood by some only.
const PRACTICALLY_NEVER: u32 = 1_000_000_000;

/// How long all of it may take: queues wait for it at the first time.
const PATIENCE: Duration = Duration::from_secs(3);
/// When it is looked at again after it was well, and after it was not.
const AGAIN: (Duration, Duration) = (Duration::from_hours(1), Duration::from_mins(1));

fn policies(delivery_limit: u32) -> [(&'static str, Policy); 3] {
    let policy = |pattern: &str, priority, definition: Value| Policy {
        pattern: pattern.to_owned(),
        apply_to: "queues".to_owned(),
        priority,
        definition: match definition {
            Value::Object(definition) => definition,
            _ => serde_json::Map::new(),
        },
    };
    let quorum = json!({
        "delivery-limit": delivery_limit,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": DEAD_LETTER_QUEUE,
        // Until the dead-letter queue has confirmed a message, the broker keeps it. It asks for the overflow.
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    });
    let classic = json!({"dead-letter-exchange": "", "dead-letter-routing-key": DEAD_LETTER_QUEUE});
    let backstop = json!({"delivery-limit": PRACTICALLY_NEVER});
    [
        (QUORUM, policy(TENANTS_QUEUES, 0, quorum)),
        (CLASSIC, policy(TENANTS_QUEUES, -1, classic)),
        (BACKSTOP, policy(&format!("^{DEAD_LETTER_QUEUE}$"), 0, backstop)),
    ]
}

/// Sets what is missing or differs; the names of those.
async fn apply(management: &Management, delivery_limit: u32) -> Result<Vec<&'static str>, ManagementError> {
    let mut set = Vec::new();
    for (name, wanted) in policies(delivery_limit) {
        if management.policy(name).await?.as_ref() != Some(&wanted) {
            management.put_policy(name, &wanted).await?;
            set.push(name);
        }
    }
    Ok(set)
}

/// Sees to queue and policies again and again, and says only what is new.
#[derive(Debug)]
pub(super) struct Safeguard {
    broker: Broker,
    due: Instant,
    problem: Option<String>,
}

impl Safeguard {
    /// Due at once.
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker, due: Instant::now(), problem: None }
    }

    /// When it is to be seen to; `None`: never, because nothing is configured.
    pub(super) fn due(&self) -> Option<Instant> {
        self.broker.management_url.is_some().then_some(self.due)
    }

    /// After a new connection: whatever was there may be gone.
    pub(super) fn forget(&mut self) {
        self.due = Instant::now();
    }

    /// A few seconds at most.
    pub(super) async fn see_to_it(&mut self, connection: &Connection) {
        let answer = time::timeout(PATIENCE, self.try_to(connection)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} seconds", PATIENCE.as_secs())));
        match answer {
            Ok(set) => {
                if self.problem.take().is_some() || !set.is_empty() {
                    tracing::info!(set = ?set, "broker policies are in place");
                }
                self.due = Instant::now() + AGAIN.0;
            }
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    tracing::warn!(
                        problem,
                        "broker policies cannot be set; workers go on without, and it is tried again"
                    );
                    self.problem = Some(problem);
                }
                self.due = Instant::now() + AGAIN.1;
            }
        }
    }

    /// The queue first: what is sent to one that is missing is lost.
    async fn try_to(&self, connection: &Connection) -> Result<Vec<&'static str>, String> {
        if let Err(error) = ensure(connection, DEAD_LETTER_QUEUE, self.broker.queue_kind).await {
            return Err(error.to_string());
        }
        let Some(management) = Management::of(&self.broker)? else {
            return Ok(Vec::new());
        };
        apply(&management, self.broker.delivery_limit).await.map_err(|error| error.to_string())
    }
}
