//! What a dry run shows: the rows on standard output, one JSON object a line; all else goes to the log.

use std::io::{self, Write};

use crate::{
    job::RowSet,
    store::{Ended, Transformed},
};

pub(super) fn print(rows: &RowSet, transformed: &[Transformed], ended: &Ended) {
    let mut out = io::stdout().lock();
    for line in rows.lines() {
        // A reader that has gone away, as `head` does, is no reason to fail.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    for (row, completed) in transformed.iter().zip(&ended.completed) {
        let (raw_data_id, warnings) = (row.work.raw_data_id, row.warnings.to_json());
        let warnings = warnings.as_deref().unwrap_or("none");
        tracing::info!(raw_data_id, completed, warnings, "dry run: this is what would become of the row");
    }
    for (table, rows) in &ended.changed {
        tracing::info!(table, rows, "dry run: rows that would change");
    }
}
