//! What the operating system says of a process, and figures made of many.

use std::{fs, time::Duration};

use nix::{
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

use crate::outcome::{Doing, Outcome};

/// Proportional set size in bytes: its own pages, and its part of those that it shares.
pub(crate) fn proportional_set_size(pid: i32) -> Outcome<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).doing(&path)?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok());
    kilobytes.map(|kilobytes: u64| kilobytes * 1024).ok_or_else(|| format!("{path} has no Pss").into())
}

/// Processor time of all its threads, also of those that ended, by the scheduler's own exact account.
pub(crate) fn processor_time(pid: i32) -> Outcome<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).doing(format!("processor clock of {pid}"))?;
    Ok(clock_gettime(clock).doing(format!("processor time of {pid}"))?.into())
}

/// A figure that was taken several times.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl From<Vec<f64>> for Samples {
    fn from(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl Samples {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn add(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    pub(crate) fn median(&self) -> f64 {
        match self.0.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => self.0[odd / 2],
            even => f64::midpoint(self.0[even / 2 - 1], self.0[even / 2]),
        }
    }

    /// The smallest value that `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }
}

/// Nanoseconds between two moments, in seconds.
pub(crate) fn seconds(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from)).as_secs_f64()
}

/// Nanoseconds between two moments, in milliseconds.
pub(crate) fn milliseconds(from: u64, to: u64) -> f64 {
    seconds(from, to) * 1000.0
}

/// Bytes in megabytes of a million bytes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl IntoIterator<Item = i32>) -> Samples {
        let mut samples = Samples::default();
        values.into_iter().for_each(|value| samples.add(value.into()));
        samples
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "small whole numbers")]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred = samples((1..=200).rev());
        assert_eq!(hundred.median(), 100.5);
        assert_eq!(hundred.percentile(99), 198.0);
        assert_eq!(hundred.max(), 200.0);
        assert_eq!(hundred.mean(), 100.5);
        assert_eq!(samples([3, 1, 2]).median(), 2.0);
        assert_eq!(samples([7]).percentile(99), 7.0);
        assert!(samples([]).median().is_nan());
    }

    #[test]
    fn the_system_knows_this_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(proportional_set_size(pid).unwrap() > 10_000);
        assert!(processor_time(pid).unwrap() > Duration::ZERO);
    }
}
