//! How long to hold still while a dependency is away.

use std::time::Duration;

use tokio::time::Instant;

use crate::job::retry::backoff;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// An outage in progress; `Default` is none.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    round: u32,
}

impl Outage {
    /// It is still away, or away now: when to try again.
    pub(super) fn again(&mut self) -> Instant {
        let now = Instant::now();
        self.since.get_or_insert(now);
        let pause = backoff(FIRST, LONGEST, self.round, chance());
        self.round += 1;
        now + pause
    }

    /// Whether this is the first sign of it.
    pub(super) const fn is_new(&self) -> bool {
        self.round <= 1
    }

    /// How long it has lasted, where there is one.
    pub(super) fn lasts(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }

    /// It is over: how long it lasted, where there was one.
    pub(super) fn over(&mut self) -> Option<Duration> {
        self.round = 0;
        self.since.take().map(|since| since.elapsed())
    }
}

/// From 0 to 1.
#[allow(clippy::disallowed_methods, reason = "the runtime is where chance comes from")]
pub(super) fn chance() -> f64 {
    use rand::RngExt;
    rand::rng().random()
}
