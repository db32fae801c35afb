//! Which directory is this process's control group.

use std::{fs, path::PathBuf};

/// Found in whatever hierarchy of version 2 is mounted, or why not.
pub(super) fn of_this_process() -> Result<PathBuf, String> {
    let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}"));
    find(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
}

fn find(mounts: &str, groups: &str) -> Result<PathBuf, String> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let group = group.ok_or_else(|| "the kernel has no control groups of version 2".to_owned())?;
    let (root, mount_point) =
        mounts.lines().find_map(hierarchy).ok_or_else(|| "no control groups of version 2 are mounted".to_owned())?;
    let below = if root == "/" { Some(group) } else { group.strip_prefix(root) };
    match below {
        Some(below) if !below.split('/').any(|part| part == "..") => {
            Ok(PathBuf::from(mount_point).join(below.trim_start_matches('/')))
        }
        _ => Err(format!("the keeper's control group {group} is not in the part that is mounted at {mount_point}")),
    }
}

/// `31 23 0:28 ROOT MOUNT-POINT OPTIONS... - TYPE SOURCE OPTIONS`: both, where the type is the right one.
fn hierarchy(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(3);
    (right.split(' ').next()? == "cgroup2").then_some((fields.next()?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str =
        "23 1 0:20 / /sys rw - sysfs sysfs rw\n31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_directory_is_found_in_every_arrangement() {
        let at = |mounts: &str, groups: &str| find(mounts, groups).map(|path| path.display().to_string());
        assert_eq!(at(UNIFIED, "0::/system.slice/x.service\n").unwrap(), "/sys/fs/cgroup/system.slice/x.service");
        let hybrid = UNIFIED.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified");
        assert_eq!(at(&hybrid, "4:memory:/a\n0::/b\n").unwrap(), "/sys/fs/cgroup/unified/b");
        let part = UNIFIED.replace("0:28 / ", "0:28 /docker/1 ");
        assert_eq!(at(&part, "0::/docker/1/x\n").unwrap(), "/sys/fs/cgroup/x");
        for (mounts, groups) in
            [(part.as_str(), "0::/elsewhere\n"), (UNIFIED, "0::/../x\n"), (UNIFIED, "4:memory:/a\n"), ("", "0::/\n")]
        {
            assert!(at(mounts, groups).is_err(), "{mounts} {groups}");
        }
    }
}
