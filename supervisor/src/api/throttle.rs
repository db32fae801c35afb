//! Counts failures of one sort: by the address that they come from, and by the token that they name. Logins are counted likewise.
//!
//! A valid token is let in whatever has been counted, because behind a proxy all clients have one address. So this does not keep
//! anybody from guessing, which 256 bits do; it keeps guessing from filling logs, audit log and this machine's time.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Most addresses and tokens that are counted at once.
const MOST: usize = 10_000;

/// What failures are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum By {
    /// An address; of IPv6 the network that one customer has.
    Address(IpAddr),
    /// The public part of an API token.
    Token(String),
}

/// The counts.
#[derive(Debug)]
pub(super) struct Throttle {
    most: u32,
    window: Duration,
    counts: Mutex<HashMap<By, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    began: Instant,
}

impl By {
    /// Everybody in a network of IPv6 is one.
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl Throttle {
    /// So many failures inside a window are let pass.
    pub(super) fn new(most: u32, window: Duration) -> Self {
        Self { most, window, counts: Mutex::default() }
    }

    /// Counts one more failure; an error says for how long there have been too many.
    pub(super) fn failed(&self, by: &[By], now: Instant) -> Result<(), Duration> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = None;
        for by in by {
            let left = self.count(&mut counts, by, now);
            wait = wait.max(left);
        }
        wait.map_or(Ok(()), Err)
    }

    fn count(&self, counts: &mut HashMap<By, Count>, by: &By, now: Instant) -> Option<Duration> {
        let ends = |count: &Count| count.began + self.window;
        if counts.len() >= MOST && !counts.contains_key(by) {
            counts.retain(|_, count| ends(count) > now);
            if counts.len() >= MOST {
                // Whoever has so many addresses is not stopped by counting them. Half of the memory is enough to go on with.
                let mut kept = 0;
                counts.retain(|_, _| {
                    kept += 1;
                    kept <= MOST / 2
                });
            }
        }
        let count = counts.entry(by.clone()).or_insert(Count { failures: 0, began: now });
        if ends(count) <= now {
            *count = Count { failures: 0, began: now };
        }
        count.failures = count.failures.saturating_add(1);
        (count.failures > self.most).then(|| ends(count).duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> By {
        By::address(text.parse().unwrap())
    }

    #[test]
    fn too_many_are_too_many_until_the_window_ends() {
        let throttle = Throttle::new(3, Duration::from_mins(1));
        let began = Instant::now();
        let (here, there) = ([address("192.0.2.1")], [address("192.0.2.2")]);
        for _ in 0..3 {
            assert_eq!(throttle.failed(&here, began), Ok(()));
        }
        let later = began + Duration::from_secs(20);
        assert_eq!(throttle.failed(&here, later), Err(Duration::from_secs(40)));
        assert_eq!(throttle.failed(&there, later), Ok(()));
        assert_eq!(throttle.failed(&here, began + Duration::from_mins(1)), Ok(()));
    }

    #[test]
    fn one_token_from_many_addresses_is_counted_and_a_network_is_one_address() {
        let throttle = Throttle::new(3, Duration::from_mins(1));
        let now = Instant::now();
        let outcomes: Vec<_> = (0..5)
            .map(|at| throttle.failed(&[address(&format!("192.0.2.{at}")), By::Token("a".to_owned())], now).is_ok())
            .collect();
        assert_eq!(outcomes, [true, true, true, false, false]);
        assert_eq!(address("2001:db8::1"), address("2001:db8::2:0:0:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn no_number_of_addresses_takes_more_than_its_share_of_memory() {
        let throttle = Throttle::new(3, Duration::from_mins(1));
        let now = Instant::now();
        for at in 0..50_000_u32 {
            let _ = throttle.failed(&[By::Address(IpAddr::from(at.to_be_bytes()))], now);
        }
        assert!(throttle.counts.lock().unwrap().len() <= MOST);
    }
}
