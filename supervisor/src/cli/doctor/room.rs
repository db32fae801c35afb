//! What all workers together may come to, against what the machine and the database server have.

use bytesize::ByteSize;
use tokio_postgres::Client;

use crate::{
    cli::finding::Finding,
    runtime::host_memory,
    settings::{Budget, Settings},
    store::Seats,
};

/// Soft limits against the machine's memory. That they come to more is no mistake: most workers never come near theirs.
pub(super) fn memory(settings: &Settings, tenants: usize) -> Finding {
    memory_of(settings, tenants, host_memory::total())
}

fn memory_of(settings: &Settings, tenants: usize, machine: Option<u64>) -> Finding {
    let (tenants, subject) = (u64::try_from(tenants).unwrap_or(u64::MAX), "memory of all workers");
    let each: u64 = settings.queues.values().map(|queue| u64::from(queue.workers) * queue.memory_soft).sum();
    let sum = each.saturating_mul(tenants);
    let there = machine.map_or_else(|| "an unknown amount".to_owned(), size);
    let seen = format!("soft limits of {}, as configured for everybody, this machine has {there}", size(sum));
    let limit = match settings.limits.memory_budget {
        Budget::Off => return Finding::ok(subject, format!("{seen}; not limited")),
        Budget::Of(limit) => Some(limit),
        Budget::Auto => machine,
    };
    let Some(limit) = limit else {
        return Finding::warn(subject, seen, "set limits.memory_budget to a size: \"auto\" knows none here");
    };
    let detail = format!("{seen}; {} allowed", size(limit));
    let advice = "raise limits.memory_budget or lower queues.<type>.memory_soft";
    let mut queues = settings.queues.iter();
    if let Some((name, queue)) = queues.find(|(_, queue)| queue.memory_soft > limit) {
        let detail = format!("{detail}; not one worker of queues.{name} has room with {}", size(queue.memory_soft));
        return Finding::fail(subject, detail, advice);
    }
    if sum > limit {
        return Finding::warn(subject, format!("{detail}; those that come last wait"), advice);
    }
    Finding::ok(subject, detail)
}

/// Connections of the workers, one each, against what the server leaves for them.
pub(super) async fn connections(client: &Client, settings: &Settings, tenants: usize) -> Finding {
    match Seats::ask(client).await {
        Ok(seats) => connections_of(settings, tenants, seats),
        Err(error) => {
            let advice = "let the supervisor's role read max_connections";
            Finding::warn("database connections", error.to_string(), advice)
        }
    }
}

fn connections_of(settings: &Settings, tenants: usize, seats: Seats) -> Finding {
    let subject = "database connections";
    let each: u64 = settings.queues.values().map(|queue| u64::from(queue.workers)).sum();
    let workers = each.saturating_mul(u64::try_from(tenants).unwrap_or(u64::MAX));
    let left = seats.for_workers();
    let seen = format!(
        "{workers} workers as configured for everybody with one each, max_connections = {} leaves {left} for them",
        seats.max
    );
    let limit = match settings.limits.database_connections {
        Budget::Off if workers <= left => return Finding::ok(subject, format!("{seen}; not limited")),
        Budget::Off => {
            let advice = format!(
                "raise max_connections to {} or more, or set limits.database_connections = \"auto\": those that come last wait then",
                seats.max.saturating_add(workers - left)
            );
            return Finding::warn(subject, seen, advice);
        }
        Budget::Of(limit) => limit,
        Budget::Auto => left,
    };
    let detail = format!("{seen}; {limit} allowed");
    if limit > left {
        return Finding::warn(subject, detail, "lower limits.database_connections, or raise max_connections");
    }
    if workers > limit {
        let advice = "raise limits.database_connections, or max_connections of the server";
        return Finding::warn(subject, format!("{detail}; those that come last wait"), advice);
    }
    Finding::ok(subject, detail)
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::finding::Mark;

    const GIB: u64 = 1024 * 1024 * 1024;

    fn settings(limits: &str) -> Settings {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("tenants = [1]\n[limits]\n{limits}\n")).unwrap();
        Settings::load(file.path()).unwrap()
    }

    #[test]
    fn a_thousand_workers_at_rest_are_legal_and_a_budget_is_kept_to() {
        for (limits, mark, said) in [
            (
                "",
                Mark::Ok,
                "soft limits of 500.0 GiB, as configured for everybody, this machine has 8.0 GiB; not limited",
            ),
            ("memory_budget = \"auto\"", Mark::Warn, "8.0 GiB allowed; those that come last wait"),
            ("memory_budget = \"600GiB\"", Mark::Ok, "600.0 GiB allowed"),
            ("memory_budget = \"100MiB\"", Mark::Fail, "not one worker of queues.transform has room with 512.0 MiB"),
        ] {
            let found = memory_of(&settings(limits), 1000, Some(8 * GIB));
            assert!(found.mark == mark && found.detail.contains(said), "{limits}: {found:?}");
        }
        assert_eq!(memory_of(&settings("memory_budget = \"auto\""), 1, None).mark, Mark::Warn);
    }

    #[test]
    fn too_few_connections_are_found_before_the_workers_find_them() {
        let seats = Seats { max: 100, reserved: 3 };
        for (limits, tenants, mark, said) in [
            ("", 85, Mark::Ok, "max_connections = 100 leaves 85 for them; not limited"),
            ("", 86, Mark::Warn, "86 workers"),
            ("database_connections = \"auto\"", 85, Mark::Ok, "85 allowed"),
            ("database_connections = \"auto\"", 86, Mark::Warn, "those that come last wait"),
            ("database_connections = 90", 10, Mark::Warn, "90 allowed"),
        ] {
            let found = connections_of(&settings(limits), tenants, seats);
            assert!(found.mark == mark && found.detail.contains(said), "{limits} {tenants}: {found:?}");
        }
        assert!(connections_of(&settings(""), 86, seats).advice.unwrap().contains("to 101 or more"));
    }
}
