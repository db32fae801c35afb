//! Limits of this machine that many processes run into.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};

use crate::{cli::finding::Finding, settings::Settings};

/// Descriptors that the supervisor needs beside those for each worker.
const OWN_FILES: u64 = 128;
/// Descriptors for each worker: its process, its lease and what is open while it starts.
const FILES_EACH: u64 = 4;
/// Processes that a machine has beside ours.
const OTHER_PROCESSES: u64 = 2000;

/// Compares the limits with what so many tenants need.
pub(super) fn look(settings: &Settings, tenants: usize) -> Vec<Finding> {
    let each: u64 = settings.queues.values().map(|queue| u64::from(queue.workers)).sum();
    let workers = each * u64::try_from(tenants).unwrap_or(u64::MAX);
    vec![files(workers), processes(workers)]
}

fn files(workers: u64) -> Finding {
    let needed = OWN_FILES + FILES_EACH * workers;
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Finding::warn("open files", "the limit cannot be read", "compare `ulimit -n` yourself");
    };
    let detail = format!("limit {hard}, about {needed} needed for {workers} workers as configured for everybody");
    if hard >= needed {
        return Finding::ok("open files", detail);
    }
    Finding::fail("open files", detail, format!("LimitNOFILE={needed} in the units, or `ulimit -n {needed}` by hand"))
}

fn processes(workers: u64) -> Finding {
    let needed = OTHER_PROCESSES + 2 * workers;
    let limit = ["pid_max", "threads-max"].map(|name| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        (name, text.trim().parse().unwrap_or(u64::MAX))
    });
    let (name, least) = limit.into_iter().min_by_key(|(_, limit)| *limit).unwrap_or(("pid_max", u64::MAX));
    let detail =
        format!("kernel.{name} {least}, about {needed} needed for {workers} workers as configured for everybody");
    if least >= needed {
        return Finding::ok("processes", detail);
    }
    Finding::fail("processes", detail, format!("sysctl kernel.{name}={}", 2 * needed))
}
