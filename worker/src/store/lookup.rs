//! Which of the things that documents refer to are stored.

use std::collections::BTreeMap;

use super::{
    columns::{Parameter, keys},
    write::Write,
};
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
        AND t.full_name_lower = n.id"
        ),
    }
}

/// The table that a question is about.
const fn table(target: Target) -> &'static str {
    match target {
        Target::Project | Target::ProjectByKey => "projects",
        Target::Wit => "wits",
        Target::Status => "statuses",
        Target::WorkItem | Target::WorkItemByKey => "work_items",
        Target::Sprint | Target::SprintOnBoard => "sprints",
        Target::Membership => "work_items_sprints",
        Target::Repository => "repositories",
    }
}

/// One question with what it is about.
pub(super) struct Question {
    pub(super) target: Target,
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Parameter>,
}

impl Question {
    /// How many of the writes come before it: those of the table that it is about, and none that looks at that table. What
    /// another worker stores after the answer is then at most a warning too many. Asked after all writes, it would be found
    /// by the answer and not by the writes before it, and its absence from them would go unnoticed.
    ///
    /// Sprints are looked for by the very writes of their own table as well, so for them the question comes before these:
    /// "missing" then means another try.
    pub(super) fn place(&self, writes: &[Write]) -> usize {
        let table = table(self.target);
        let first = writes.iter().position(|write| write.table == table).unwrap_or(0);
        if self.target == Target::Sprint {
            return first;
        }
        first + writes[first..].iter().take_while(|write| write.table == table).count()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_comes_right_after_the_writes_of_its_table() {
        let write = |table| Write { table, sql: "", parameters: Vec::new() };
        let writes = ["projects", "sprints", "sprints", "work_items", "changelogs", "work_items"].map(write);
        let place = |target| Question { target, sql: "", parameters: Vec::new() }.place(&writes);
        assert_eq!([Target::Project, Target::Status, Target::SprintOnBoard].map(place), [1, 0, 3]);
        assert_eq!(place(Target::Sprint), 1, "a report looks for its sprint where it writes it");
        assert_eq!(place(Target::WorkItemByKey), 4, "metrics of the same table come later");
    }
}
