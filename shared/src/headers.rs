//! A message's headers as JSON, for its dead letter.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Map, Value};

/// `{}` where there are none.
pub fn to_json(properties: &BasicProperties) -> String {
    to_value(properties).to_string()
}

/// An object, empty where there are none.
pub fn to_value(properties: &BasicProperties) -> Value {
    properties.headers().as_ref().map_or_else(|| Value::Object(Map::new()), object)
}

fn object(table: &FieldTable) -> Value {
    Value::Object(table.inner().iter().map(|(key, value)| (key.to_string(), json(value))).collect::<Map<_, _>>())
}

fn json(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Float(value) => f64::from(*value).into(),
        AMQPValue::Double(value) => (*value).into(),
        AMQPValue::Timestamp(value) => (*value).into(),
        AMQPValue::ShortString(value) => value.as_str().into(),
        AMQPValue::LongString(value) => String::from_utf8_lossy(value.as_bytes()).into(),
        AMQPValue::ByteArray(value) => String::from_utf8_lossy(value.as_slice()).into(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json).collect(),
        AMQPValue::FieldTable(table) => object(table),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_kind_have_a_json_form() {
        let mut death = FieldTable::default();
        death.insert("reason".into(), AMQPValue::LongString("expired".into()));
        death.insert("count".into(), AMQPValue::LongLongInt(3));
        let mut table = FieldTable::default();
        table.insert("x-death".into(), AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()));
        table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(1));
        let text = to_json(&BasicProperties::default().with_headers(table));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["x-death"][0], serde_json::json!({"reason": "expired", "count": 3}));
        assert_eq!(value["x-delivery-count"], 1);
        assert_eq!(to_json(&BasicProperties::default()), "{}");
    }
}
