//! What of a document could not be used, for the raw row's `error_details`.

use std::collections::BTreeMap;

use serde::Serialize;

const MOST_IDS: usize = 20;
const LONGEST_ID: usize = 100;

/// Counts by reason, with the ids of the first few elements concerned; no other value of the document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings(BTreeMap<&'static str, Concerned>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Concerned {
    count: u64,
    ids: Vec<String>,
}

impl Warnings {
    /// Counts one element; `id` is its external id where it has one.
    pub fn add(&mut self, reason: &'static str, id: Option<&str>) {
        let concerned = self.0.entry(reason).or_default();
        concerned.count += 1;
        if let Some(id) = id
            && concerned.ids.len() < MOST_IDS
        {
            concerned.ids.push(id.chars().take(LONGEST_ID).collect());
        }
    }

    /// How many elements are concerned.
    pub fn total(&self) -> u64 {
        self.0.values().map(|concerned| concerned.count).sum()
    }

    /// `{"warnings":[{"reason","count","ids"}]}`, or nothing where there are none.
    pub fn to_json(&self) -> Option<String> {
        #[derive(Serialize)]
        struct Line<'a> {
            reason: &'static str,
            count: u64,
            ids: &'a [String],
        }
        if self.0.is_empty() {
            return None;
        }
        let lines: Vec<Line<'_>> = self
            .0
            .iter()
            .map(|(reason, concerned)| Line { reason, count: concerned.count, ids: &concerned.ids })
            .collect();
        serde_json::to_string(&BTreeMap::from([("warnings", lines)])).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_counted_and_only_the_first_twenty_are_named() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.to_json(), None);
        for n in 0..25 {
            warnings.add("unusable_field", Some(&format!("customfield_{n}")));
        }
        warnings.add("unusable_type", None);
        let value: serde_json::Value = serde_json::from_str(&warnings.to_json().unwrap()).unwrap();
        assert_eq!(value["warnings"][0]["reason"], "unusable_field");
        assert_eq!(value["warnings"][0]["count"], 25);
        assert_eq!(value["warnings"][0]["ids"].as_array().unwrap().len(), 20);
        assert_eq!(value["warnings"][1], serde_json::json!({"reason": "unusable_type", "count": 1, "ids": []}));
        assert_eq!(warnings.total(), 26);
    }
}
