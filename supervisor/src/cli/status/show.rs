//! Workers as text. The plain form is that of `supervisorctl status`, so that whatever reads the one reads the other.

use std::fmt::Write;

use etl_shared::api::{BudgetStatus, Sum, Wall, WorkerState, WorkerStatus};

/// Width of a name at least, and of a state, as in `supervisorctl`.
const NAME_WIDTH: usize = 30;
const STATE_WIDTH: usize = 10;

/// `NAME  STATE  pid 4121, uptime 2:11:09`, or the reason where there is nothing that runs.
pub(super) fn lines(workers: &[&WorkerStatus], colour: bool) -> String {
    let width = workers.iter().map(|worker| worker.name.to_string().len()).max().unwrap_or(0).max(NAME_WIDTH) + 2;
    let mut text = String::new();
    for worker in workers {
        let state = state(worker.state, STATE_WIDTH, colour);
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{:<width$} {state}{}", worker.name, description(worker));
    }
    text
}

fn description(worker: &WorkerStatus) -> String {
    match (worker.state, worker.pid, worker.uptime_seconds) {
        (WorkerState::Running, Some(pid), Some(seconds)) => format!("pid {pid}, uptime {}", uptime(seconds)),
        _ => worker.reason.replace('\n', " "),
    }
}

/// `2:11:09`, and `3 days, 2:11:09` when it has been that long.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    format!("{days}{hours}:{minutes:02}:{seconds:02}")
}

fn state(state: WorkerState, width: usize, colour: bool) -> String {
    let padded = format!("{:<width$}", state.as_str());
    let code = match state {
        WorkerState::Running => "32",
        WorkerState::Fatal => "31",
        WorkerState::Backoff | WorkerState::Waiting => "33",
        WorkerState::Starting | WorkerState::Stopping => "36",
        WorkerState::Stopped | WorkerState::Idle => "2",
    };
    if colour { format!("\x1b[{code}m{padded}\x1b[0m") } else { padded }
}

/// What all workers together take, in one line.
pub(super) fn budget(budget: &BudgetStatus) -> String {
    let BudgetStatus { workers, waiting, memory, database_connections } = budget;
    let size = |bytes| bytesize::ByteSize(bytes).display().iec().to_string();
    let waiting = if *waiting == 0 { String::new() } else { format!("; {waiting} more wait for room") };
    format!(
        "{workers} workers: soft memory limits {}; database connections {}{waiting}",
        sum(memory, size),
        sum(database_connections, |count| count.to_string())
    )
}

fn sum(sum: &Sum, say: impl Fn(u64) -> String) -> String {
    let limit = sum.limit.map_or_else(|| "no limit".to_owned(), |limit| format!("limit {}", say(limit)));
    let available = sum.available.map_or_else(String::new, |available| format!(", {} there", say(available)));
    format!("{} ({limit}{available})", say(sum.taken))
}

const HEADER: [&str; 10] =
    ["NAME", "STATE", "PID", "UPTIME", "MEMORY", "CPU", "RESTARTS", "LAST EXIT", "MESSAGES", "REASON"];
const STATE_COLUMN: usize = 1;

/// Everything in a table with a header.
pub(super) fn table(workers: &[&WorkerStatus], colour: bool) -> String {
    let rows: Vec<_> = workers.iter().map(|worker| row(worker)).collect();
    let mut widths = HEADER.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(&HEADER.map(str::to_owned), &widths);
    for (worker, mut row) in workers.iter().zip(rows) {
        // Padded here: what colours it has no width.
        row[STATE_COLUMN] = state(worker.state, widths[STATE_COLUMN], colour);
        text.push_str(&line(&row, &widths));
    }
    text
}

/// What keeps them apart on this machine, below the table.
pub(super) fn walls(walls: &[Wall], colour: bool) -> String {
    let width = walls.iter().map(|wall| wall.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for wall in walls {
        let (word, code) = if wall.up { ("up  ", "32") } else { ("DOWN", "33") };
        let word = if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{}wall {:<width$}  {word}  {}",
            if text.is_empty() { "\n" } else { "" },
            wall.name,
            wall.detail
        );
    }
    text
}

