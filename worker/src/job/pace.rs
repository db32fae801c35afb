//! How many messages go into one transaction, and how many the broker delivers ahead: few while little arrives, so that a
//! message waits for nobody, and more and more while batches are full and quick.

use std::time::Duration;

/// Where it begins, and what it comes back to when the load is gone.
const FIRST: u16 = 50;
/// A transaction that takes longer holds its locks, and what it would have to repeat, for too long.
const LONG: Duration = Duration::from_millis(500);
/// Batches in a row that used less than a quarter of what they might, until the load counts as gone.
const CALM: u8 = 20;

/// The present sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    batch: u16,
    most_batch: u16,
    most_prefetch: u16,
    small: u8,
}

impl Pace {
    /// Never more than these, which are at least 1.
    pub fn new(most_batch: u16, most_prefetch: u16) -> Self {
        let most_batch = most_batch.max(1);
        Self { batch: FIRST.min(most_batch), most_batch, most_prefetch: most_prefetch.max(1), small: 0 }
    }

    /// Most messages of the next transaction.
    pub const fn batch(&self) -> u16 {
        self.batch
    }

    /// How many messages should be delivered ahead: another batch waits here while one is written. There are two levels only,
    /// because the change has its price: what is delivered and not served goes back to the queue and comes again.
    pub fn prefetch(&self) -> u16 {
        // A broker with replicas takes milliseconds to deliver in the place of what was acknowledged, so that even a worker
        // that serves messages one by one needs some in advance.
        let batch = if self.batch > FIRST { self.most_batch } else { FIRST };
        batch.saturating_mul(2).min(self.most_prefetch)
    }

    /// Takes note that only so many messages of a batch could be served together: the next one begins with what was left, and
    /// should not lock and transform much that has to wait again.
    pub fn cut(&mut self, served: usize) {
        let served = u16::try_from(served).unwrap_or(u16::MAX);
        self.batch = self.batch.min(served.max(1).saturating_mul(2)).max(1);
        self.small = 0;
    }

    /// Takes note of a batch of so many messages that took so long.
    pub fn served(&mut self, messages: usize, took: Duration) {
        let limit = usize::from(self.batch);
        self.small = if messages * 4 < limit { self.small.saturating_add(1) } else { 0 };
        if took > LONG || self.small >= CALM {
            self.batch = (self.batch / 2).max(FIRST.min(self.most_batch));
            self.small = 0;
        } else if messages >= limit && took < LONG / 2 {
            self.batch = self.batch.saturating_mul(2).min(self.most_batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(20);

    #[test]
    fn full_and_quick_batches_grow_up_to_the_limit_and_the_prefetch_with_them() {
        let mut pace = Pace::new(500, 800);
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push((pace.batch(), pace.prefetch()));
            pace.served(usize::from(pace.batch()), QUICK);
        }
        assert_eq!(seen, [(50, 100), (100, 800), (200, 800), (400, 800), (500, 800)]);
    }

    #[test]
    fn a_slow_batch_is_followed_by_a_smaller_one() {
        let mut pace = Pace::new(500, 1000);
        for _ in 0..4 {
            pace.served(usize::from(pace.batch()), QUICK);
        }
        pace.served(500, Duration::from_secs(2));
        assert_eq!(pace.batch(), 250);
        pace.served(250, Duration::from_millis(300));
        assert_eq!(pace.batch(), 250, "neither quick nor slow");
        for _ in 0..10 {
            pace.served(pace.batch().into(), Duration::from_secs(2));
        }
        assert_eq!(pace.batch(), 50);
    }

    #[test]
    fn when_the_load_is_gone_so_is_the_prefetch() {
        let mut pace = Pace::new(500, 1000);
        pace.served(50, QUICK);
        pace.served(100, QUICK);
        for _ in 0..60 {
            pace.served(1, QUICK);
        }
        assert_eq!((pace.batch(), pace.prefetch()), (50, 100));
        // A batch of a good size now and then is no calm.
        pace.served(50, QUICK);
        for _ in 0..100 {
            pace.served(60, QUICK);
            pace.served(1, QUICK);
        }
        assert_eq!(pace.batch(), 100);
    }

    #[test]
    fn a_batch_that_was_cut_short_is_followed_by_one_that_is_not_much_larger() {
        let mut pace = Pace::new(500, 1000);
        for _ in 0..4 {
            pace.served(pace.batch().into(), QUICK);
        }
        pace.cut(15);
        assert_eq!(pace.batch(), 30);
        pace.cut(0);
        assert_eq!(pace.batch(), 2);
        for _ in 0..9 {
            pace.served(pace.batch().into(), QUICK);
        }
        assert_eq!(pace.batch(), 500, "it recovers");
    }

    #[test]
    fn a_small_limit_is_kept() {
        for (most_prefetch, prefetch) in [(1, 1), (1000, 100)] {
            let mut pace = Pace::new(1, most_prefetch);
            for _ in 0..40 {
                pace.served(1, QUICK);
                assert_eq!((pace.batch(), pace.prefetch()), (1, prefetch));
            }
        }
    }
}
