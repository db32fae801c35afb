//! What a dry run shows: the rows on standard output, one JSON object a line; all else goes to the log.

use std::io::{self, Write};

use crate::{job::RowSet, store::Completed};

pub(super) fn print(rows: &RowSet, completed: &[Completed], changed: &[(&'static str, u64)]) {
    let mut out = io::stdout().lock();
    for line in rows.lines() {
        // A reader that has gone away, as `head` does, is no reason to fail.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    for row in completed {
        let warnings = row.warnings.as_deref().unwrap_or("none");
        tracing::info!(raw_data_id = row.work.raw_data_id, warnings, "dry run: this row would be completed");
    }
    for (table, rows) in changed {
        tracing::info!(table, rows, "dry run: rows that would change");
    }
}
