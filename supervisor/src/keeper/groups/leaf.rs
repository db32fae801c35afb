//! One worker's control group.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The group of a worker, whether or not it exists.
#[derive(Debug)]
pub(in crate::keeper) struct Leaf(PathBuf);

impl Leaf {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(in crate::keeper) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// The file through which a process enters.
    pub(in crate::keeper) fn entrance(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.0.join("cgroup.procs"))
    }

    pub(super) fn set(&self, file: &str, value: &str) -> io::Result<()> {
        match fs::write(self.0.join(file), value) {
            // A kernel without swap has no limit of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && file == "memory.swap.max" => Ok(()),
            other => other.map_err(|error| io::Error::new(error.kind(), format!("{file} = {value}: {error}"))),
        }
    }

    /// Kills everybody in it. They are gone a moment later.
    pub(in crate::keeper) fn kill(&self) -> io::Result<()> {
        match fs::write(self.0.join("cgroup.kill"), "1") {
            // Before Linux 5.14.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.exists() => self.kill_each(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn kill_each(&self) -> io::Result<()> {
        for line in fs::read_to_string(self.0.join("cgroup.procs"))?.lines() {
            if let Ok(pid) = line.parse() {
                // One that is gone by now is meant to be.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        Ok(())
    }

    /// Whether nobody lives in it or below it.
    pub(in crate::keeper) fn is_empty(&self) -> bool {
        // Of a group that does not exist the same can be said.
        fs::read_to_string(self.0.join("cgroup.events")).map_or(true, |events| counter(&events, "populated") == Some(0))
    }

    /// Whether the kernel killed somebody in it for want of memory; `None` where nobody counts.
    pub(in crate::keeper) fn ran_out_of_memory(&self) -> Option<bool> {
        let events = fs::read_to_string(self.0.join("memory.events")).ok()?;
        Some(counter(&events, "oom_kill")? > 0)
    }

    /// Removes it with what lies below it; fails while somebody lives in it.
    pub(in crate::keeper) fn remove(&self) -> io::Result<()> {
        remove(&self.0)
    }
}

fn remove(group: &Path) -> io::Result<()> {
    match fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(()) => return Ok(()),
        Err(_) => {}
    }
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

fn counter(events: &str, name: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let events = "low 0\nhigh 3\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(counter(events, "oom_kill"), Some(1));
        assert_eq!(counter(events, "oom"), Some(2));
        assert_eq!(counter(events, "max"), None);
    }
}
