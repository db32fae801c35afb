//! Headers between JSON, as a dead letter keeps them, and AMQP.

use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value};

/// Names a dead letter from which a message was published again.
pub const REPLAYED_FROM: &str = "x-etl-replayed-from";
/// Marks a message that the supervisor published because its raw row had none.
pub const RECONCILED: &str = "x-etl-reconciled";

/// The id of the request that led to a message; its worker's lines carry it.
pub const CORRELATION_ID: &str = "x-correlation-id";

/// What a broker keeps in a message's headers about its deliveries and deaths. In a new life they would be lies: RabbitMQ would
/// count the old deliveries against it and see a cycle of dead-lettering.
const BOOKKEEPING: [&str; 4] = ["x-death", "x-delivery-count", "x-acquired-count", "x-opt-deaths"];
/// RabbitMQ delivers a message to the queues that these name too. It did so in the message's first life.
const COPIES: [&str; 2] = ["CC", "BCC"];
const BOOKKEEPING_PREFIXES: [&str; 2] = ["x-first-death-", "x-last-death-"];

/// The headers with which a dead letter is published again: the producer's own, without the broker's bookkeeping, and with the
/// number of the letter. It goes to the letter's queue only.
pub fn for_replay(headers: &Map<String, Value>, letter: i64) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers.iter().filter(|(name, _)| !is_bookkeeping(name) && !COPIES.contains(&name.as_str())) {
        // A name that AMQP cannot carry did not come from there.
        if u8::try_from(name.len()).is_ok() {
            table.insert(name.as_str().into(), value_of(value));
        }
    }
    table.insert(REPLAYED_FROM.into(), AMQPValue::LongLongInt(letter));
    table
}

/// The header that carries the id of the request that led to a message.
pub fn for_correlation(id: &str) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(CORRELATION_ID.into(), AMQPValue::LongString(id.into()));
    table
}

fn is_bookkeeping(name: &str) -> bool {
    BOOKKEEPING.contains(&name) || BOOKKEEPING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn value_of(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => AMQPValue::LongLongInt(whole),
            None => AMQPValue::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(values) => AMQPValue::FieldArray(values.iter().map(value_of).collect::<Vec<_>>().into()),
        Value::Object(fields) => {
            let mut table = FieldTable::default();
            for (name, value) in fields.iter().filter(|(name, _)| u8::try_from(name.len()).is_ok()) {
                table.insert(name.as_str().into(), value_of(value));
            }
            AMQPValue::FieldTable(table)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_producers_headers_are_kept_and_the_brokers_bookkeeping_and_copies_are_not() {
        let headers = json!({
            "job": "j-1", "priority": 5, "ratio": 0.5, "urgent": true, "nothing": null, "tags": ["a", {"b": 2}],
            "x-request-id": "r", "CC": ["other_queue"], "BCC": ["another"],
            "x-death": [{"count": 3}], "x-delivery-count": 4, "x-first-death-queue": "q", "x-last-death-reason": "expired",
        });
        let table = for_replay(headers.as_object().unwrap(), 77);
        let names: Vec<_> = table.inner().keys().map(|name| name.as_str().to_owned()).collect();
        let expected = ["job", "nothing", "priority", "ratio", "tags", "urgent", "x-etl-replayed-from", "x-request-id"];
        assert_eq!(names, expected);
        assert_eq!(table.inner()["job"], AMQPValue::LongString("j-1".into()));
        assert_eq!(table.inner()["priority"], AMQPValue::LongLongInt(5));
        assert_eq!(table.inner()[REPLAYED_FROM], AMQPValue::LongLongInt(77));
        assert!(matches!(&table.inner()["tags"], AMQPValue::FieldArray(values) if values.as_slice().len() == 2));
    }

    #[test]
    fn a_second_replay_names_the_newest_letter() {
        let headers = json!({REPLAYED_FROM: 1});
        let table = for_replay(headers.as_object().unwrap(), 2);
        assert_eq!(table.inner()[REPLAYED_FROM], AMQPValue::LongLongInt(2));
    }
}
