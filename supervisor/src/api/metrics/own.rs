//! Metrics of the supervisor itself.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{
    requests::BOUNDS_US,
    scrape::Scrape,
    sheet::{Sheet, buckets},
};

pub(super) fn write(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    sheet.info("etl_build", "The running program", &[("version", env!("CARGO_PKG_VERSION"))])?;
    let help = "Since this supervisor started; its counters began at zero then";
    sheet.single(("etl_supervisor_uptime", help, Some(Unit::Seconds)), &scrape.uptime.as_secs_f64())?;
    let memory = scrape.processes.iter().map(|(process, bytes, _)| ([("process", *process)], *bytes));
    let help = "Resident memory of the supervisor and of its keeper";
    sheet.gauge(("etl_supervisor_resident_memory", help, Some(Unit::Bytes)), memory)?;
    let cpu = scrape.processes.iter().map(|(process, _, seconds)| ([("process", *process)], *seconds));
    let help = "Processor time of the supervisor and of its keeper, each since it started";
    sheet.counter(("etl_supervisor_cpu", help, Some(Unit::Seconds)), cpu)?;
    let help = "Whether a keeper answers; without one, no worker can be started or stopped";
    sheet.single(("etl_supervisor_keeper_up", help, None), &u32::from(scrape.view.keeper_pid.is_some()))?;
    let parts = scrape.view.parts.iter().map(|(part, status)| ([("part", *part)], u32::from(status.ok)));
    sheet.gauge(("etl_supervisor_part_up", "Whether a part of the supervisor works", None), parts)?;
    let age = scrape.now.since(scrape.view.turned_at).as_secs_f64();
    let help = "Since the control loop last turned; it turns every second";
    sheet.single(("etl_supervisor_view_age", help, Some(Unit::Seconds)), &age)?;
    let help = "Whether the tenants have been read and acted on once";
    sheet.single(("etl_supervisor_settled", help, None), &u32::from(scrape.view.settled))?;
    let wanted = scrape.view.tenants.values().filter(|wanted| **wanted).count() as u64;
    let off = scrape.view.tenants.len() as u64 - wanted;
    let help = "Tenants whose workers are wanted, and those that an operator has stopped";
    sheet.gauge(("etl_supervisor_tenants", help, None), [([("wanted", "up")], wanted), ([("wanted", "down")], off)])?;
    let classes = scrape.request_classes.map(|(class, count)| ([("status", class)], count));
    sheet.counter(("etl_supervisor_api_requests", "Requests by the class of their answer's status", None), classes)?;
    let (counts, seconds) = &scrape.request_durations;
    let durations = buckets(&BOUNDS_US, 1e6, counts);
    let help = "How long requests took; a stream, until it began";
    sheet.distribution(("etl_supervisor_api_request_duration", help, Some(Unit::Seconds)), &durations, *seconds)
}
