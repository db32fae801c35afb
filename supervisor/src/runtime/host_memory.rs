//! How much memory there is for everybody on this machine.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The machine's memory in bytes, or the limit of this process's own control group and those above it, where that is less.
pub fn total() -> Option<u64> {
    let machine = mem_total(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    Some(limits.fold(machine, u64::min))
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Where limits may stand, by the text of `/proc/self/cgroup`: in the group itself and in each above it. A group without limit says
/// `max`, or a number that is larger than any machine.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (mount, name) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let group = Path::new(group.trim_start_matches('/'));
        if group.components().all(|part| matches!(part, Component::Normal(_))) {
            files.extend(group.ancestors().map(|above| Path::new(mount).join(above).join(name)));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory() {
        assert!(total().unwrap() > 64 << 20);
    }

    #[test]
    fn the_whole_is_found_among_its_parts() {
        assert_eq!(mem_total("MemFree: 1 kB\nMemTotal:       24684028 kB\n"), Some(24_684_028 * 1024));
        assert_eq!(mem_total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn limits_are_looked_for_in_every_group_above_in_both_versions() {
        let files = |text| limit_files(text).iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            files("0::/system.slice/etl.service\n"),
            [
                "/sys/fs/cgroup/system.slice/etl.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            files("4:cpu,memory:/a\n1:cpu:/b\n"),
            ["/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        assert!(files("0::/../elsewhere\n").is_empty(), "of a group outside of this view nothing can be known");
    }
}
