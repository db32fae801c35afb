//! What is shown, in which order, and what keys change in it.

use std::{cmp::Ordering, collections::HashMap, time::Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use etl_shared::{
    WorkerName,
    api::{FleetStatus, WorkerState, WorkerStatus},
};

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: WorkerName,
    pub(super) state: WorkerState,
    pub(super) pid: Option<i32>,
    /// Of one processor, in percent; `None`: not known yet.
    pub(super) processor: Option<f64>,
    pub(super) memory: Option<u64>,
    /// Messages that wait in its queue.
    pub(super) depth: Option<u64>,
    pub(super) restarts: u64,
    pub(super) uptime: Option<u64>,
    pub(super) reason: String,
}

/// What the table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    Name,
    Memory,
    Processor,
    Depth,
    Restarts,
}

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Stay,
    Leave,
}

/// Everything that the screen shows.
#[derive(Debug, Default)]
pub(super) struct Model {
    rows: Vec<Row>,
    pub(super) states: Vec<(WorkerState, usize)>,
    pub(super) tenants: usize,
    /// Parts of the supervisor that do not work, with what they say.
    pub(super) troubles: Vec<String>,
    pub(super) order: Order,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) typing: bool,
    /// The first line shown.
    pub(super) scrolled: usize,
    /// Why there is nothing newer.
    pub(super) problem: Option<String>,
    looked: HashMap<WorkerName, Looked>,
}

#[derive(Debug, Clone, Copy)]
struct Looked {
    incarnation: u64,
    processor_seconds: f64,
    /// When the figure changed last, and how much of a processor that was.
    at: Instant,
    share: Option<f64>,
}

impl Model {
    /// The fleet as it is now.
    pub(super) fn take(&mut self, fleet: FleetStatus, now: Instant) {
        self.problem = None;
        self.tenants = fleet.tenants.len();
        self.states = fleet.states.into_iter().filter(|(_, count)| *count > 0).collect();
        let parts = fleet.supervisor.parts.into_iter().filter(|(_, part)| !part.ok);
        self.troubles = parts.map(|(name, part)| format!("{name}: {}", part.detail)).collect();
        let mut rows = Vec::new();
        let mut looked = HashMap::new();
        for tenant in fleet.tenants.into_values() {
            for worker in tenant.workers {
                let depth = tenant
                    .queues
                    .iter()
                    .find(|queue| queue.name == worker.queue)
                    .map(|queue| u64::from(queue.messages_ready));
                let processor = self.processor(&worker, now);
                looked.extend(processor.map(|processor| (worker.name.clone(), processor)));
                rows.push(Row {
                    processor: processor.and_then(|processor| processor.share),
                    name: worker.name,
                    state: worker.state,
                    pid: worker.pid,
                    memory: worker.resident_memory_bytes,
                    depth,
                    restarts: worker.restarts,
                    uptime: worker.uptime_seconds,
                    reason: worker.reason.replace('\n', " "),
                });
            }
        }
        (self.rows, self.looked) = (rows, looked);
    }

    /// Nobody answered: what was there stays, with this above it.
    pub(super) fn lost(&mut self, problem: String) {
        self.problem = Some(problem);
    }

    /// Its share of a processor since the supervisor looked at the process before.
    fn processor(&self, worker: &WorkerStatus, now: Instant) -> Option<Looked> {
        let (incarnation, processor_seconds) = (worker.incarnation, worker.cpu_seconds?);
        // The supervisor looks less often than we do.
        let at = now.checked_sub(std::time::Duration::from_secs(worker.sample_age_seconds.unwrap_or(0))).unwrap_or(now);
        let before = self.looked.get(&worker.name).filter(|before| before.incarnation == incarnation);
        Some(match before {
            Some(before) if at.duration_since(before.at).as_secs_f64() < 0.9 => *before,
            before => {
                let share = before.map(|before| {
                    let used = (processor_seconds - before.processor_seconds).max(0.0);
                    100.0 * used / at.duration_since(before.at).as_secs_f64()
                });
                Looked { incarnation, processor_seconds, at, share }
            }
        })
    }

    /// What the filter leaves, in the chosen order: the largest first, equals by name.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let matches = |row: &&Row| {
            let filter = self.filter.to_lowercase();
            row.name.to_string().contains(&filter) || row.state.as_str().to_lowercase().contains(&filter)
        };
        let mut rows: Vec<&Row> = self.rows.iter().filter(matches).collect();
        rows.sort_by(|one, other| {
            let by_figure = match self.order {
                Order::Name => Ordering::Equal,
                Order::Memory => other.memory.cmp(&one.memory),
                Order::Processor => other.processor.unwrap_or(-1.0).total_cmp(&one.processor.unwrap_or(-1.0)),
                Order::Depth => other.depth.cmp(&one.depth),
                Order::Restarts => other.restarts.cmp(&one.restarts),
            };
            let by_name = || (one.name.tenant, &one.name).cmp(&(other.name.tenant, &other.name));
            by_figure.then_with(by_name)
        });
        rows
    }

    /// The memory of all workers together, and the messages that wait for them.
    pub(super) fn sums(&self) -> (u64, u64) {
        (self.rows.iter().filter_map(|row| row.memory).sum(), self.rows.iter().filter_map(|row| row.depth).sum())
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Then {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Then::Leave;
        }
        match key.code {
            KeyCode::Enter if self.typing => self.typing = false,
            KeyCode::Esc => (self.typing, self.filter) = (false, String::new()),
            KeyCode::Backspace if self.typing => drop(self.filter.pop()),
            KeyCode::Char(character) if self.typing => {
                self.filter.push(character);
                self.scrolled = 0;
            }
            KeyCode::Char('q') => return Then::Leave,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('n') => self.order = Order::Name,
            KeyCode::Char('m') => self.order = Order::Memory,
            KeyCode::Char('c') => self.order = Order::Processor,
            KeyCode::Char('d') => self.order = Order::Depth,
            KeyCode::Char('r') => self.order = Order::Restarts,
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::PageDown => self.scroll(20),
            KeyCode::PageUp => self.scroll(-20),
            KeyCode::Home => self.scrolled = 0,
            _ => {}
        }
        Then::Stay
    }

    fn scroll(&mut self, lines: isize) {
        let last = self.rows().len().saturating_sub(1);
        self.scrolled = self.scrolled.saturating_add_signed(lines).min(last);
    }
}

#[cfg(test)]
mod tests;
