//! What a trivial worker leaves behind when its `main()` begins: a record of fixed size, appended in one write.

use nix::time::{ClockId, clock_gettime};

/// The variable that tells a trivial worker where to append.
pub(crate) const PATH_VARIABLE: &str = "BENCH_BORN";

/// Bytes of a record.
pub(crate) const SIZE: usize = 16;

/// A process came to its `main()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its pid.
    pub(crate) pid: i32,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) at: u64,
}

impl Record {
    pub(crate) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&i64::from(self.pid).to_ne_bytes());
        bytes[8..].copy_from_slice(&self.at.to_ne_bytes());
        bytes
    }

    /// From [`SIZE`] bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
        let (pid, at) = bytes.split_at(SIZE / 2);
        Self { pid: i32::try_from(number(pid)).unwrap_or(0), at: number(at) }
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, the same for every process. It cannot fail on Linux; 0 would show at once.
pub(crate) fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}
