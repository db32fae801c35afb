//! `projects`

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    upsert::{Column, Table, by_mask, field, mask},
    write::Write,
};
use crate::job::rows::{Key, Project};

const TABLE: Table = Table {
    name: "projects",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::new("key", "text"),
        Column::new("name", "text"),
        Column::new("project_type", "text").if_given(0),
    ],
    joins: "",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| TABLE.lock());

pub(super) fn write(rows: &BTreeMap<Key, Project>) -> Vec<Write> {
    by_mask(
        rows,
        (TABLE.name, &UPSERT, &LOCK),
        |row| mask(&[row.project_type.is_some()]),
        |rows| {
            vec![
                field(rows, |row: &Project| row.key.clone()),
                field(rows, |row: &Project| row.name.clone()),
                field(rows, |row: &Project| row.project_type.clone().flatten()),
            ]
        },
    )
}
