//! One message that was in hand when processes ended.

use std::time::{Duration, SystemTime};

use etl_shared::{
    Verdict, WorkerName,
    flight::Mark,
    suspicion::{Ending, ExitReport},
};
use serde::{Deserialize, Serialize};

use super::Blame;
use crate::clock::rfc3339;

/// So many deaths by whatever hand, all with this message alone in hand, condemn it too: otherwise one that makes a watchdog of
/// the machine kill its worker would do so for ever.
const OUTSIDE: usize = 6;
/// Provided that they are spread over this time: the first message in the queue is in hand after every start, and somebody who
/// kills a worker as soon as it starts, again and again, always finds the same one there.
const SPREAD: Duration = Duration::from_hours(1);
/// Most strikes that are kept for one message.
const MOST_STRIKES: usize = 32;
/// Most endings before the last that a report tells of.
const MOST_EARLIER: usize = 5;

/// When strikes condemn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many deaths with the message in hand.
    pub strikes: u32,
    /// Within this time.
    pub window: Duration,
}

/// A message with strikes against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    pub(super) mark: Mark,
    strikes: Vec<Strike>,
}

/// One death.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Strike {
    /// When it was known: milliseconds since 1970, because it has to mean the same after a reboot.
    pub(super) at_ms: u64,
    pub(super) worker: WorkerName,
    pub(super) incarnation: u64,
    pub(super) verdict: Verdict,
    pub(super) blame: Blame,
    /// How many messages were in hand.
    pub(super) in_hand: u32,
}

impl Strike {
    const fn was_alone(&self) -> bool {
        self.in_hand == 1
    }

    fn ending(&self) -> Ending {
        let (signal, code) = match self.verdict {
            Verdict::Crash(signal) => (Some(signal), None),
            Verdict::Exit(code) => (None, Some(code)),
            _ => (None, None),
        };
        Ending {
            verdict: self.verdict.clone(),
            signal,
            code,
            at: rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(self.at_ms)),
            worker: self.worker.clone(),
            incarnation: self.incarnation,
            in_hand: self.in_hand,
        }
    }
}

impl Suspect {
    pub(super) const fn new(mark: Mark) -> Self {
        Self { mark, strikes: Vec::new() }
    }

    /// Adds a strike; `false` where this death is known already.
    pub(super) fn strike(&mut self, strike: Strike) -> bool {
        let known = |old: &Strike| old.incarnation == strike.incarnation && old.worker == strike.worker;
        if self.strikes.iter().any(known) {
            return false;
        }
        self.strikes.push(strike);
        if self.strikes.len() > MOST_STRIKES {
            // One of those that say least; the oldest of them stays, because it tells since when.
            let weight = |strike: &Strike| (strike.was_alone(), strike.blame == Blame::Own);
            let least = self.strikes.iter().map(weight).min();
            let mut these = (0..self.strikes.len()).filter(|n| Some(weight(&self.strikes[*n])) == least);
            let oldest = these.next();
            these.next().or(oldest).map(|n| self.strikes.remove(n));
        }
        true
    }

    /// Adds what was known of it before.
    pub(super) fn merge(&mut self, before: Self) {
        for strike in before.strikes {
            self.strike(strike);
        }
        self.strikes.sort_by_key(|strike| strike.at_ms);
    }

    /// Forgets what is too old; `false` where nothing is left.
    pub(super) fn keep_recent(&mut self, rules: Rules, now_ms: u64) -> bool {
        self.strikes.retain(|strike| is_recent(strike, rules, now_ms));
        !self.strikes.is_empty()
    }

    /// Deaths that count towards its condemnation.
    pub(super) fn own_deaths(&self) -> usize {
        self.strikes.iter().filter(|strike| strike.blame == Blame::Own).count()
    }

    /// Whether it is not to be run again. Never by deaths in company alone: of a batch, most messages are innocent, and each
    /// has been given the chance to show that by running alone.
    pub(super) fn is_condemned(&self, rules: Rules) -> bool {
        let alone: Vec<&Strike> = self.strikes.iter().filter(|strike| strike.was_alone()).collect();
        if alone.iter().any(|strike| strike.blame == Blame::Own) && self.own_deaths() >= rules.strikes as usize {
            return true;
        }
        let times = || alone.iter().map(|strike| strike.at_ms);
        let spread = times().max().unwrap_or(0) - times().min().unwrap_or(0);
        alone.len() >= OUTSIDE.max(rules.strikes as usize) && Duration::from_millis(spread) >= SPREAD
    }

    /// For choosing whom to forget where there are too many: the least suspicious comes first.
    pub(super) fn weight(&self, rules: Rules) -> (bool, bool, u64) {
        let was_alone = self.strikes.iter().any(Strike::was_alone);
        (self.is_condemned(rules), was_alone, self.strikes.iter().map(|strike| strike.at_ms).max().unwrap_or(0))
    }

    /// What a person is told; `None` without any strike.
    pub(super) fn report(&self) -> Option<ExitReport> {
        let (last, earlier) = self.strikes.split_last()?;
        let skipped = earlier.len().saturating_sub(MOST_EARLIER);
        Some(ExitReport {
            last: last.ending(),
            strikes: u32::try_from(self.strikes.len()).unwrap_or(u32::MAX),
            earlier: earlier[skipped..].iter().map(Strike::ending).collect(),
        })
    }
}

/// A strike from the future, after the clock was set back, stays until the clock has caught up.
fn is_recent(strike: &Strike, rules: Rules, now_ms: u64) -> bool {
    Duration::from_millis(now_ms.saturating_sub(strike.at_ms)) < rules.window
}
