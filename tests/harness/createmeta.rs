//! Realistic answers of Jira's createmeta call: the same for the same seed, and without a common row for different seeds.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

const TYPE_NAMES: [&str; 11] = [
    "Epic",
    "Story",
    "Task",
    "Bug",
    "Sub-task",
    "Spike",
    "Incident",
    "Change",
    "Support Request",
    "Test Case",
    "Release",
];
const FIELD_KINDS: [&str; 6] = ["string", "number", "option", "array", "user", "date"];
const WORDS: [&str; 16] = [
    "delivery", "Grenze", "señal", "priority", "squad", "budget", "review", "quarter", "客户", "risk", "module",
    "owner", "impact", "stage", "release", "cost",
];

/// How large a document is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Projects.
    pub projects: usize,
    /// Distinct issue types; at most 11.
    pub types: usize,
    /// Pairs of a project and one of its types.
    pub pairs: usize,
    /// Distinct custom fields; each pair has all of them.
    pub custom_fields: usize,
    /// Permitted values of each field that has such a list: what makes real documents large.
    pub allowed_values: usize,
}

impl Shape {
    /// About 1 KB; a project, a type, their relation and two fields: five rows.
    pub const SMALL: Self = Self { projects: 1, types: 1, pairs: 1, custom_fields: 2, allowed_values: 0 };
    /// Some 100 KB.
    pub const MEDIUM: Self = Self { projects: 3, types: 5, pairs: 11, custom_fields: 20, allowed_values: 4 };
    /// 7.8 MB: 12 projects, 11 distinct types, 86 pairs.
    pub const LARGE: Self = Self { projects: 12, types: 11, pairs: 86, custom_fields: 122, allowed_values: 4 };
}

/// A document and what must come out of it.
#[derive(Debug, Clone)]
pub struct Createmeta {
    /// The payload.
    pub document: Value,
    /// Its dimensions.
    pub shape: Shape,
}

/// Ids of one seed; those of another seed are different ones.
const IDS_OF_A_SEED: u64 = 1_000;

/// Makes a document.
pub fn createmeta(seed: u64, shape: Shape) -> Createmeta {
    assert!(shape.types <= TYPE_NAMES.len() && shape.pairs >= shape.projects.max(shape.types), "{shape:?}");
    assert!(shape.pairs <= shape.projects * shape.types, "{shape:?}");
    let mut dice = StdRng::seed_from_u64(seed);
    let first_id = 10_000 + seed * IDS_OF_A_SEED;
    let fields = fields(&mut dice, first_id, shape);
    let projects: Vec<Value> = (0..shape.projects)
        .map(|number| {
            let many = shape.pairs / shape.projects + usize::from(number < shape.pairs % shape.projects);
            // Starting at another type in each project, so that every type occurs.
            let types: Vec<Value> =
                (0..many).map(|offset| issue_type(first_id, (number + offset) % shape.types, &fields)).collect();
            let id = first_id + number as u64;
            json!({
                "expand": "issuetypes",
                "self": format!("https://example.atlassian.net/rest/api/3/project/{id}"),
                "id": id.to_string(),
                "key": format!("P{seed}N{number}"),
                "name": format!("{} {number}", words(&mut dice, 2)),
                "avatarUrls": {"48x48": format!("https://example.atlassian.net/avatar/{id}?size=xlarge")},
                "issuetypes": types,
            })
        })
        .collect();
    Createmeta { document: json!({"expand": "projects", "projects": projects}), shape }
}

impl Createmeta {
    /// Ids of the types in the document: a check of the generator itself.
    pub fn distinct_types(&self) -> usize {
        let mut ids = BTreeSet::new();
        for project in self.document["projects"].as_array().into_iter().flatten() {
            for issue_type in project["issuetypes"].as_array().into_iter().flatten() {
                ids.insert(issue_type["id"].as_str());
            }
        }
        ids.len()
    }
}

fn issue_type(first_id: u64, number: usize, fields: &Map<String, Value>) -> Value {
    let id = first_id + 100 + number as u64;
    let level = match number {
        0 => 1,
        4 => -1,
        _ => 0,
    };
    json!({
        "self": format!("https://example.atlassian.net/rest/api/3/issuetype/{id}"),
        "id": id.to_string(),
        "description": format!("Issues of the kind {}", TYPE_NAMES[number]),
        "iconUrl": format!("https://example.atlassian.net/icon/{id}"),
        "name": TYPE_NAMES[number],
        "untranslatedName": TYPE_NAMES[number],
        "subtask": level == -1,
        "hierarchyLevel": level,
        "expand": "fields",
        "fields": fields,
    })
}

fn fields(dice: &mut StdRng, first_id: u64, shape: Shape) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert(
        "summary".to_owned(),
        json!({"required": true, "schema": {"type": "string", "system": "summary"}, "name": "Summary", "key": "summary",
               "operations": ["set"]}),
    );
    for number in 0..shape.custom_fields {
        let custom_id = first_id + 30 + number as u64;
        let key = format!("customfield_{custom_id}");
        let kind = FIELD_KINDS.choose(dice).copied().unwrap_or("string");
        let allowed: Vec<Value> = (0..shape.allowed_values)
            .map(|value| {
                let id = first_id * 100 + (number * 50 + value) as u64;
                json!({"self": format!("https://example.atlassian.net/rest/api/3/customFieldOption/{id}"),
                       "value": words(dice, 2), "id": id.to_string()})
            })
            .collect();
        let mut field = json!({
            "required": dice.random_bool(0.1),
            "schema": {"type": kind, "custom": format!("com.atlassian.jira.plugin.system.customfieldtypes:{kind}field"),
                       "customId": custom_id},
            "name": format!("{} {number}", words(dice, 2)),
            "key": key,
            "hasDefaultValue": false,
            "operations": if kind == "array" { json!(["add", "set", "remove"]) } else { json!(["set"]) },
        });
        if !allowed.is_empty() {
            field["allowedValues"] = Value::Array(allowed);
        }
        fields.insert(key, field);
    }
    fields
}

fn words(dice: &mut StdRng, count: usize) -> String {
    let chosen: Vec<&str> = (0..count).filter_map(|_| WORDS.choose(dice).copied()).collect();
    chosen.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_have_the_dimensions_that_their_shapes_say() {
        let large = createmeta(1, Shape::LARGE);
        assert_eq!(large.distinct_types(), 11);
        let bytes = large.document.to_string().len();
        assert!((7_500_000..8_100_000).contains(&bytes), "{bytes} bytes");
        let bytes = createmeta(1, Shape::SMALL).document.to_string().len();
        assert!((800..1_600).contains(&bytes), "{bytes} bytes");
        let bytes = createmeta(1, Shape::MEDIUM).document.to_string().len();
        assert!((50_000..300_000).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn a_seed_gives_the_same_document_every_time() {
        assert_eq!(createmeta(7, Shape::MEDIUM).document, createmeta(7, Shape::MEDIUM).document);
        assert_ne!(createmeta(7, Shape::MEDIUM).document, createmeta(8, Shape::MEDIUM).document);
    }
}
