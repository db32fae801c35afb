//! One clock for everything that measures a worker's life.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// Time since boot, suspended time included (`CLOCK_BOOTTIME`): the clock in which the kernel states when a process
/// started, the same for every process of this boot, and never set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BootTime(
    /// Microseconds since boot.
    pub u64,
);

impl BootTime {
    /// Now.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
        Self::from_duration(now)
    }

    /// From a duration since boot.
    pub fn from_duration(since_boot: Duration) -> Self {
        Self(u64::try_from(since_boot.as_micros()).unwrap_or(u64::MAX))
    }

    /// How long ago `earlier` was; zero where it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The same moment on the wall clock, as the wall clock stands now.
    pub fn on_wall_clock(self) -> SystemTime {
        let age = Self::now().since(self);
        SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl std::ops::Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// The wall clock as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
