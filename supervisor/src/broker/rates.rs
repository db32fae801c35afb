//! What only the management API tells of queues: unacknowledged messages, and how fast messages come and go. All queues in one
//! question, and rarely while nothing changes: an answer about a thousand queues costs more than everything else that idles here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{
    sync::{Notify, watch},
    time,
};

use super::management::{Management, ManagementError};
use crate::{causes::in_one_line, runtime::view::QueueSample};

/// How often it is asked while something changes, and at least how often.
const EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(1));
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// By queue; empty where nobody can tell.
pub(super) type Rates = Arc<HashMap<String, QueueRates>>;

/// Of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct QueueRates {
    unacknowledged: u32,
    publish_rate: f64,
    ack_rate: f64,
}

impl QueueRates {
    /// Adds what is known to a sample.
    pub(super) const fn complete(self, sample: QueueSample) -> QueueSample {
        QueueSample {
            messages_unacknowledged: Some(self.unacknowledged),
            publish_rate: Some(self.publish_rate),
            ack_rate: Some(self.ack_rate),
            ..sample
        }
    }
}

/// Asks again and again.
#[derive(Debug)]
pub(super) struct RatesTask {
    management: Management,
    rates: watch::Sender<Rates>,
    /// Somebody has seen something change.
    stirred: Arc<Notify>,
    said: Option<String>,
}

impl RatesTask {
    /// The task, where its answers are found, and how it is told that something changes.
    pub(super) fn new(management: Management) -> (Self, watch::Receiver<Rates>, Arc<Notify>) {
        let (rates, seen) = watch::channel(Rates::default());
        let stirred = Arc::new(Notify::new());
        (Self { management, rates, stirred: Arc::clone(&stirred), said: None }, seen, stirred)
    }

    /// Until nobody wants to know any longer.
    pub(super) async fn run(mut self) {
        let mut pause = EVERY.0;
        while !self.rates.is_closed() {
            let changed = self.ask().await;
            pause = if changed { EVERY.0 } else { (pause * 2).min(EVERY.1) };
            // Never more often than that, whatever stirs.
            time::sleep(EVERY.0).await;
            tokio::select! {
                () = time::sleep(pause.saturating_sub(EVERY.0)) => {}
                () = self.stirred.notified() => {}
            }
        }
    }

    /// Whether anything is other than before.
    async fn ask(&mut self) -> bool {
        let (rates, problem) = match time::timeout(ANSWER_WITHIN, self.management.rates()).await {
            Ok(Ok(rates)) => (rates, None),
            Ok(Err(error)) => (HashMap::new(), Some(in_one_line(&error))),
            Err(_) => (HashMap::new(), Some(format!("no answer within {} seconds", ANSWER_WITHIN.as_secs()))),
        };
        if problem != self.said {
            if let Some(problem) = &problem {
                tracing::warn!(problem, "queues are shown without rates: the management API cannot be asked");
            } else {
                tracing::info!("the management API tells the rates of queues again");
            }
            self.said = problem;
        }
        self.rates.send_if_modified(|known| {
            let changed = **known != rates;
            if changed {
                *known = Arc::new(rates);
            }
            changed
        })
    }
}

/// As the management API tells it; a queue that nothing has happened to has no statistics.
#[derive(Debug, Deserialize)]
struct Told {
    name: String,
    #[serde(default)]
    messages_unacknowledged: u32,
    #[serde(default)]
    message_stats: Stats,
}

#[derive(Debug, Default, Deserialize)]
struct Stats {
    #[serde(default)]
    publish_details: Details,
    #[serde(default)]
    ack_details: Details,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    rate: f64,
}

impl Management {
    /// Of every queue of the virtual host.
    async fn rates(&self) -> Result<HashMap<String, QueueRates>, ManagementError> {
        let columns = "columns=name,messages_unacknowledged,message_stats.publish_details.rate,\
                       message_stats.ack_details.rate";
        let told: Vec<Told> = self.get(&["api", "queues", self.vhost()], columns).await?.unwrap_or_default();
        let rates = told.into_iter().map(|queue| {
            let rates = QueueRates {
                unacknowledged: queue.messages_unacknowledged,
                publish_rate: queue.message_stats.publish_details.rate,
                ack_rate: queue.message_stats.ack_details.rate,
            };
            (queue.name, rates)
        });
        Ok(rates.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_without_statistics_has_had_nothing_to_do() {
        let told = r#"[
            {"name":"idle","messages_unacknowledged":0},
            {"name":"new"},
            {"name":"busy","messages_unacknowledged":3,
             "message_stats":{"publish_details":{"rate":1.5},"ack_details":{"rate":2.5}}}
        ]"#;
        let told: Vec<Told> = serde_json::from_str(told).unwrap();
        let shown: Vec<_> = told
            .iter()
            .map(|queue| {
                let stats = &queue.message_stats;
                (queue.messages_unacknowledged, stats.publish_details.rate, stats.ack_details.rate)
            })
            .collect();
        assert_eq!(shown, [(0, 0.0, 0.0), (0, 0.0, 0.0), (3, 1.5, 2.5)]);
    }
}
