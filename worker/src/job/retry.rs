//! When a message that could not be served is tried again, and when it is given up.

use std::time::Duration;

use super::fate::{Reason, Wait};

/// The pauses between the tries for a raw row that is not there: its producer may publish before it commits. 9 s in all.
const FOR_A_MISSING_ROW: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(3),
];

/// How often a delivery has been tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    failed: u32,
    missing: u32,
}

/// What follows a try that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Hold the message and try it again after this.
    After(Duration),
    /// Nothing can be done for any message: wait for the database.
    Hold,
    /// The worker cannot go on.
    Leave,
    /// Give the message up, after so many tries.
    Spent(Reason, u32),
}

impl Tries {
    /// How many attempts have been made once the present one ends the message, well or badly.
    pub const fn with_the_present(&self) -> u32 {
        self.failed + 1
    }

    /// Counts a try and says what follows. `attempts` is how many tries a message has, `chance` a number from 0 to 1.
    pub fn after(&mut self, wait: Wait, attempts: u32, chance: f64) -> Next {
        match wait {
            Wait::DatabaseUnavailable => Next::Hold,
            Wait::SchemaUnavailable | Wait::LoginRefused => Next::Leave,
            Wait::RawRowMissing => {
                let pause = FOR_A_MISSING_ROW.get(self.missing as usize);
                self.missing += 1;
                pause.map_or(Next::Spent(Reason::RawRowMissing, self.missing), |pause| Next::After(*pause))
            }
            Wait::Conflict | Wait::Unexpected | Wait::ParentMissing => {
                self.failed += 1;
                if self.failed < attempts {
                    return Next::After(backoff(
                        Duration::from_millis(200),
                        Duration::from_secs(5),
                        self.failed - 1,
                        chance,
                    ));
                }
                let reason = match wait {
                    Wait::ParentMissing => Reason::ParentMissing,
                    _ => Reason::TransformFailed,
                };
                Next::Spent(reason, self.failed)
            }
        }
    }
}

/// Exponential with full jitter: `chance` (0 to 1) of `first` doubled `round` times, never more than `longest`.
pub fn backoff(first: Duration, longest: Duration, round: u32, chance: f64) -> Duration {
    let ceiling = first.saturating_mul(1 << round.min(20)).min(longest);
    ceiling.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_has_its_attempts_and_then_the_message_is_given_up() {
        let mut tries = Tries::default();
        assert_eq!(tries.after(Wait::Conflict, 3, 1.0), Next::After(Duration::from_millis(200)));
        assert_eq!(tries.after(Wait::Unexpected, 3, 0.5), Next::After(Duration::from_millis(200)));
        assert_eq!(tries.after(Wait::Conflict, 3, 1.0), Next::Spent(Reason::TransformFailed, 3));
        assert_eq!(Tries::default().after(Wait::ParentMissing, 1, 1.0), Next::Spent(Reason::ParentMissing, 1));
    }

    #[test]
    fn a_missing_row_is_looked_for_a_few_times_within_ten_seconds() {
        let (mut tries, mut waited) = (Tries::default(), Duration::ZERO);
        loop {
            match tries.after(Wait::RawRowMissing, 3, 0.0) {
                Next::After(pause) => waited += pause,
                Next::Spent(reason, made) => break assert_eq!((reason, made), (Reason::RawRowMissing, 6)),
                other => panic!("{other:?}"),
            }
        }
        assert!(waited > Duration::from_secs(5) && waited < Duration::from_secs(10), "{waited:?}");
        assert_eq!(tries.with_the_present(), 1, "the row itself was never tried");
    }

    #[test]
    fn an_outage_counts_no_attempt() {
        let mut tries = Tries::default();
        for _ in 0..100 {
            assert_eq!(tries.after(Wait::DatabaseUnavailable, 3, 1.0), Next::Hold);
            assert_eq!(tries.after(Wait::SchemaUnavailable, 3, 1.0), Next::Leave);
        }
        assert_eq!(tries, Tries::default());
        assert_eq!(tries.with_the_present(), 1);
    }

    #[test]
    fn a_backoff_doubles_up_to_its_limit_and_the_chance_scales_it() {
        let of = |round, chance| backoff(Duration::from_secs(1), Duration::from_secs(30), round, chance).as_millis();
        assert_eq!([of(0, 1.0), of(1, 1.0), of(4, 1.0), of(5, 1.0), of(400, 1.0)], [1000, 2000, 16000, 30000, 30000]);
        assert_eq!([of(3, 0.0), of(3, 0.5)], [0, 4000]);
    }
}
