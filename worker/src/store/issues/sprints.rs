//! `sprints`, without what sprint reports say.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::{
    job::rows::{Key, Sprint},
    store::{
        upsert::{Column, Table, by_mask, field, mask},
        write::Write,
    },
};

const TABLE: Table = Table {
    name: "sprints",
    key: &["external_id"],
    columns: &[
        Column::new("external_id", "text"),
        Column::new("name", "text"),
        Column::new("state", "text"),
        Column::new("goal", "text").if_given(0),
        Column::new("start_date", "timestamptz").if_given(1),
        Column::new("end_date", "timestamptz").if_given(2),
        Column::new("complete_date", "timestamptz").if_given(3),
        Column::new("board_id", "bigint").if_given(4),
    ],
    joins: "",
    newer_by: None,
};
static UPSERT: LazyLock<String> = LazyLock::new(|| TABLE.upsert());
static LOCK: LazyLock<String> = LazyLock::new(|| TABLE.lock());

pub(super) fn write(rows: &BTreeMap<Key, Sprint>) -> Vec<Write> {
    let given = |row: &Sprint| {
        mask(&[
            row.goal.is_some(),
            row.start_date.is_some(),
            row.end_date.is_some(),
            row.complete_date.is_some(),
            row.board_id.is_some(),
        ])
    };
    by_mask(rows, (TABLE.name, &UPSERT, &LOCK), given, |rows| {
        vec![
            field(rows, |row: &Sprint| row.name.clone()),
            field(rows, |row: &Sprint| row.state.clone()),
            field(rows, |row: &Sprint| row.goal.clone().flatten()),
            field(rows, |row: &Sprint| row.start_date.flatten()),
            field(rows, |row: &Sprint| row.end_date.flatten()),
            field(rows, |row: &Sprint| row.complete_date.flatten()),
            field(rows, |row: &Sprint| row.board_id.flatten()),
        ]
    })
}
