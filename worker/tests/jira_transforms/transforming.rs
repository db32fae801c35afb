//! One document through its transform.

use serde_json::Value;
use transform_worker::job::{
    Scope, registry,
    registry::{PayloadShape, Transformed},
    rows::Key,
};

pub(crate) fn scope() -> Scope {
    Scope { tenant: 7.try_into().unwrap(), integration: 3 }
}

pub(crate) fn key(id: &str) -> Key {
    Key { scope: scope(), external_id: id.to_owned() }
}

pub(crate) fn transform_text(kind: &str, document: &str) -> Result<Transformed, PayloadShape> {
    (registry::find(kind).unwrap().transform)(document, &scope().into())
}

pub(crate) fn transform(kind: &str, document: &Value) -> Transformed {
    transform_text(kind, &document.to_string()).unwrap_or_else(|refused| panic!("{refused}: {document}"))
}

/// The warnings as they will be stored, without their frame.
pub(crate) fn warnings(result: &Transformed) -> Value {
    let stored: Option<Value> = result.warnings.to_json().map(|text| serde_json::from_str(&text).unwrap());
    stored.map_or(Value::Null, |stored| stored["warnings"].clone())
}

/// The rows as lines of JSON.
pub(crate) fn lines(result: &Transformed) -> Vec<Value> {
    result.rows.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the document refers to: the names, the warning.
pub(crate) fn references(result: &Transformed) -> Vec<(String, &'static str)> {
    let all = result.references.optional.iter().chain(&result.references.parents);
    all.map(|reference| {
        (format!("{:?} {}", reference.any_of[0].0, reference.any_of[0].1.external_id), reference.warning)
    })
    .collect()
}

/// Documents without any content are done; those of another shape are refused, and the refusal quotes nothing of them.
pub(crate) fn empty_and_refused(kind: &str, empty: &[&str], refused: &[&str]) {
    let deep = format!(r#"{{"values":[{}{}]}}"#, "[".repeat(127), "]".repeat(127));
    for document in ["null", "{}", "[]", " [ ] "].iter().chain(empty) {
        assert_eq!(transform_text(kind, document), Ok(Transformed::default()), "{document}");
    }
    for document in ["5", "true", "\"SECRET\"", "[1]", r#"{"SECRET":1}"#, deep.as_str()].iter().chain(refused) {
        match transform_text(kind, document) {
            Err(shape) => assert!(!shape.to_string().contains("SECRET"), "{shape}"),
            Ok(accepted) => panic!("{document} became {accepted:?}"),
        }
    }
}
