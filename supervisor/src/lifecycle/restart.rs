//! When a worker that failed is started again: functions of now and of its history.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use etl_shared::WorkerName;

use crate::clock::BootTime;

/// The rules. All durations are upper bounds: the jitter takes any part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Longest delay before the second start in a row.
    pub backoff_initial: Duration,
    /// Longest delay of all.
    pub backoff_max: Duration,
    /// After this long RUNNING, earlier failures are forgotten.
    pub reset_after: Duration,
    /// So many restarts inside `window` are allowed.
    pub max_restarts: u32,
    /// See `max_restarts`.
    pub window: Duration,
    /// When a FATAL worker is tried once more.
    pub fatal_retry: Duration,
    /// How many workers may be starting at once.
    pub max_concurrent_starts: usize,
    /// How long a start counts against `max_concurrent_starts`: a worker that is slow, or never ready, must not keep the
    /// workers of other tenants from starting.
    pub place_hold: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            backoff_initial: Duration::from_secs(1),
            backoff_max: Duration::from_mins(1),
            reset_after: Duration::from_mins(1),
            max_restarts: 5,
            window: Duration::from_mins(5),
            fatal_retry: Duration::from_mins(15),
            max_concurrent_starts: 4,
            place_hold: Duration::from_secs(2),
        }
    }
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Start again at once.
    Now,
    /// Start again after this delay.
    After {
        /// The delay.
        delay: Duration,
        /// How many failures in a row there were.
        attempt: u32,
    },
    /// Too many: stop trying.
    GiveUp,
}

/// The failures of one worker that still count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// When those inside the window happened.
    recent: VecDeque<BootTime>,
    /// In a row, without a healthy run in between.
    consecutive: u32,
    /// It was FATAL and this is its one try.
    half_open: bool,
}

impl Failures {
    /// One more. `jitter` is a number from 0 to 1.
    pub(super) fn record(&mut self, policy: &RestartPolicy, now: BootTime, jitter: f64) -> Decision {
        self.recent.retain(|at| now.since(*at) < policy.window);
        self.recent.push_back(now);
        self.consecutive += 1;
        if self.half_open || self.recent.len() > policy.max_restarts as usize {
            return Decision::GiveUp;
        }
        // The first one in a row is most often a passing accident, and somebody is waiting for the work.
        match self.consecutive - 1 {
            0 => Decision::Now,
            attempt => Decision::After {
                delay: exponential(policy.backoff_initial, policy.backoff_max, attempt - 1).mul_f64(jitter),
                attempt,
            },
        }
    }

    /// It gets one try after having been given up.
    pub(super) fn try_once(&mut self) {
        self.half_open = true;
    }

    /// An operator has forgiven everything, or a healthy run has.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// `initial`, doubled `doublings` times, at most `max`.
pub(super) fn exponential(initial: Duration, max: Duration, doublings: u32) -> Duration {
    initial.saturating_mul(2u32.saturating_pow(doublings)).min(max)
}

/// The `draw`-th number from 0 to 1 of this worker. Every worker has a sequence of its own, so that no worker's failures
/// shift another's delays.
pub(super) fn jitter(seed: u64, worker: &WorkerName, draw: u64) -> f64 {
    // With its fixed keys, a hasher is a pure function.
    let mut hasher = DefaultHasher::new();
    (seed, worker, draw).hash(&mut hasher);
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept on purpose")]
    let fraction = (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RestartPolicy {
        RestartPolicy::default()
    }

    fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000)
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_next_ones_wait_longer_and_longer() {
        let mut failures = Failures::default();
        let policy = RestartPolicy { max_restarts: 20, ..policy() };
        assert_eq!(failures.record(&policy, at(0), 1.0), Decision::Now);
        let mut delays = Vec::new();
        for second in 1..=9 {
            match failures.record(&policy, at(second), 1.0) {
                Decision::After { delay, .. } => delays.push(delay.as_secs()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn one_failure_more_than_allowed_inside_the_window_gives_up() {
        let mut failures = Failures::default();
        for second in 0..5 {
            assert_ne!(failures.record(&policy(), at(second), 0.5), Decision::GiveUp);
        }
        assert_eq!(failures.record(&policy(), at(5), 0.5), Decision::GiveUp);
    }

    #[test]
    fn failures_older_than_the_window_do_not_count() {
        let mut failures = Failures::default();
        for n in 0..50 {
            let decision = failures.record(&policy(), at(n * 61), 0.5);
            assert_ne!(decision, Decision::GiveUp, "failure {n}: one a minute is five in five minutes");
        }
    }

    #[test]
    fn the_one_try_of_a_worker_that_was_given_up_is_one_until_everything_is_forgotten() {
        let mut failures = Failures::default();
        failures.try_once();
        assert_eq!(failures.record(&policy(), at(10_000), 0.5), Decision::GiveUp);
        assert_eq!(failures.record(&policy(), at(20_000), 0.5), Decision::GiveUp);
        failures.forget();
        assert_eq!(failures.record(&policy(), at(30_000), 0.5), Decision::Now);
    }

    #[test]
    fn jitter_is_spread_and_belongs_to_one_worker() {
        let one: WorkerName = "transform-1-1".parse().unwrap();
        let two: WorkerName = "transform-2-1".parse().unwrap();
        let draws: Vec<f64> = (0..1000).map(|n| jitter(7, &one, n)).collect();
        let mean = draws.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert!((jitter(7, &one, 0) - jitter(7, &two, 0)).abs() > f64::EPSILON);
        assert!((jitter(7, &one, 0) - draws[0]).abs() < f64::EPSILON);
    }
}
