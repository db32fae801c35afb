//! What becomes of messages that the broker gives up: policies, limits and the dead-letter queue, as the management API tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time;

use super::broker::{NAMED, PATIENCE};
use crate::{
    broker::{DEAD_LETTER_QUEUE, Management, ManagementError, POLICY_NAMES, QueueFacts},
    cli::finding::Finding,
    settings::Broker,
};

const SUBJECT: &str = "given up by the broker";

/// What was found about these queues.
pub(super) async fn look(broker: &Broker, queues: &BTreeSet<String>) -> Vec<Finding> {
    let management = match Management::of(broker) {
        Ok(Some(management)) => management,
        Ok(None) => {
            let detail = "no [broker] management_url: no policy is set, and what is in force cannot be seen; RabbitMQ 4 and later \
                          drops a message that came back to a quorum queue 20 times and has no dead-letter exchange";
            let advice = "set management_url, or a policy by hand as docs/installation.md says";
            return vec![Finding::warn(SUBJECT, detail, advice)];
        }
        Err(detail) => return vec![Finding::fail("management API", detail, "correct [broker] management_url")],
    };
    match time::timeout(PATIENCE, ask(&management)).await {
        Ok(Ok((version, facts))) => {
            let mut findings =
                vec![Finding::ok("management API", format!("{} answers, RabbitMQ {version}", management.shown()))];
            findings.extend(judge(&version, &facts, queues));
            findings
        }
        Ok(Err(error)) => {
            let advice = "start it (rabbitmq-plugins enable rabbitmq_management), or correct [broker] management_url";
            vec![Finding::fail("management API", error.to_string(), advice)]
        }
        Err(_) => {
            let detail = format!("{} has not answered for {} seconds", management.shown(), PATIENCE.as_secs());
            vec![Finding::fail("management API", detail, "see the broker's log")]
        }
    }
}

async fn ask(management: &Management) -> Result<(String, Vec<QueueFacts>), ManagementError> {
    Ok((management.version().await?, management.queues().await?))
}

fn judge(version: &str, facts: &[QueueFacts], queues: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let backstop = facts.iter().find(|queue| queue.name == DEAD_LETTER_QUEUE);
    match backstop {
        None => {
            let advice = "the running supervisor makes it within a minute; see its log if it does not";
            findings.push(Finding::fail(DEAD_LETTER_QUEUE, "missing: what is sent to it is lost or waits", advice));
        }
        Some(queue) if ttl(queue) => {
            let advice = "remove message-ttl and expires from its policy or arguments";
            findings.push(Finding::fail(DEAD_LETTER_QUEUE, "what lies in it expires", advice));
        }
        Some(_) => findings.push(Finding::ok(DEAD_LETTER_QUEUE, "there; the supervisor drains it into the table")),
    }
    let default_limit =
        version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 4);
    let mut complaints: BTreeMap<Complaint, Vec<&str>> = BTreeMap::new();
    for queue in facts.iter().filter(|queue| queues.contains(&queue.name)) {
        for complaint in complaints_about(queue, default_limit) {
            complaints.entry(complaint).or_default().push(&queue.name);
        }
    }
    if complaints.is_empty() {
        findings.push(Finding::ok(SUBJECT, format!("is kept: every queue leads to {DEAD_LETTER_QUEUE}")));
    }
    findings.extend(complaints.into_iter().map(|(complaint, names)| complaint.finding(&names)));
    findings
}

/// What is unsafe about a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Complaint {
    /// The default limit of version 4, and nowhere to go.
    Drops,
    /// No dead-letter exchange.
    NoExchange,
    /// Dead letters go where the supervisor does not look.
    Elsewhere,
    /// Messages, or the whole queue, are removed after a time.
    Expires { kept: bool },
    /// The oldest messages are removed when it is full.
    DropsHead { kept: bool },
    /// A policy that is not ours.
    Policy(String),
}

fn complaints_about(queue: &QueueFacts, default_limit: bool) -> Vec<Complaint> {
    let text = |word| queue.setting(word).and_then(Value::as_str);
    let exchange = text("dead-letter-exchange");
    let kept = exchange.is_some();
    let mut complaints = Vec::new();
    match exchange {
        None if queue.kind == "quorum" && default_limit && queue.setting("delivery-limit").is_none() => {
            complaints.push(Complaint::Drops);
        }
        None => complaints.push(Complaint::NoExchange),
        // Another exchange may lead to our queue: that cannot be seen from here.
        Some("") if text("dead-letter-routing-key") != Some(DEAD_LETTER_QUEUE) => complaints.push(Complaint::Elsewhere),
        Some(_) => {}
    }
    if ttl(queue) {
        complaints.push(Complaint::Expires { kept: kept && queue.setting("expires").is_none() });
    }
    let bounded = queue.setting("max-length").is_some() || queue.setting("max-length-bytes").is_some();
    if bounded && text("overflow").is_none_or(|overflow| overflow == "drop-head") {
        complaints.push(Complaint::DropsHead { kept });
    }
    let policy = queue.policy.as_deref().filter(|policy| !policy.is_empty() && !POLICY_NAMES.contains(policy));
    complaints.extend(policy.map(|policy| Complaint::Policy(policy.to_owned())));
    complaints
}

