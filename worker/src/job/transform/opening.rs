//! The first look at a document, which is the same for every data type: is there anything in it, and is it what was promised?

use serde::Deserialize;

use crate::job::{
    reading::{self, Element, Scalar},
    registry::PayloadShape,
};

/// The refusal of a document of this data type; `what` ends the sentence and never quotes the document.
pub(super) fn refused(data_type: &str, what: &str) -> PayloadShape {
    PayloadShape(format!("the document of {data_type} {what}"))
}

/// Reads the root of a document; `None` where it says nothing at all.
pub(super) fn root<'a, T: Deserialize<'a>>(data_type: &str, document: &'a str) -> Result<Option<T>, PayloadShape> {
    if reading::is_empty(document) {
        return Ok(None);
    }
    if reading::is_too_deep(document) {
        return Err(refused(data_type, "is nested deeper than 128 levels"));
    }
    serde_json::from_str(document)
        .map(Some)
        .map_err(|error| refused(data_type, &format!("cannot be read (column {})", error.column())))
}

/// The same, where the root has to be an object.
pub(super) fn object<'a, T: Deserialize<'a>>(data_type: &str, document: &'a str) -> Result<Option<T>, PayloadShape> {
    root::<Element<T>>(data_type, document)?
        .map(|root| root.read().ok_or_else(|| refused(data_type, "is not an object")))
        .transpose()
}

/// Whether one of these keys of the root is there with `null`, which says that its list is empty.
pub(super) fn names_a_list(document: &str, lists: &[&str]) -> bool {
    type Root<'a> = std::collections::BTreeMap<String, Scalar<'a>>;
    serde_json::from_str::<Root<'_>>(document)
        .is_ok_and(|root| lists.iter().any(|name| root.get(*name).is_some_and(Scalar::is_null)))
}
