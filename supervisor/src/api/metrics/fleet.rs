//! Metrics of workers, messages and queues. A tenant's label is its number: names are people's words and change.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use etl_shared::{
    QueueName, QueueType, TenantId,
    api::WorkerState,
    flight::counters::{BOUNDS_MS, REASONS},
};
use prometheus_client::registry::Unit;

use super::{
    scrape::Scrape,
    sheet::{Sheet, buckets},
};
use crate::{
    history::{
        BROKER_REASONS,
        tally::{COLD_START_BOUNDS_MS, Crew},
    },
    runtime::view::QueueSample,
};

/// A tenant's workers of one kind, as they stand.
#[derive(Debug, Default)]
struct Standing {
    states: BTreeMap<&'static str, u64>,
    resident: u64,
    /// Processes that have been looked at.
    sampled: u64,
}

pub(super) fn write(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    workers(scrape, sheet)?;
    counted(scrape, sheet)?;
    messages(scrape, sheet)?;
    queues(scrape, sheet)
}

fn workers(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let mut crews: BTreeMap<Crew, Standing> = BTreeMap::new();
    let mut tenants: BTreeMap<TenantId, [u64; 3]> =
        scrape.view.tenants.keys().map(|tenant| (*tenant, [0; 3])).collect();
    for worker in scrape.view.workers.iter() {
        let crew = crews.entry((worker.name.tenant, worker.name.queue_type.clone())).or_default();
        *crew.states.entry(worker.state.as_str()).or_default() += 1;
        if let Some(sample) = worker.process.and_then(|process| process.sample) {
            crew.resident += sample.resident_memory_bytes;
            crew.sampled += 1;
        }
        let [_, running, ready] = tenants.entry(worker.name.tenant).or_default();
        *running += u64::from(worker.process.is_some());
        *ready += u64::from(worker.state == WorkerState::Running);
    }
    // Not those that are there: one that stands in for another is nobody's wish.
    let now = SystemTime::now();
    for (tenant, _) in scrape.view.tenants.iter().filter(|(_, up)| **up) {
        let Some([desired, ..]) = tenants.get_mut(tenant) else { continue };
        for (queue_type, rules) in scrape.view.rules.iter() {
            let holds = rules.with(scrape.view.overrides.of(*tenant, queue_type), now);
            *desired += if holds.paused_until.is_none() { u64::from(holds.workers) } else { 0 };
        }
    }
    let states = crews.iter().flat_map(|(crew, standing)| {
        standing.states.iter().map(move |(state, count)| {
            let (tenant, queue_type) = labels(crew);
            ([tenant, queue_type, ("state", (*state).to_owned())], *count)
        })
    });
    sheet.gauge(("etl_worker_state", "Workers in each state; a state without workers is left out", None), states)?;
    let kinds = tenants.iter().flat_map(|(tenant, counts)| {
        let tenant = tenant.to_string();
        ["desired", "running", "ready"]
            .into_iter()
            .zip(counts)
            .map(move |(kind, count)| ([("tenant", tenant.clone()), ("kind", kind.to_owned())], *count))
    });
    sheet.gauge(
        ("etl_workers", "Workers of a tenant: wanted and not paused, with a process, and ready for messages", None),
        kinds,
    )?;
    let sampled = || crews.iter().filter(|(_, standing)| standing.sampled > 0);
    let help = "Resident memory of a tenant's workers, together";
    let resident = sampled().map(|(crew, standing)| (<[_; 2]>::from(labels(crew)), standing.resident));
    sheet.gauge(("etl_worker_resident_memory", help, Some(Unit::Bytes)), resident)?;
    let help = "What the same workers may have at most, together";
    let limits = sampled().filter_map(|(crew, standing)| {
        let limit = scrape.totals.memory_limits.get(&crew.1)?;
        Some((<[_; 2]>::from(labels(crew)), limit.saturating_mul(standing.sampled)))
    });
    sheet.gauge(("etl_worker_memory_limit", help, Some(Unit::Bytes)), limits)
}