fn ttl(queue: &QueueFacts) -> bool {
    queue.setting("message-ttl").is_some() || queue.setting("expires").is_some()
}

impl Complaint {
    fn finding(&self, names: &[&str]) -> Finding {
        let more = if names.len() > NAMED { ", …" } else { "" };
        let some = format!("{} ({}{more})", names.len(), names[..names.len().min(NAMED)].join(", "));
        match self {
            Self::Drops => {
                let advice = "the running supervisor sets its policy within a minute; where another policy is in force, add a \
                              dead-letter-exchange to that one";
                let detail = format!("dropped after 20 deliveries, RabbitMQ's default: {some}");
                Finding::fail(SUBJECT, detail, advice)
            }
            Self::NoExchange => {
                let advice = format!(
                    "the running supervisor sets its policy within a minute; where another policy is in force, add \
                     dead-letter-exchange \"\" and dead-letter-routing-key {DEAD_LETTER_QUEUE} to that one"
                );
                Finding::warn(SUBJECT, format!("no dead-letter exchange: {some}"), advice)
            }
            Self::Elsewhere => {
                let advice =
                    format!("let dead-letter-routing-key be {DEAD_LETTER_QUEUE}, or look after that queue yourself");
                Finding::warn(SUBJECT, format!("goes to a queue that the supervisor does not drain: {some}"), advice)
            }
            Self::Expires { kept: true } => {
                let detail = format!("messages expire and become dead letters: {some}");
                Finding::warn("queues", detail, "remove the TTL, so that messages wait for as long as it takes")
            }
            Self::Expires { kept: false } => {
                let detail = format!("messages, or the queue, are removed after a time (TTL): {some}");
                Finding::fail(
                    "queues",
                    detail,
                    "remove message-ttl and expires; of arguments, by making the queue anew when it is empty",
                )
            }
            Self::DropsHead { kept } => {
                let becomes = if *kept { "become dead letters" } else { "are lost" };
                let detail = format!("when full, the oldest messages {becomes} (overflow drop-head): {some}");
                let advice = "set overflow to reject-publish, or remove max-length";
                if *kept { Finding::warn("queues", detail, advice) } else { Finding::fail("queues", detail, advice) }
            }
            Self::Policy(policy) => {
                let detail = format!("the policy {policy} is in force instead of the supervisor's: {some}");
                let advice = format!(
                    "right if you mean it; it should have a delivery-limit, and dead-letter-exchange \"\" with dead-letter-routing-key \
                     {DEAD_LETTER_QUEUE}"
                );
                Finding::warn("queues", detail, advice)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::finding::Mark;

    fn queue(value: Value) -> QueueFacts {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_way_to_lose_a_message_is_named() {
        let ours =
            json!({"dead-letter-exchange": "", "dead-letter-routing-key": DEAD_LETTER_QUEUE, "delivery-limit": 100});
        for (description, expected) in [
            (json!({"type": "quorum", "policy": "etl-supervisor", "effective_policy_definition": ours}), vec![]),
            (json!({"type": "quorum"}), vec![Complaint::Drops]),
            (json!({"type": "quorum", "effective_policy_definition": []}), vec![Complaint::Drops]),
            (json!({"type": "quorum", "arguments": {"x-delivery-limit": -1}}), vec![Complaint::NoExchange]),
            (json!({"type": "classic"}), vec![Complaint::NoExchange]),
            (
                json!({"policy": "theirs", "effective_policy_definition": {"dead-letter-exchange": "dlx", "expires": 5}}),
                vec![Complaint::Expires { kept: false }, Complaint::Policy("theirs".to_owned())],
            ),
            (
                json!({"arguments": {"x-dead-letter-exchange": "", "x-message-ttl": 5, "x-max-length": 9}}),
                vec![Complaint::Elsewhere, Complaint::Expires { kept: true }, Complaint::DropsHead { kept: true }],
            ),
        ] {
            let mut description = description;
            description["name"] = "q".into();
            assert_eq!(complaints_about(&queue(description.clone()), true), expected, "{description}");
        }
        // Before version 4 there was no limit unless somebody set one.
        assert_eq!(complaints_about(&queue(json!({"name": "q", "type": "quorum"})), false), [Complaint::NoExchange]);
    }

    #[test]
    fn a_missing_dead_letter_queue_fails_and_foreign_queues_are_nobodys_business() {
        let facts = [queue(json!({"name": "theirs", "type": "quorum"}))];
        let findings = judge("4.1.0", &facts, &BTreeSet::new());
        assert_eq!(findings.iter().filter(|finding| finding.mark == Mark::Fail).count(), 1);
        assert_eq!((findings.len(), findings[0].subject.as_str()), (2, DEAD_LETTER_QUEUE));
    }
}
