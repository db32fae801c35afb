//! Which of the things that documents refer to are stored.

use std::collections::BTreeMap;

use super::columns::{Parameter, keys};
use crate::job::{references::Target, rows::Key};

/// The question for one kind of thing, asked of a temporary list `n` of keys.
const fn sql(target: Target) -> &'static str {
    macro_rules! stored {
        ($rest:literal) => {
            concat!(
                "SELECT n.tenant_id, n.integration_id, n.id FROM unnest($1::bigint[], $2::bigint[], $3::text[])
    AS n (tenant_id, integration_id, id) WHERE EXISTS (SELECT FROM ",
                $rest,
                ")"
            )
        };
        ($table:literal by $column:literal) => {
            concat!(
                "SELECT n.tenant_id, n.integration_id, n.id FROM unnest($1::bigint[], $2::bigint[], $3::text[])
    AS n (tenant_id, integration_id, id) WHERE EXISTS (SELECT FROM ",
                $table,
                " t WHERE t.tenant_id = n.tenant_id AND t.integration_id = n.integration_id AND t.",
                $column,
                " = n.id)"
            )
        };
    }
    match target {
        Target::Project => stored!("projects" by "external_id"),
        Target::ProjectByKey => stored!("projects" by "key"),
        Target::Wit => stored!("wits" by "external_id"),
        Target::Status => stored!("statuses" by "external_id"),
        Target::WorkItem => stored!("work_items" by "external_id"),
        Target::WorkItemByKey => stored!("work_items" by "key"),
        Target::Sprint => stored!("sprints" by "external_id"),
        Target::SprintOnBoard => stored!(
            "sprints t WHERE t.tenant_id = n.tenant_id AND t.integration_id = n.integration_id
        AND t.external_id = split_part(n.id, '/', 1)
        AND coalesce(t.board_id::text, split_part(n.id, '/', 2)) = split_part(n.id, '/', 2)"
        ),
        Target::Membership => stored!(
            "work_items_sprints t
        JOIN sprints s ON s.tenant_id = t.tenant_id AND s.id = t.sprint_id
        JOIN work_items w ON w.tenant_id = t.tenant_id AND w.id = t.work_item_id
        WHERE t.tenant_id = n.tenant_id AND t.integration_id = n.integration_id
        AND s.integration_id = n.integration_id AND s.external_id = split_part(n.id, '/', 1)
        AND w.integration_id = n.integration_id AND w.external_id = split_part(n.id, '/', 2)"
        ),
        Target::Repository => stored!(
            "repositories t WHERE t.tenant_id = n.tenant_id AND t.integration_id = n.integration_id
        AND lower(t.full_name) = n.id"
        ),
    }
}

/// One question with what it is about.
pub(super) struct Question {
    pub(super) target: Target,
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Parameter>,
}

/// One question for each kind of thing.
pub(super) fn questions<'a>(wanted: impl Iterator<Item = &'a (Target, Key)>) -> Vec<Question> {
    let mut by_target: BTreeMap<Target, Vec<&Key>> = BTreeMap::new();
    for (target, key) in wanted {
        by_target.entry(*target).or_default().push(key);
    }
    by_target
        .into_iter()
        .map(|(target, mut wanted)| {
            wanted.sort_unstable();
            wanted.dedup();
            Question { target, sql: sql(target), parameters: keys(wanted.into_iter()) }
        })
        .collect()
}
