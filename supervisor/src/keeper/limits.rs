//! Limits of a worker's process, and of those that it starts: the kernel's oldest, which need no rights and no control group.

use nix::sys::resource::{Resource, getrlimit};

use super::raw::Limit;
use crate::{runtime::overrides::MOST_WORKERS, settings::Queue};

/// A file may grow to so many times the size at which a log is set aside.
const LOGS: u64 = 16;
/// And at least to this size: workers of other programs write files of their own.
const LEAST_FILE: u64 = 1024 * 1024 * 1024;

/// Workers of one user at the same time: the most that anybody may set, and one that stands in.
const MOST_PROCESSES: u64 = MOST_WORKERS as u64 + 1;

/// What the keeper itself is limited to: nobody may give more than that.
#[derive(Debug)]
pub(super) struct Limits {
    hard: Vec<(Resource, u64)>,
}

impl Limits {
    pub(super) fn new() -> Self {
        use Resource::{RLIMIT_CORE, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC};
        let hard = [RLIMIT_CORE, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC].map(|resource| {
            let hard = getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard);
            (resource, hard)
        });
        Self { hard: hard.into() }
    }

    /// The limits of one process; `grouped` tells which controllers limit it by themselves.
    pub(super) fn of(&self, queue: &Queue, own_user: bool, grouped: impl Fn(&str) -> bool) -> Vec<Limit> {
        let mut wanted = vec![
            // Memory that is written to a disk would hold secrets.
            (Resource::RLIMIT_CORE, 0),
            (Resource::RLIMIT_NOFILE, queue.open_files),
            // Against one that fills the disk with its log; the next start sets the log aside.
            (Resource::RLIMIT_FSIZE, queue.log_max_size.saturating_mul(LOGS).max(LEAST_FILE)),
        ];
        if !grouped("memory") {
            // Of each process for itself, and of what it asks for, which is more than it uses.
            wanted.push((Resource::RLIMIT_DATA, queue.memory_max.saturating_mul(2)));
        }
        if own_user && !grouped("pids") {
            // The kernel counts all processes of a user: those of the tenant's other workers too, and the limit of a process cannot
            // be raised when there are more of them. So it is for as many as an admin may ever set, and one that takes over.
            wanted.push((Resource::RLIMIT_NPROC, queue.tasks_max.saturating_mul(MOST_PROCESSES)));
        }
        wanted.into_iter().map(|(resource, most)| Limit { resource, most: most.min(self.hard(resource)) }).collect()
    }

    fn hard(&self, resource: Resource) -> u64 {
        self.hard.iter().find(|(of, _)| *of == resource).map_or(u64::MAX, |(_, hard)| *hard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_control_group_limits_is_not_limited_again_and_nothing_is_raised() {
        let hard = vec![(Resource::RLIMIT_NOFILE, 512)];
        let limits = Limits { hard };
        let queue = Queue { open_files: 1024, memory_max: 1 << 30, tasks_max: 10, ..Queue::default() };
        let of = |own_user, grouped: &[&str]| {
            let limits = limits.of(&queue, own_user, |name| grouped.contains(&name));
            move |resource| limits.iter().find(|limit| limit.resource == resource).map(|limit| limit.most)
        };
        let alone = of(true, &[]);
        assert_eq!(alone(Resource::RLIMIT_NOFILE), Some(512));
        assert_eq!(alone(Resource::RLIMIT_CORE), Some(0));
        assert_eq!(alone(Resource::RLIMIT_DATA), Some(2 << 30));
        assert_eq!(alone(Resource::RLIMIT_NPROC), Some(10 * (u64::from(MOST_WORKERS) + 1)));
        assert_eq!(alone(Resource::RLIMIT_FSIZE), Some(1 << 30));
        let grouped = of(true, &["memory", "pids"]);
        assert_eq!((grouped(Resource::RLIMIT_DATA), grouped(Resource::RLIMIT_NPROC)), (None, None));
        assert_eq!(of(false, &[])(Resource::RLIMIT_NPROC), None, "others than workers have our user");
    }
}
