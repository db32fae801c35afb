//! What the broker writes onto a message that it gives up: `x-death` and `x-first-death-queue`.

use serde_json::Value;

/// Where a message was given up, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    /// Its first queue.
    pub(super) queue: String,
    /// The broker's word: `delivery_limit`, `expired`, `maxlen`, `rejected`.
    pub(super) reason: String,
    /// How often it was given up there.
    pub(super) times: i32,
}

impl Death {
    /// Reads the headers; nothing where they do not say which queue it was.
    pub(super) fn read(headers: &Value) -> Option<Self> {
        let deaths = headers.get("x-death").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let queue = text(headers, "x-first-death-queue").or_else(|| text(deaths.first()?, "queue"))?;
        // The newest stands first. A message may have gone through other queues on its way.
        let death = deaths.iter().find(|death| text(death, "queue").as_ref() == Some(&queue));
        let reason = death.and_then(|death| text(death, "reason")).or_else(|| text(headers, "x-first-death-reason"));
        let times = death.and_then(|death| death.get("count")?.as_i64()).unwrap_or(1);
        Some(Self {
            queue,
            reason: reason.unwrap_or_else(|| "unknown".to_owned()),
            times: i32::try_from(times.max(1)).unwrap_or(i32::MAX),
        })
    }

    /// A sentence for a person.
    pub(super) fn sentence(&self) -> String {
        let queue = &self.queue;
        match self.reason.as_str() {
            "delivery_limit" => format!(
                "the broker gave it up: it came back to {queue} more often than that queue's delivery limit allows, because its \
                 consumers ended or lost their connection while they held it; it need not be the message that they ended on"
            ),
            "expired" => format!(
                "the broker gave it up: it lay in {queue} for longer than a message may live there (a TTL is set), and nobody took it"
            ),
            "maxlen" => {
                format!("the broker gave it up: {queue} was longer than it may be, and this was its oldest message")
            }
            "rejected" => format!("a consumer of {queue} rejected it without saying why"),
            other => format!("the broker gave it up in {queue}: {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_queue_counts_and_its_newest_death() {
        let headers = json!({
            "x-first-death-queue": "transform_queue_tenant_7",
            "x-first-death-reason": "rejected",
            "x-death": [
                {"queue": "parked", "reason": "expired", "count": 9},
                {"queue": "transform_queue_tenant_7", "reason": "delivery_limit", "count": 2},
                {"queue": "transform_queue_tenant_7", "reason": "rejected", "count": 1},
            ],
        });
        let death = Death::read(&headers).unwrap();
        assert_eq!(
            death,
            Death { queue: "transform_queue_tenant_7".to_owned(), reason: "delivery_limit".to_owned(), times: 2 }
        );
        assert!(death.sentence().contains("transform_queue_tenant_7"));
    }

    #[test]
    fn headers_that_are_damaged_or_missing_are_read_as_far_as_they_go() {
        for nothing in [json!({}), json!({"x-death": []}), json!({"x-death": "?"}), json!({"x-first-death-queue": 7})] {
            assert_eq!(Death::read(&nothing), None, "{nothing}");
        }
        let only_first = Death::read(&json!({"x-first-death-queue": "q", "x-death": [{"queue": 5, "count": -3}]}));
        assert_eq!(only_first, Some(Death { queue: "q".to_owned(), reason: "unknown".to_owned(), times: 1 }));
        let only_array = Death::read(&json!({"x-death": [{"queue": "q", "reason": "expired", "count": 3}]}));
        assert_eq!(only_array, Some(Death { queue: "q".to_owned(), reason: "expired".to_owned(), times: 3 }));
    }
}
