//! The API's own requests, counted as they are answered.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use axum::http::StatusCode;

/// Upper bounds of the buckets, in microseconds.
pub(super) const BOUNDS_US: [u64; 9] = [250, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 10_000_000];

/// Counts of requests; for a stream, the time until it begins.
#[derive(Debug, Default)]
pub(in crate::api) struct Requests {
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    micros: AtomicU64,
}

impl Requests {
    /// A request was answered like this after so long.
    pub(in crate::api) fn answered(&self, status: StatusCode, after: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.classes[class].fetch_add(1, Relaxed);
        self.buckets[BOUNDS_US.partition_point(|bound| *bound < micros)].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// Requests by the first digit of their status, with its name.
    pub(super) fn classes(&self) -> [(&'static str, u64); 5] {
        let names = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        std::array::from_fn(|n| (names[n], self.classes[n].load(Relaxed)))
    }

    /// Requests in each bucket, and the seconds of all of them.
    pub(super) fn durations(&self) -> ([u64; BOUNDS_US.len() + 1], f64) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 microseconds")]
        let seconds = self.micros.load(Relaxed) as f64 / 1e6;
        (std::array::from_fn(|n| self.buckets[n].load(Relaxed)), seconds)
    }
}
