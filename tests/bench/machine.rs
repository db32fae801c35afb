//! The machine: what the figures depend on, and whether it can hold so many processes at all.

use std::{fs, path::PathBuf, thread};

use nix::{
    sys::resource::{Resource, getrlimit},
    unistd::geteuid,
};

/// What every worker may cost the keeper, and some for itself.
const DESCRIPTORS: u64 = 2;
const RESERVE: u64 = 256;
/// Private and page-table memory of one trivial worker, generously.
const WORKER_KILOBYTES: u64 = 500;

/// One line about the circumstances, and a warning where they spoil the figures.
pub(crate) fn conditions() -> (String, Option<String>) {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = first_line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let load = first_line("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let busy = load.parse::<f64>().is_ok_and(|load| load > 1.0);
    let warning = busy.then(|| format!("the load average is {load}: others use this machine, the figures suffer"));
    let processor = processor.unwrap_or_else(|| "unknown processor".to_owned());
    (format!("{cores} cores, {processor}, kernel {kernel}, load average {load}"), warning)
}

/// Why the machine cannot hold so many workers, in one sentence.
pub(crate) fn too_small_for(workers: usize) -> Option<String> {
    let workers = u64::try_from(workers).unwrap_or(u64::MAX);
    let present = fs::read_dir("/proc").map_or(0, |entries| {
        let pids = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
        u64::try_from(pids.count()).unwrap_or(0)
    });
    let processes = present + workers + RESERVE;
    // The kernel gives the superuser's processes no limit of this kind.
    let own = if geteuid().is_root() { None } else { hard_limit(Resource::RLIMIT_NPROC) };
    let checks = [
        (number("/proc/sys/kernel/pid_max"), processes, "process ids (kernel.pid_max)"),
        (number("/proc/sys/kernel/threads-max"), processes, "threads (kernel.threads-max)"),
        (own, workers + RESERVE, "processes (ulimit -u)"),
        (cgroup_limit(), workers + RESERVE, "processes (pids.max of this control group)"),
        (hard_limit(Resource::RLIMIT_NOFILE), DESCRIPTORS * workers + RESERVE, "open files (ulimit -Hn)"),
        (available_kilobytes(), WORKER_KILOBYTES * workers, "kB of available memory"),
    ];
    checks.into_iter().find_map(|(there, needed, what)| {
        let there = there.filter(|there| *there < needed)?;
        Some(format!("this machine has {there} {what}, needed are {needed}"))
    })
}

fn hard_limit(resource: Resource) -> Option<u64> {
    getrlimit(resource).ok().map(|(_, hard)| hard)
}

/// The smallest limit on the way from our control group to the root, in either version of the hierarchy.
fn cgroup_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = own.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            "pids" => "/sys/fs/cgroup/pids",
            _ => return None,
        };
        let leaf = PathBuf::from(format!("{root}{path}"));
        leaf.ancestors().filter_map(|group| number(&group.join("pids.max").to_string_lossy())).min()
    });
    limits.min()
}

fn available_kilobytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse().ok())
}

fn number(path: &str) -> Option<u64> {
    first_line(path)?.parse().ok()
}

fn first_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_fits_and_a_million_millions_do_not() {
        assert_eq!(too_small_for(1), None);
        assert!(too_small_for(1_000_000_000_000).unwrap().contains("needed are"));
    }
}
