//! What one scrape reads, and its text.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};

use super::{fleet, own, sheet::Sheet};
use crate::{
    api::Api,
    clock::BootTime,
    history::tally::Totals,
    runtime::{FleetView, sample::own_process},
};

/// Everything that an answer is made of, as of one moment.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) now: BootTime,
    pub(super) view: Arc<FleetView>,
    pub(super) totals: Totals,
    pub(super) republished: u64,
    pub(super) uptime: Duration,
    /// Of the supervisor and its keeper: memory in bytes and processor time in seconds.
    pub(super) processes: Vec<(&'static str, u64, f64)>,
    pub(super) request_classes: [(&'static str, u64); 5],
    pub(super) request_durations: (Vec<u64>, f64),
}

impl Scrape {
    /// Reads what there is.
    pub(super) fn of(api: &Api) -> Self {
        let view = api.context.handle.view();
        let pids = [("supervisor", i32::try_from(std::process::id()).ok()), ("keeper", view.keeper_pid)];
        let processes = pids.into_iter().filter_map(|(name, pid)| {
            let (memory, cpu_seconds) = own_process(pid?)?;
            Some((name, memory, cpu_seconds))
        });
        let (buckets, seconds) = api.requests.durations();
        Self {
            now: BootTime::now(),
            totals: view.tally.totals(),
            republished: api.context.republished.load(Relaxed),
            uptime: api.context.started_at.elapsed().unwrap_or_default(),
            processes: processes.collect(),
            request_classes: api.requests.classes(),
            request_durations: (buckets.to_vec(), seconds),
            view,
        }
    }

    /// The text, with its end mark.
    pub(super) fn render(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        fleet::write(self, &mut sheet)?;
        own::write(self, &mut sheet)
    }
}
