//! Whether settings may be as somebody wants them. What stays as it is may always stay.

use std::{collections::BTreeMap, time::SystemTime};

use axum::http::StatusCode;
use bytesize::ByteSize;
use etl_shared::{QueueType, api::QueueSettings};

use super::tell::shown;
use crate::{
    api::{
        authorize::{Caller, Permission, authorize},
        problem::Refusal,
    },
    runtime::overrides::{MOST_WORKERS, Override, QueueRules, Rules, TenantOverrides},
    settings::LEAST_MEMORY,
};

/// What is to be written, by queue type.
pub(super) fn checked(
    wanted: &BTreeMap<QueueType, QueueSettings>,
    rules: &Rules,
    before: &TenantOverrides,
    caller: &Caller,
    now: SystemTime,
) -> Result<BTreeMap<QueueType, Override>, Refusal> {
    let nothing = Override::default();
    let checked = wanted.iter().map(|(queue_type, wanted)| {
        let before = before.queues.get(queue_type);
        let settings = match rules.get(queue_type) {
            Some(rules) => one(wanted, *rules, before.unwrap_or(&nothing), caller, now)?,
            // Of a queue type that was configured once.
            None => before.filter(|before| shown(before) == *wanted).cloned().ok_or_else(|| {
                let known: Vec<&str> = rules.keys().map(QueueType::as_str).collect();
                let detail = format!("no queue type {queue_type} is configured here; there is {}", known.join(", "));
                Refusal::bad_request("unknown_queue_type", detail)
            })?,
        };
        Ok((queue_type.clone(), settings))
    });
    checked.collect()
}

fn one(
    wanted: &QueueSettings,
    rules: QueueRules,
    before: &Override,
    caller: &Caller,
    now: SystemTime,
) -> Result<Override, Refusal> {
    let conflict = |code, detail| Err(Refusal::new(StatusCode::CONFLICT, code, detail));
    let may_raise = authorize(caller, Permission::RaiseLimits);
    let is_admin = may_raise.is_ok();
    if wanted.workers_max != before.workers_max {
        may_raise?;
    }
    for (field, number, known) in
        [("workers", wanted.workers, before.workers), ("workers_max", wanted.workers_max, before.workers_max)]
    {
        if number != known && number.is_some_and(|number| number > MOST_WORKERS) {
            return conflict("workers_over_limit", format!("{field} may be at most {MOST_WORKERS}"));
        }
    }
    let limit = wanted.workers_max.unwrap_or(rules.workers_max);
    // As configured may be more than an admin allows this tenant.
    let workers = wanted.workers.unwrap_or(rules.workers);
    if !is_admin && wanted.workers != before.workers && workers > limit {
        let detail = format!("workers may be at most {limit} here; an admin may ask for more, or raise workers_max");
        return conflict("workers_over_limit", detail);
    }
    if let Some(bytes) = wanted.memory_soft_bytes.filter(|_| wanted.memory_soft_bytes != before.memory_soft) {
        if bytes > rules.memory_max {
            let detail = format!(
                "memory_soft_bytes may be at most memory_max, which is {} ({}): a worker with more is killed",
                rules.memory_max,
                ByteSize(rules.memory_max).display().iec()
            );
            return conflict("memory_over_limit", detail);
        }
        if bytes < LEAST_MEMORY {
            let detail = format!("memory_soft_bytes must be at least {LEAST_MEMORY} (8 MiB)");
            return Err(Refusal::bad_request("memory_too_small", detail));
        }
    }
    Ok(Override {
        workers: wanted.workers,
        workers_max: wanted.workers_max,
        memory_soft: wanted.memory_soft_bytes,
        paused_until: pause(wanted.paused_until.as_deref(), before, now)?,
    })
}

fn pause(wanted: Option<&str>, before: &Override, now: SystemTime) -> Result<Option<SystemTime>, Refusal> {
    let Some(text) = wanted else { return Ok(None) };
    if shown(before).paused_until.as_deref() == Some(text) {
        return Ok(before.paused_until);
    }
    let Ok(until) = humantime::parse_rfc3339(text) else {
        let detail = "paused_until is no time: write it in UTC like 2026-01-31T12:00:00Z";
        return Err(Refusal::bad_request("not_a_time", detail));
    };
    if until <= now {
        let detail = format!("paused_until is over already: it is {} now; null resumes", crate::clock::rfc3339(now));
        return Err(Refusal::bad_request("in_the_past", detail));
    }
    Ok(Some(until))
}

/// What differs, for a person; empty where nothing does.
pub(super) fn in_words(before: &TenantOverrides, after: &BTreeMap<QueueType, Override>) -> String {
    let nothing = Override::default();
    let mut changes = Vec::new();
    for (queue_type, after) in after {
        let before = shown(before.queues.get(queue_type).unwrap_or(&nothing));
        let after = shown(after);
        let number = |number: Option<u16>| number.map(|number| number.to_string());
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| ByteSize(bytes).display().iec().to_string());
        let mut differs = |name: &str, before: Option<String>, after: Option<String>| {
            if before != after {
                let word = |value: Option<String>| value.unwrap_or_else(|| "as configured".to_owned());
                changes.push(format!("{queue_type}: {name} {} → {}", word(before), word(after)));
            }
        };
        differs("workers", number(before.workers), number(after.workers));
        differs("workers_max", number(before.workers_max), number(after.workers_max));
        differs("memory_soft", bytes(before.memory_soft_bytes), bytes(after.memory_soft_bytes));
        match (before.paused_until, after.paused_until) {
            (before, after) if before == after => {}
            (_, Some(until)) => changes.push(format!("{queue_type}: paused until {until}")),
            (_, None) => changes.push(format!("{queue_type}: resumed")),
        }
    }
    changes.join("; ")
}

#[cfg(test)]
mod tests;
