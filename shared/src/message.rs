//! The message that names one raw document to transform.
//!
//! `{"tenant_id":1,"integration_id":1,"raw_data_id":123,"type":"jira_custom_fields"}`: all four are required, everything
//! else is carried along untouched.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::TenantId;

/// One message of a transform queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransformMessage {
    /// Whose document it is.
    pub tenant_id: TenantId,
    /// Which of the tenant's integrations it came from.
    pub integration_id: i64,
    /// The row of `raw_extraction_data`; `None` says that an extraction is complete and asks for no work.
    pub raw_data_id: Option<i64>,
    /// The data type or one of its aliases.
    #[serde(rename = "type")]
    pub kind: String,
    /// Every other field, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The body is not a transform message. What could be read for certain is kept, so that the raw row can be marked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("malformed message: {detail}")]
pub struct MalformedMessage {
    /// What is wrong and what was expected, without the offending value.
    pub detail: String,
    /// The tenant, where the body names one properly.
    pub tenant_id: Option<TenantId>,
    /// The raw row, where the body names one properly.
    pub raw_data_id: Option<i64>,
}

impl TransformMessage {
    /// Reads a message body.
    pub fn decode(body: &[u8]) -> Result<Self, MalformedMessage> {
        let fail = |detail: String| MalformedMessage { detail, tenant_id: None, raw_data_id: None };
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| fail(format!("not JSON (line {}, column {})", error.line(), error.column())))?;
        let Value::Object(mut fields) = value else {
            return Err(fail("not a JSON object".to_owned()));
        };
        let tenant = positive(&mut fields, "tenant_id").map(|id| TenantId::try_from(id).ok());
        let integration = positive(&mut fields, "integration_id");
        let raw = match fields.get("raw_data_id") {
            Some(Value::Null) => {
                fields.remove("raw_data_id");
                Ok(None)
            }
            _ => positive(&mut fields, "raw_data_id").map(Some),
        };
        let kind = match fields.remove("type") {
            Some(Value::String(kind)) => Ok(kind),
            Some(_) => Err("type must be a string".to_owned()),
            None => Err("the required field type is missing".to_owned()),
        };
        let certain_tenant = tenant.clone().ok().flatten();
        let certain_raw = raw.clone().ok().flatten();
        let whole = (|| {
            let tenant_id = tenant?.ok_or_else(|| "tenant_id must be a positive whole number".to_owned())?;
            Ok(Self { tenant_id, integration_id: integration?, raw_data_id: raw?, kind: kind?, extra: fields })
        })();
        whole.map_err(|detail| MalformedMessage { detail, tenant_id: certain_tenant, raw_data_id: certain_raw })
    }

    /// The body to publish.
    pub fn encode(&self) -> Vec<u8> {
        // A map with string keys, numbers and strings always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn positive(fields: &mut Map<String, Value>, name: &str) -> Result<i64, String> {
    let value = fields.remove(name).ok_or_else(|| format!("the required field {name} is missing"))?;
    value.as_i64().filter(|id| *id > 0).ok_or_else(|| format!("{name} must be a positive whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"tenant_id":1,"integration_id":2,"raw_data_id":123,"type":"jira_custom_fields","job_id":"j","n":1.5}"#;

    #[test]
    fn the_four_fields_are_read_and_the_others_are_carried_along() {
        let message = TransformMessage::decode(GOOD.as_bytes()).unwrap();
        assert_eq!((message.tenant_id.get(), message.integration_id, message.raw_data_id), (1, 2, Some(123)));
        assert_eq!(message.kind, "jira_custom_fields");
        assert_eq!(message.extra.len(), 2);
        assert_eq!(TransformMessage::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn a_null_raw_row_is_a_completion_and_a_missing_one_is_an_error() {
        let null = TransformMessage::decode(br#"{"tenant_id":1,"integration_id":1,"raw_data_id":null,"type":"x"}"#);
        assert_eq!(null.unwrap().raw_data_id, None);
        let missing = TransformMessage::decode(br#"{"tenant_id":1,"integration_id":1,"type":"x"}"#).unwrap_err();
        assert!(missing.detail.contains("raw_data_id"), "{missing}");
        assert_eq!(missing.tenant_id.map(TenantId::get), Some(1));
    }

    #[test]
    fn wrong_types_are_malformed_and_what_is_certain_is_kept() {
        for (body, named) in [
            (r#"{"tenant_id":"1","integration_id":1,"raw_data_id":9,"type":"x"}"#, "tenant_id"),
            (r#"{"tenant_id":0,"integration_id":1,"raw_data_id":9,"type":"x"}"#, "tenant_id"),
            (r#"{"tenant_id":1,"integration_id":1.0,"raw_data_id":9,"type":"x"}"#, "integration_id"),
            (r#"{"tenant_id":1,"integration_id":-4,"raw_data_id":9,"type":"x"}"#, "integration_id"),
            (r#"{"tenant_id":1,"integration_id":1,"raw_data_id":9,"type":7}"#, "type"),
        ] {
            let error = TransformMessage::decode(body.as_bytes()).unwrap_err();
            assert!(error.detail.contains(named), "{body}: {error}");
            assert_eq!(error.raw_data_id, Some(9), "{body}");
        }
        for body in ["", "{", "[]", "null", "\"x\"", "{\"tenant_id\":1,\"integration_id\":1,\"raw_da"] {
            assert!(TransformMessage::decode(body.as_bytes()).is_err(), "{body:?}");
        }
    }
}