fn counted(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let totals = &scrape.totals;
    let cpu = totals.work.iter().map(|(crew, work)| (<[_; 2]>::from(labels(crew)), work.cpu_seconds));
    let help = "Processor time of all processes that a tenant's workers have had";
    sheet.counter(("etl_worker_cpu", help, Some(Unit::Seconds)), cpu)?;
    let restarts = totals.restarts.iter().map(|((crew, reason), count)| {
        let (tenant, queue_type) = labels(crew);
        ([tenant, queue_type, ("reason", reason.clone())], *count)
    });
    sheet.counter(("etl_worker_restarts", "Starts after a process that ended for this reason", None), restarts)?;
    let starts = totals.cold_starts.iter().map(|(queue_type, starts)| {
        (of(queue_type), buckets(&COLD_START_BOUNDS_MS, 1e3, &starts.buckets), starts.seconds)
    });
    let help = "From the start of a process until it was ready for messages";
    sheet.histogram(("etl_cold_start", help, Some(Unit::Seconds)), starts)?;
    let scaled = totals.scaled.iter().map(|((direction, clamp), count)| {
        ([("direction", (*direction).to_owned()), ("clamp", (*clamp).to_owned())], *count)
    });
    let help = "Changes of how many workers are wanted, and what kept it from being what was asked for";
    sheet.counter(("etl_scale_decisions", help, None), scaled)
}

fn messages(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let totals = &scrape.totals;
    let worked = totals.work.iter().filter(|(_, work)| work.messages != [0; 3]);
    let outcomes = worked.flat_map(|(crew, work)| {
        ["done", "dead_lettered", "retried"].into_iter().zip(work.messages).map(move |(outcome, count)| {
            let (tenant, queue_type) = labels(crew);
            ([tenant, queue_type, ("outcome", outcome.to_owned())], count)
        })
    });
    sheet.counter(("etl_messages_processed", "Messages by what became of them", None), outcomes)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 microseconds")]
    let durations = totals.durations.iter().map(|(queue_type, durations)| {
        (of(queue_type), buckets(&BOUNDS_MS, 1e3, &durations.buckets), durations.micros as f64 / 1e6)
    });
    let help = "How long messages were in hand, with their batch, until the database had them";
    sheet.histogram(("etl_message_duration", help, Some(Unit::Seconds)), durations)?;
    // Every reason from the beginning on: a rule that looks for a rise sees none in a count that begins with its first one.
    let mut letters: BTreeMap<&str, u64> = BROKER_REASONS.into_iter().map(|reason| (reason, 0)).collect();
    letters.extend(REASONS.into_iter().zip(totals.dead_letters));
    for (reason, count) in &totals.returned {
        *letters.entry(reason).or_default() += count;
    }
    let letters = letters.into_iter().map(|(reason, count)| ([("reason", reason.to_owned())], count));
    sheet.counter(("etl_dead_letters", "Messages given up by workers and by the broker", None), letters)?;
    let help = "Messages published again because a raw row was pending without one";
    sheet.total(("etl_messages_republished", help, None), &scrape.republished)
}

fn queues(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let sampled: Vec<(Crew, QueueSample)> = scrape
        .view
        .queues
        .iter()
        .filter_map(|(queue, sample)| match queue.parse() {
            Ok(QueueName::Tenant { queue_type, tenant }) => Some(((tenant, queue_type), *sample)),
            _ => None,
        })
        .collect();
    let of_each = |value: fn(&QueueSample) -> Option<u32>| {
        sampled.iter().filter_map(move |(crew, sample)| Some((<[_; 2]>::from(labels(crew)), value(sample)?)))
    };
    let help = "Messages that wait in a tenant's queue";
    sheet.gauge(("etl_queue_messages_ready", help, None), of_each(|sample| Some(sample.messages_ready)))?;
    let help = "Messages delivered and not acknowledged, where the management API has told";
    sheet.gauge(("etl_queue_messages_unacknowledged", help, None), of_each(|sample| sample.messages_unacknowledged))?;
    let help = "Consumers of a tenant's queue";
    sheet.gauge(("etl_queue_consumers", help, None), of_each(|sample| Some(sample.consumers)))?;
    let mut oldest: BTreeMap<&QueueType, f64> = BTreeMap::new();
    for ((_, queue_type), sample) in &sampled {
        let age = scrape.now.since(sample.at).as_secs_f64();
        oldest.entry(queue_type).and_modify(|oldest| *oldest = oldest.max(age)).or_insert(age);
    }
    let oldest = oldest.into_iter().map(|(queue_type, age)| (of(queue_type), age));
    let help = "Age of the oldest sample of a queue of this kind";
    sheet.gauge(("etl_queue_sample_age", help, Some(Unit::Seconds)), oldest)
}

type Label = (&'static str, String);

fn labels((tenant, queue_type): &Crew) -> (Label, Label) {
    (("tenant", tenant.to_string()), ("queue_type", queue_type.to_string()))
}

fn of(queue_type: &QueueType) -> [Label; 1] {
    [("queue_type", queue_type.to_string())]
}
