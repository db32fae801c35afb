//! A control group for each worker, where the keeper may make groups: the kernel then knows whom a worker has started, whatever
//! they did to hide it, and limits all of them together.
//!
//! `OURS/etl-supervisor-HASH/keeper` holds the keeper itself, because a group that passes controllers on may hold no process, and
//! beside it lies a group for each worker. The hash stands for the runtime directory: two keepers may share a group.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use etl_shared::WorkerName;
use nix::unistd::Pid;
use sha2::{Digest, Sha256};

use crate::settings::Queue;

mod leaf;
mod place;

pub(super) use leaf::Leaf;

/// How long the groups of an earlier keeper may take to become empty.
const LEFT_OVERS_GO_WITHIN: Duration = Duration::from_secs(3);
const KEEPERS_OWN: &str = "keeper";
/// Controllers that limit a worker.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The groups of all workers.
#[derive(Debug)]
pub(super) struct Groups {
    /// The group that the keeper was started in.
    started_in: PathBuf,
    base: PathBuf,
    /// Those that our groups have.
    controllers: Vec<&'static str>,
}

impl Groups {
    /// Makes room for groups and moves the keeper; says why where that cannot be.
    pub(super) fn enter(runtime_directory: &Path) -> Result<Self, String> {
        let started_in = place::of_this_process()?;
        if !started_in.join("cgroup.type").exists() {
            return Err("the keeper runs in the root control group, which belongs to nobody: \
                        run it in one of its own, such as a systemd unit with Delegate=yes"
                .to_owned());
        }
        let base = started_in.join(name(runtime_directory));
        let groups = Self { started_in, base, controllers: Vec::new() };
        groups.prepare().map_err(|error| {
            format!(
                "no control group can be made in {}: {error}; a systemd unit with Delegate=yes may",
                groups.started_in.display()
            )
        })
    }

    fn prepare(&self) -> io::Result<Self> {
        make(&self.base)?;
        let (left_over, until) = (self.workers(), Instant::now() + LEFT_OVERS_GO_WITHIN);
        for leaf in &left_over {
            tracing::warn!(group = %leaf.path().display(), "killing whoever is left in a control group of an earlier keeper");
            if let Err(error) = leaf.kill() {
                tracing::error!(group = %leaf.path().display(), %error, "nobody in it could be killed");
            }
        }
        for leaf in left_over {
            while let Err(error) = leaf.remove() {
                if Instant::now() >= until {
                    // Its worker's next start tries again; every other worker is to have its group.
                    tracing::error!(group = %leaf.path().display(), %error, "a control group of an earlier keeper stays");
                    break;
                }
                // Somebody may have been on the way into the group.
                let _ = leaf.kill();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let own = self.base.join(KEEPERS_OWN);
        make(&own)?;
        fs::write(own.join("cgroup.procs"), Pid::this().to_string())?;
        let available = fs::read_to_string(self.started_in.join("cgroup.controllers"))?;
        let available: Vec<&str> = available.split_whitespace().collect();
        for controller in CONTROLLERS.iter().filter(|controller| available.contains(*controller)) {
            for group in [&self.started_in, &self.base] {
                let enabled = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
                if let Err(error) = enabled {
                    tracing::warn!(controller, group = %group.display(), %error, "controller not passed on");
                }
            }
        }
        let enabled = fs::read_to_string(self.base.join("cgroup.subtree_control"))?;
        let enabled: Vec<&str> = enabled.split_whitespace().collect();
        let controllers = CONTROLLERS.into_iter().filter(|controller| enabled.contains(controller)).collect();
        Ok(Self { started_in: self.started_in.clone(), base: self.base.clone(), controllers })
    }

    /// Where they are.
    pub(super) fn path(&self) -> &Path {
        &self.base
    }

    /// Whether our groups have this controller.
    pub(super) fn limit(&self, controller: &str) -> bool {
        self.controllers.contains(&controller)
    }

    /// Makes a worker's group with its limits. Only for one who holds the worker's lease.
    pub(super) fn make(&self, worker: &WorkerName, queue: &Queue) -> io::Result<Leaf> {
        let leaf = self.leaf(worker);
        if leaf.exists() {
            // An exit that was said although somebody did not go.
            leaf.kill()?;
            leaf.remove()?;
        }
        make(leaf.path())?;
        let limited = self.limits(queue).into_iter().try_for_each(|(file, value)| leaf.set(file, &value));
        if let Err(error) = limited {
            let _ = leaf.remove();
            return Err(error);
        }
        Ok(leaf)
    }

    fn limits(&self, queue: &Queue) -> Vec<(&'static str, String)> {
        let mut limits = Vec::new();
        if self.limit("memory") {
            // A brake shortly before the end: whoever grows slowly is noticed by the supervisor before it is killed.
            let brake = queue.memory_max - queue.memory_max / 32;
            limits.extend([
                ("memory.max", queue.memory_max.to_string()),
                ("memory.high", brake.to_string()),
                ("memory.swap.max", "0".to_owned()),
                ("memory.oom.group", "1".to_owned()),
            ]);
        }
        if self.limit("pids") {
            limits.push(("pids.max", queue.tasks_max.to_string()));
        }
        if self.limit("cpu") {
            limits.push(("cpu.weight", queue.cpu_weight.to_string()));
        }
        limits
    }

    /// A worker's group, whether or not there is one.
    pub(super) fn leaf(&self, worker: &WorkerName) -> Leaf {
        Leaf::new(self.base.join(worker.to_string()))
    }

    fn workers(&self) -> Vec<Leaf> {
        let entries = fs::read_dir(&self.base).into_iter().flatten().flatten();
        let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        groups.filter(|group| group.file_name() != KEEPERS_OWN).map(|group| Leaf::new(group.path())).collect()
    }

    /// Leaves everything as it was, as far as that goes: what is left over is found by the next keeper.
    pub(super) fn leave(&self) {
        for leaf in self.workers() {
            let _ = leaf.remove();
        }
        for group in [&self.base, &self.started_in] {
            for controller in &self.controllers {
                let _ = fs::write(group.join("cgroup.subtree_control"), format!("-{controller}"));
            }
        }
        let left = fs::write(self.started_in.join("cgroup.procs"), Pid::this().to_string())
            .and_then(|()| fs::remove_dir(self.base.join(KEEPERS_OWN)))
            .and_then(|()| fs::remove_dir(&self.base));
        if let Err(error) = left {
            tracing::debug!(group = %self.base.display(), %error, "control groups not removed");
        }
    }
}

fn name(runtime_directory: &Path) -> String {
    let real = fs::canonicalize(runtime_directory).unwrap_or_else(|_| runtime_directory.to_owned());
    let hash = Sha256::digest(real.as_os_str().as_encoded_bytes());
    let number = hash.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("etl-supervisor-{number:08x}")
}

fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_controller_that_is_there_limits_what_it_can() {
        let with = |controllers: &[&'static str]| {
            let groups = Groups { started_in: "/a".into(), base: "/a/b".into(), controllers: controllers.to_vec() };
            let queue = Queue { memory_max: 1 << 30, tasks_max: 64, cpu_weight: 100, ..Queue::default() };
            groups.limits(&queue).into_iter().map(|(file, value)| format!("{file}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(with(&[]), [""; 0]);
        assert_eq!(with(&["pids", "cpu"]), ["pids.max=64", "cpu.weight=100"]);
        let memory = ["memory.max=1073741824", "memory.high=1040187392", "memory.swap.max=0", "memory.oom.group=1"];
        assert_eq!(with(&["memory"]), memory);
    }
}
