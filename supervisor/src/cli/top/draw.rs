//! The screen, and the same as plain text.

use std::fmt::Write;

use etl_shared::api::WorkerState;
use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Cell, Paragraph, Table},
};

use super::model::{Model, Order, Row};

const HEADER: [&str; 9] = ["NAME", "STATE", "PID", "CPU%", "MEMORY", "DEPTH", "RESTARTS", "UPTIME", "REASON"];
const WIDTHS: [u16; 8] = [26, 9, 8, 6, 10, 8, 8, 11];
const STATE_COLUMN: usize = 1;

/// Draws everything.
pub(super) fn screen(frame: &mut Frame<'_>, model: &Model, in_colour: bool) {
    let [head, table, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    frame.render_widget(Paragraph::new(vec![Line::from(totals(model)), Line::from(remarks(model))]), head);

    let sorted = Style::new().add_modifier(Modifier::REVERSED);
    let header = HEADER.iter().enumerate().map(|(column, name)| {
        let style = if column == column_of(model.order) { sorted } else { Style::new() };
        Cell::from(*name).style(style)
    });
    let header = ratatui::widgets::Row::new(header).style(Style::new().add_modifier(Modifier::BOLD));
    // Only what is visible is made: there may be thousands.
    let visible = usize::from(table.height.saturating_sub(1));
    let rows = model.rows();
    let first = model.scrolled.min(rows.len().saturating_sub(1));
    let rows = rows.into_iter().skip(first).take(visible).map(|row| {
        ratatui::widgets::Row::new(cells(row).into_iter().enumerate().map(|(column, text)| {
            let style = if column == STATE_COLUMN && in_colour { colour(row.state) } else { Style::new() };
            Cell::from(text).style(style)
        }))
    });
    let widths = WIDTHS.map(Constraint::Length).into_iter().chain([Constraint::Min(10)]);
    frame.render_widget(Table::new(rows, widths).header(header), table);

    let keys = if model.typing {
        format!("filter: {}_   Enter keeps it, Esc clears it", model.filter)
    } else {
        "q quit  / filter  sort by: n name  m memory  c cpu  d depth  r restarts  arrows scroll".to_owned()
    };
    frame.render_widget(Paragraph::new(keys), foot);
}

/// Everything as text, without a terminal.
pub(super) fn plain(model: &Model) -> String {
    let mut text = format!("{}\n", totals(model));
    let line = |cells: [String; HEADER.len()]| {
        let padded = cells.iter().zip(WIDTHS.into_iter().chain([0]));
        let padded: Vec<String> = padded.map(|(cell, width)| format!("{cell:<width$}", width = width.into())).collect();
        padded.join(" ").trim_end().to_owned()
    };
    for line in
        [line(HEADER.map(str::to_owned))].into_iter().chain(model.rows().into_iter().map(|row| line(cells(row))))
    {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

fn totals(model: &Model) -> String {
    let states: Vec<String> = model.states.iter().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
    let (memory, depth) = model.sums();
    let states = if states.is_empty() { "no workers".to_owned() } else { states.join(", ") };
    format!("{} tenants   {states}   memory {}   waiting messages {depth}", model.tenants, size(memory))
}

fn remarks(model: &Model) -> String {
    let filter = (!model.filter.is_empty()).then(|| format!("only {:?}", model.filter));
    let problem = model.problem.as_ref().map(|problem| format!("NOT CURRENT: {problem}"));
    let remarks: Vec<String> = problem.into_iter().chain(model.troubles.iter().cloned()).chain(filter).collect();
    remarks.join("   ")
}

fn cells(row: &Row) -> [String; HEADER.len()] {
    let none = || "-".to_owned();
    let figure = |figure: Option<u64>| figure.map_or_else(none, |figure| figure.to_string());
    [
        row.name.to_string(),
        row.state.as_str().to_owned(),
        row.pid.map_or_else(none, |pid| pid.to_string()),
        row.processor.map_or_else(none, |share| format!("{share:.1}")),
        row.memory.map_or_else(none, size),
        figure(row.depth),
        row.restarts.to_string(),
        row.uptime
            .map_or_else(none, |seconds| format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)),
        row.reason.clone(),
    ]
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

const fn column_of(order: Order) -> usize {
    match order {
        Order::Name => 0,
        Order::Processor => 3,
        Order::Memory => 4,
        Order::Depth => 5,
        Order::Restarts => 6,
    }
}

fn colour(state: WorkerState) -> Style {
    match state {
        WorkerState::Running => Style::new().fg(Color::Green),
        WorkerState::Fatal => Style::new().fg(Color::Red),
        WorkerState::Backoff | WorkerState::Waiting => Style::new().fg(Color::Yellow),
        WorkerState::Starting | WorkerState::Stopping => Style::new().fg(Color::Cyan),
        WorkerState::Stopped | WorkerState::Idle => Style::new().add_modifier(Modifier::DIM),
    }
}
