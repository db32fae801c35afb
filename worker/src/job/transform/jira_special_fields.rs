//! `jira_special_fields`: what Jira's field search says about fields that createmeta does not show, such as the one that holds
//! pull requests. The first usable element of an id counts; fields of Jira itself are passed over.

use serde::Deserialize;

use super::{
    jira_fields::{self, FieldMeta, is_custom},
    opening::{self, refused},
};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{Element, List},
    registry::{DataType, PayloadShape, Transformed},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: NAME,
    aliases: &[],
    seeks: Tables::NONE,
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Fields]),
    transform,
};

const NAME: &str = "jira_special_fields";

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    values: List<Element<FieldMeta<'a>>>,
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let fields = match opening::object(NAME, document)? {
        None => Vec::new(),
        Some(Page { values: List::Items(fields) }) => fields,
        Some(Page { values: List::Nothing }) if opening::names_a_list(document, &["values"]) => Vec::new(),
        Some(_) => return Err(refused(NAME, "has no list of fields under \"values\"")),
    };
    let mut result = Transformed::default();
    let (given, mut usable) = (fields.len(), 0);
    for field in fields {
        let field = field.read();
        match field.as_ref().and_then(FieldMeta::external_id) {
            Some(id) if is_custom(&id) => {
                usable += usize::from(jira_fields::add(&id, field, "any", context.scope, &mut result));
            }
            Some(_) => usable += 1,
            None => result.warnings.add("unusable_field", None),
        }
    }
    if given > 0 && usable == 0 {
        return Err(refused(NAME, "lists fields, none of them with id and name"));
    }
    Ok(result)
}
