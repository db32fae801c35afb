//! `work_items`, without what is computed from their histories.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::{
    job::rows::{Issue, Key, Number, WorkItem},
    store::{
        upsert::{Column, Table, by_mask, field, mask},
        write::Write,
    },
};

/// The bit of the first mapped column; the others follow.
const FIRST_MAPPED: u8 = 14;

const TABLE: Table = Table {
    name: "work_items",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::new("key", "text"),
        Column::input("project", "text"),
        Column::computed("project_id", "p.id").if_given(0),
        Column::input("wit", "text"),
        Column::computed("wit_id", "k.id").if_given(1),
        Column::input("status", "text"),
        Column::computed("status_id", "s.id").if_given(2),
        Column::new("team", "text").if_given(3),
        Column::new("summary", "text").if_given(4),
        Column::new("description", "text").if_given(5),
        Column::new("story_points", "float8").if_given(6),
        Column::new("resolution", "text").if_given(7),
        Column::new("assignee", "text").if_given(8),
        Column::new("labels", "text").if_given(9),
        Column::new("priority", "text").if_given(10),
        Column::new("parent_external_id", "text").if_given(11),
        Column::new("created", "timestamptz").fills(),
        Column::new("updated", "timestamptz").if_given(12),
        Column::new("development", "boolean").if_given(13),
        Column::new("custom_field_01", "text").if_given(14),
        Column::new("custom_field_02", "text").if_given(15),
        Column::new("custom_field_03", "text").if_given(16),
        Column::new("custom_field_04", "text").if_given(17),
        Column::new("custom_field_05", "text").if_given(18),
        Column::new("custom_field_06", "text").if_given(19),
        Column::new("custom_field_07", "text").if_given(20),
        Column::new("custom_field_08", "text").if_given(21),
        Column::new("custom_field_09", "text").if_given(22),
        Column::new("custom_field_10", "text").if_given(23),
        Column::new("custom_field_11", "text").if_given(24),
        Column::new("custom_field_12", "text").if_given(25),
        Column::new("custom_field_13", "text").if_given(26),
        Column::new("custom_field_14", "text").if_given(27),
        Column::new("custom_field_15", "text").if_given(28),
        Column::new("custom_field_16", "text").if_given(29),
        Column::new("custom_field_17", "text").if_given(30),
        Column::new("custom_field_18", "text").if_given(31),
        Column::new("custom_field_19", "text").if_given(32),
        Column::new("custom_field_20", "text").if_given(33),
    ],
    joins: "LEFT JOIN LATERAL (
    SELECT * FROM projects
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.project) LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT * FROM wits
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.wit) LIMIT 1
) k ON true
LEFT JOIN LATERAL (
    SELECT * FROM statuses
    WHERE (tenant_id, integration_id, external_id) = (n.tenant_id, n.integration_id, n.status) LIMIT 1
) s ON true",
    newer_by: Some("updated"),
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| TABLE.lock());

fn given(Issue { item: row, .. }: &Issue) -> i64 {
    let before = mask(&[
        row.project.is_some(),
        row.wit.is_some(),
        row.status.is_some(),
        row.team.is_some(),
        row.summary.is_some(),
        row.description.is_some(),
        row.story_points.is_some(),
        row.resolution.is_some(),
        row.assignee.is_some(),
        row.labels.is_some(),
        row.priority.is_some(),
        row.parent_external_id.is_some(),
        row.updated.is_some(),
        row.development.is_some(),
    ]);
    before | mask(&row.custom.each_ref().map(Option::is_some)) << FIRST_MAPPED
}

pub(super) fn write(rows: &BTreeMap<Key, Issue>) -> Vec<Write> {
    by_mask(rows, (TABLE.name, &UPSERT, &LOCK), given, |rows| {
        let text = |column: fn(&WorkItem) -> &Option<Option<String>>| {
            field(rows, |issue: &Issue| column(&issue.item).clone().flatten())
        };
        let mut parameters = vec![
            field(rows, |issue: &Issue| issue.item.key.clone()),
            text(|row| &row.project),
            text(|row| &row.wit),
            text(|row| &row.status),
            text(|row| &row.team),
            text(|row| &row.summary),
            text(|row| &row.description),
            field(rows, |issue: &Issue| issue.item.story_points.flatten().map(Number::get)),
            text(|row| &row.resolution),
            text(|row| &row.assignee),
            text(|row| &row.labels),
            text(|row| &row.priority),
            text(|row| &row.parent_external_id),
            field(rows, |issue: &Issue| issue.item.created),
            field(rows, |issue: &Issue| issue.item.updated.flatten()),
            field(rows, |issue: &Issue| issue.item.development),
        ];
        let mapped = 0..crate::job::context::MAPPED_COLUMNS;
        parameters.extend(mapped.map(|n| field(rows, |issue: &Issue| issue.item.custom[n].clone().flatten())));
        parameters
    })
}