fn line(cells: &[String; HEADER.len()], widths: &[usize; HEADER.len()]) -> String {
    let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

fn row(worker: &WorkerStatus) -> [String; HEADER.len()] {
    let none = || "-".to_owned();
    let messages = worker.messages.as_ref().map_or_else(none, |messages| {
        format!("{}, {} done, {} in flight", messages.phase, messages.done, messages.in_flight)
    });
    [
        worker.name.to_string(),
        worker.state.as_str().to_owned(),
        worker.pid.map_or_else(none, |pid| pid.to_string()),
        worker.uptime_seconds.map_or_else(none, uptime),
        worker.resident_memory_bytes.map_or_else(none, |bytes| bytesize::ByteSize(bytes).display().iec().to_string()),
        worker.cpu_seconds.map_or_else(none, |seconds| format!("{seconds:.2}s")),
        worker.restarts.to_string(),
        worker.last_exit.as_ref().map_or_else(none, |exit| exit.verdict.to_string()),
        messages,
        worker.reason.replace('\n', " "),
    ]
}

#[cfg(test)]
mod tests {
    use etl_shared::{
        Verdict,
        api::{LastExit, MessageCounts},
    };

    use super::*;
    use crate::api::tests::fleet::status_of;

    fn running() -> WorkerStatus {
        let uptime_seconds = Some(2 * 3600 + 11 * 60 + 9);
        WorkerStatus { pid: Some(4121), uptime_seconds, ..status_of("transform-7-1", WorkerState::Running) }
    }

    #[test]
    fn a_line_is_what_supervisorctl_would_print() {
        let backoff = WorkerStatus {
            reason: "EXIT(1), next start in 4s".to_owned(),
            ..status_of("transform-11-1", WorkerState::Backoff)
        };
        assert_eq!(
            lines(&[&running(), &backoff], false),
            "transform-7-1                    RUNNING   pid 4121, uptime 2:11:09\n\
             transform-11-1                   BACKOFF   EXIT(1), next start in 4s\n"
        );
        assert!(lines(&[&running()], true).contains("\x1b[32mRUNNING   \x1b[0mpid 4121"));
    }

    #[test]
    fn the_sums_are_said_against_what_there_is() {
        let memory = Sum { taken: 3 << 30, limit: None, available: Some(2 << 30) };
        let database_connections = Sum { taken: 6, limit: Some(6), available: None };
        let text = budget(&BudgetStatus { workers: 6, waiting: 2, memory, database_connections });
        assert_eq!(
            text,
            "6 workers: soft memory limits 3.0 GiB (no limit, 2.0 GiB there); database connections 6 (limit 6); \
             2 more wait for room"
        );
    }

    #[test]
    fn a_long_uptime_counts_days() {
        for (seconds, expected) in [
            (0, "0:00:00"),
            (59, "0:00:59"),
            (86_399, "23:59:59"),
            (90_061, "1 day, 1:01:01"),
            (172_800, "2 days, 0:00:00"),
        ] {
            assert_eq!(uptime(seconds), expected);
        }
    }

    #[test]
    fn the_wide_form_has_a_header_and_every_figure() {
        let worker = WorkerStatus {
            resident_memory_bytes: Some(3 * 1024 * 1024),
            cpu_seconds: Some(0.5),
            restarts: 2,
            last_exit: Some(LastExit { verdict: Verdict::Crash(11), at: String::new(), detail: None }),
            messages: Some(MessageCounts {
                phase: "idle".to_owned(),
                in_flight: 0,
                done: 12,
                dead_lettered: 0,
                retried: 0,
            }),
            ..running()
        };
        let table = table(&[&worker], false);
        let (header, line) = table.split_once('\n').unwrap();
        assert!(header.starts_with("NAME           STATE    PID   UPTIME"), "{header}");
        for expected in ["4121", "2:11:09", "3.0 MiB", "0.50s", "CRASH(SIGSEGV)", "idle, 12 done, 0 in flight"] {
            assert!(line.contains(expected), "{expected} in {line}");
        }
    }
}
