//! One worker's memory: what a look at its process means after the looks before.

use std::{collections::VecDeque, time::Duration};

use crate::clock::BootTime;

/// Over the soft limit in so many looks in a row, and for [`OVER_FOR`], it is to be replaced.
const LOOKS_OVER: u32 = 3;
/// Looks may follow each other fast; a batch that is gone in a moment is no reason.
const OVER_FOR: Duration = Duration::from_secs(2);
/// A process that is younger has not shown what it needs when it has come to rest.
const FRESH: Duration = Duration::from_mins(1);
/// So many replacements within [`BARREN_WITHIN`] may have been of little use; one more, and it is the limit that is wrong.
const BARREN: usize = 6;
/// See [`BARREN`].
const BARREN_WITHIN: Duration = Duration::from_hours(1);
/// Delays before a replacement that has not come about is asked for again.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));
/// A process that survived KILL is killed again after this long: it may have been stuck in the kernel.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// A worker on the watch list is looked at this often.
const WATCHED_EVERY: Duration = Duration::from_secs(1);
/// One that the supervisor may have to kill soon, this often.
const URGENT_EVERY: Duration = Duration::from_millis(200);

/// The limits of one worker, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Above it for a while, it is replaced.
    pub soft: u64,
    /// It never has so much.
    pub max: u64,
    /// The kernel sees to that.
    pub held: bool,
}

/// One look at a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Which process of the worker it is.
    pub incarnation: u64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// How long ago it was started.
    pub age: Duration,
    /// It has been told to leave.
    pub leaving: bool,
    /// What it says of its messages; `None`: it keeps no record.
    pub work: Option<Work>,
}

/// What a process says of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Done or dead-lettered since it was started.
    pub settled: u64,
    /// It is at work on some.
    pub in_hand: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Fine,
    /// Have it replaced.
    Replace,
    /// Nothing any more, and to be said once: no replacement would be better.
    TooSmall(TooSmall),
    /// What was said of the limit does not hold any longer.
    Fits,
    /// Kill it with everything that it has started.
    Kill,
}

/// A soft limit under which a program cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSmall {
    /// The limit in bytes.
    pub soft: u64,
    /// What the process has.
    pub uses: u64,
    /// How many replacements were of no use; 0: it was over the limit from its start.
    pub in_vain: usize,
    /// The same was said within the hour.
    pub again: bool,
}

/// What is remembered of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    incarnation: u64,
    over: Option<(BootTime, u32)>,
    /// When a replacement of this process may be asked for again, and how often it has been.
    asked: Option<(BootTime, u32)>,
    killed_at: Option<BootTime>,
    too_small: Option<u64>,
    /// That was said of this process because it had not settled anything yet.
    said_of_fresh: Option<u64>,
    said_at: Option<BootTime>,
    /// When processes were replaced that had lived shortly, done nothing or had too much from their start.
    barren: VecDeque<BootTime>,
}

impl Memory {
    /// Takes a look at its process.
    pub(super) fn looked(&mut self, look: Look, limits: MemoryLimits, now: BootTime) -> Finding {
        if self.incarnation != look.incarnation {
            self.incarnation = look.incarnation;
            (self.over, self.asked, self.killed_at) = (None, None, None);
        }
        self.barren.retain(|at| now.since(*at) < BARREN_WITHIN);
        self.said_at = self.said_at.filter(|at| now.since(*at) < BARREN_WITHIN);
        if !limits.held && look.resident >= limits.max {
            return self.kill(now);
        }
        let fits = self.fits(look, limits);
        if look.resident <= limits.soft || look.leaving {
            self.over = None;
            return if fits { Finding::Fits } else { Finding::Fine };
        }
        let (since, looks) = self.over.unwrap_or((now, 0));
        self.over = Some((since, looks + 1));
        if looks + 1 < LOOKS_OVER || now.since(since) < OVER_FOR {
            return if fits { Finding::Fits } else { Finding::Fine };
        }
        self.has_too_much(look, limits, now)
    }

    /// When it is to be looked at again before its turn comes.
    pub(super) fn next_look(&self, look: Look, limits: MemoryLimits, now: BootTime) -> Option<BootTime> {
        let near = look.resident >= limits.soft / 2;
        let said = self.too_small.is_some();
        let every = if !near || (said && limits.held) {
            return None;
        } else if limits.held || look.resident <= limits.soft {
            WATCHED_EVERY
        } else if said && look.resident < limits.soft.midpoint(limits.max) {
            // It stays like that for as long as it lives.
            WATCHED_EVERY
        } else {
            URGENT_EVERY
        };
        Some(now + every)
    }

    /// Whether anything in here makes a difference to the next look.
    pub(super) fn is_empty(&self) -> bool {
        let nothing_now = self.over.is_none() && self.too_small.is_none() && self.killed_at.is_none();
        nothing_now && self.barren.is_empty() && self.said_at.is_none()
    }

    fn kill(&mut self, now: BootTime) -> Finding {
        if self.killed_at.is_some_and(|at| now.since(at) < KILL_AGAIN) {
            return Finding::Fine;
        }
        self.killed_at = Some(now);
        Finding::Kill
    }

    /// The limit was changed, or the worker is seen far below it: whatever was said of it was a matter of one message.
    fn fits(&mut self, look: Look, limits: MemoryLimits) -> bool {
        let Some(soft) = self.too_small else { return false };
        let fits = soft != limits.soft || look.resident < limits.soft / 2;
        if fits {
            self.too_small = None;
        }
        if soft != limits.soft {
            self.said_at = None;
            self.barren.clear();
        }
        fits
    }

    /// A process that had too much before its first message was settled may have had a large message. Once it is past that and
    /// still has too much, another one may do better: whether what was said does not hold any longer.
    fn thinks_again(&mut self, look: Look) -> bool {
        let past_its_first = look.age >= FRESH && look.work.is_some_and(|work| work.settled > 0);
        let again = self.too_small.is_some() && self.said_of_fresh == Some(look.incarnation) && past_its_first;
        if again {
            (self.too_small, self.said_of_fresh) = (None, None);
        }
        again
    }

    fn has_too_much(&mut self, look: Look, limits: MemoryLimits, now: BootTime) -> Finding {
        let doubtful = self.thinks_again(look);
        if self.too_small.is_some() || self.asked.is_some_and(|(again_at, _)| now < again_at) {
            return Finding::Fine;
        }
        let young = look.age < FRESH;
        let idle_life = look.work.is_some_and(|work| work.settled == 0);
        // A message in hand would come back to the next process, which would be here again before it has settled it.
        let fresh = look.work.map_or(young, |work| work.settled == 0 && (work.in_hand || young));
        let asked_before = self.asked.map_or(0, |(_, times)| times);
        // Where it was no large message, this is for nothing, and goes on only so often.
        let barren = young || idle_life || doubtful;
        if fresh || (barren && asked_before == 0 && self.barren.len() >= BARREN) {
            self.too_small = Some(limits.soft);
            self.said_of_fresh = fresh.then_some(look.incarnation);
            let in_vain = if fresh { 0 } else { self.barren.len() };
            let again = self.said_at.replace(now).is_some();
            return Finding::TooSmall(TooSmall { soft: limits.soft, uses: look.resident, in_vain, again });
        }
        if barren && asked_before == 0 {
            self.barren.push_back(now);
        }
        let delay = ASK_AGAIN.0.saturating_mul(1 << asked_before.min(16)).min(ASK_AGAIN.1);
        self.asked = Some((now + delay, asked_before + 1));
        Finding::Replace
    }
}

#[cfg(test)]
mod tests;
