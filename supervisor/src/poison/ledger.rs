//! The strikes of every queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use etl_shared::{
    Verdict, WorkerName,
    flight::Mark,
    suspicion::{Condemned, Suspicions},
};
use serde::{Deserialize, Serialize};

use super::{Blame, Rules, Suspect, suspect::Strike};

/// Most messages of one queue that are remembered: two full batches.
const MOST_MESSAGES: usize = 1024;

/// Strikes by queue. By queue and not by worker, because a message that has ended one worker of a tenant may be delivered to
/// another of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    queues: BTreeMap<String, Vec<Suspect>>,
}

/// A process ended with messages in hand.
#[derive(Debug, Clone)]
pub struct PassedDeath {
    /// Whose process; its queue is the one that the messages are of.
    pub worker: WorkerName,
    /// Which.
    pub incarnation: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// What that says.
    pub blame: Blame,
    /// What its flight record names.
    pub marks: Vec<Mark>,
}

/// A message that has got a strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    /// Which.
    pub mark: Mark,
    /// How many deaths of their own now count against it.
    pub own_deaths: usize,
    /// It will not be run again.
    pub condemned: bool,
}

impl Ledger {
    /// Counts a death. The same death told twice counts once.
    pub fn died(&mut self, death: &PassedDeath, rules: Rules, now: SystemTime) -> Vec<Struck> {
        let mut seen = BTreeSet::new();
        let key = |mark: &Mark| (mark.raw_data_id, mark.fingerprint);
        let marks: Vec<Mark> = death.marks.iter().copied().filter(|mark| seen.insert(key(mark))).collect();
        let at_ms = since_1970(now);
        let suspects = self.queues.entry(death.worker.queue().to_string()).or_default();
        suspects.retain_mut(|suspect| suspect.keep_recent(rules, at_ms));
        let mut struck = Vec::new();
        for mark in &marks {
            let strike = Strike {
                at_ms,
                worker: death.worker.clone(),
                incarnation: death.incarnation,
                verdict: death.verdict.clone(),
                blame: death.blame,
                in_hand: u32::try_from(marks.len()).unwrap_or(u32::MAX),
            };
            let at = suspects.iter().position(|suspect| suspect.mark == *mark).unwrap_or_else(|| {
                suspects.push(Suspect::new(*mark));
                suspects.len() - 1
            });
            let suspect = &mut suspects[at];
            if suspect.strike(strike) {
                let (own_deaths, condemned) = (suspect.own_deaths(), suspect.is_condemned(rules));
                struck.push(Struck { mark: *mark, own_deaths, condemned });
            }
        }
        if suspects.len() > MOST_MESSAGES {
            suspects.sort_by_key(|suspect| std::cmp::Reverse(suspect.weight(rules)));
            suspects.truncate(MOST_MESSAGES);
        }
        self.queues.retain(|_, suspects| !suspects.is_empty());
        struck
    }

    /// What a new process of this queue has to know.
    pub fn suspicions(&mut self, queue: &str, rules: Rules, now: SystemTime) -> Suspicions {
        let mut suspicions = Suspicions::default();
        let Some(known) = self.queues.get_mut(queue) else { return suspicions };
        known.retain_mut(|suspect| suspect.keep_recent(rules, since_1970(now)));
        for suspect in known {
            match suspect.report() {
                Some(exit_report) if suspect.is_condemned(rules) => {
                    suspicions.condemned.push(Condemned { mark: suspect.mark, exit_report });
                }
                _ => suspicions.suspects.push(suspect.mark),
            }
        }
        suspicions
    }

    /// Forgets what is held against the messages with this fingerprint, because a person wants them tried again; returns what
    /// it was.
    pub fn forgive(&mut self, queue: &str, fingerprint: u64) -> Vec<Suspect> {
        let Some(suspects) = self.queues.get_mut(queue) else { return Vec::new() };
        let forgiven = suspects.extract_if(.., |suspect| suspect.mark.fingerprint == fingerprint).collect();
        self.queues.retain(|_, suspects| !suspects.is_empty());
        forgiven
    }

    /// Takes a forgiveness back.
    pub fn restore(&mut self, queue: &str, forgiven: Vec<Suspect>) {
        if forgiven.is_empty() {
            return;
        }
        let suspects = self.queues.entry(queue.to_owned()).or_default();
        for one in forgiven {
            match suspects.iter_mut().find(|suspect| suspect.mark == one.mark) {
                Some(suspect) => suspect.merge(one),
                None => suspects.push(one),
            }
        }
    }

    /// All that is held against messages of one queue, to be written down elsewhere.
    pub fn page(&self, queue: &str) -> Vec<Suspect> {
        self.queues.get(queue).cloned().unwrap_or_default()
    }

    /// Replaces what is known of one queue.
    pub fn set_page(&mut self, queue: String, page: Vec<Suspect>) {
        if page.is_empty() {
            self.queues.remove(&queue);
        } else {
            self.queues.insert(queue, page);
        }
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, rules: Rules, now: SystemTime) {
        self.queues.retain(|_, suspects| {
            suspects.retain_mut(|suspect| suspect.keep_recent(rules, since_1970(now)));
            !suspects.is_empty()
        });
    }
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RULES: Rules = Rules { strikes: 2, window: Duration::from_hours(72) };
    const QUEUE: &str = "transform_queue_tenant_7";

    fn mark(id: i64) -> Mark {
        Mark { raw_data_id: id, fingerprint: id.unsigned_abs() * 31 }
    }

    fn death(slot: u16, incarnation: u64, blame: Blame, ids: impl IntoIterator<Item = i64>) -> PassedDeath {
        PassedDeath {
            worker: format!("transform-7-{slot}").parse().unwrap(),
            incarnation,
            verdict: Verdict::Crash(6),
            blame,
            marks: ids.into_iter().map(mark).collect(),
        }
    }

    fn at(hours: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000 + hours)
    }

    fn condemned(ledger: &mut Ledger, hours: u64) -> Vec<i64> {
        ledger.suspicions(QUEUE, RULES, at(hours)).condemned.iter().map(|one| one.mark.raw_data_id).collect()
    }

    #[test]
    fn the_first_death_makes_a_suspect_and_the_second_condemns() {
        let mut ledger = Ledger::default();
        let first = ledger.died(&death(1, 1, Blame::Own, [5]), RULES, at(0));
        assert_eq!(first, [Struck { mark: mark(5), own_deaths: 1, condemned: false }]);
        assert_eq!(ledger.suspicions(QUEUE, RULES, at(0)).suspects, [mark(5)]);
        // Of another worker of the same tenant.
        let second = ledger.died(&death(2, 1, Blame::Own, [5]), RULES, at(71));
        assert_eq!(second, [Struck { mark: mark(5), own_deaths: 2, condemned: true }]);
        let known = ledger.suspicions(QUEUE, RULES, at(71));
        assert!(known.suspects.is_empty());
        let report = &known.condemned[0].exit_report;
        assert_eq!((report.strikes, report.last.signal, report.earlier.len()), (2, Some(6), 1));
        assert_eq!(report.last.worker.to_string(), "transform-7-2");
        assert!(report.sentence().contains("CRASH(SIGABRT)"), "{}", report.sentence());
        assert!(ledger.suspicions("transform_queue_tenant_8", RULES, at(71)).is_empty(), "nobody else's");
    }

    #[test]
    fn a_death_of_a_while_ago_does_not_count() {
        let mut ledger = Ledger::default();
        ledger.died(&death(1, 1, Blame::Own, [5]), RULES, at(0));
        ledger.died(&death(1, 2, Blame::Own, [5]), RULES, at(72));
        assert_eq!(condemned(&mut ledger, 72), [0_i64; 0]);
        ledger.expire(RULES, at(144));
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn a_death_that_is_told_twice_is_one_death() {
        let mut ledger = Ledger::default();
        let once = death(1, 1, Blame::Own, [5]);
        assert_eq!(ledger.died(&once, RULES, at(0)).len(), 1);
        assert_eq!(ledger.died(&once, RULES, at(1)), []);
        assert_eq!(condemned(&mut ledger, 1), [0_i64; 0]);
    }

    #[test]
    fn a_batch_that_dies_condemns_nobody_and_the_guilty_one_is_found_when_it_runs_alone() {
        let mut ledger = Ledger::default();
        ledger.died(&death(1, 1, Blame::Own, 1..=50), RULES, at(0));
        ledger.died(&death(1, 2, Blame::Own, 1..=50), RULES, at(1));
        assert_eq!(condemned(&mut ledger, 1), [0_i64; 0]);
        assert_eq!(ledger.suspicions(QUEUE, RULES, at(1)).suspects.len(), 50);
        ledger.died(&death(1, 3, Blame::Own, [17]), RULES, at(2));
        assert_eq!(condemned(&mut ledger, 2), [17]);
    }

    #[test]
    fn kills_from_outside_make_suspects_and_condemn_only_what_is_met_alone_again_and_again_for_an_hour() {
        let mut ledger = Ledger::default();
        for incarnation in 1..=20 {
            ledger.died(&death(1, incarnation, Blame::Outside, 1..=50), RULES, at(incarnation));
        }
        for incarnation in 21..=25 {
            ledger.died(&death(1, incarnation, Blame::Outside, [5]), RULES, at(incarnation));
        }
        assert_eq!(condemned(&mut ledger, 25), [0_i64; 0]);
        ledger.died(&death(1, 26, Blame::Outside, [5]), RULES, at(26));
        assert_eq!(condemned(&mut ledger, 26), [5]);
    }

    #[test]
    fn a_storm_of_kills_condemns_nobody_and_one_that_does_not_end_finds_an_end() {
        let mut ledger = Ledger::default();
        let start = at(0);
        // Fifty minutes of it, every second.
        for second in 0..3000 {
            let now = start + Duration::from_secs(second);
            ledger.died(&death(1, second, Blame::Outside, [5]), RULES, now);
        }
        assert_eq!(condemned(&mut ledger, 0), [0_i64; 0]);
        ledger.died(&death(1, 3000, Blame::Outside, [5]), RULES, start + Duration::from_hours(1));
        assert_eq!(condemned(&mut ledger, 1), [5]);
    }

    #[test]
    fn a_kill_from_outside_is_no_strike_beside_a_death_of_its_own() {
        let mut ledger = Ledger::default();
        ledger.died(&death(1, 1, Blame::Own, [5]), RULES, at(0));
        ledger.died(&death(1, 2, Blame::Outside, [5]), RULES, at(0));
        assert_eq!(condemned(&mut ledger, 0), [0_i64; 0]);
    }

    #[test]
    fn what_a_person_replays_begins_anew() {
        let mut ledger = Ledger::default();
        for incarnation in 1..=2 {
            ledger.died(&death(1, incarnation, Blame::Own, [5]), RULES, at(0));
        }
        assert_eq!(ledger.forgive(QUEUE, mark(6).fingerprint), []);
        assert_eq!(ledger.forgive("other", mark(5).fingerprint), []);
        assert_eq!(ledger.forgive(QUEUE, mark(5).fingerprint).len(), 1);
        assert!(ledger.suspicions(QUEUE, RULES, at(0)).is_empty());
        ledger.died(&death(1, 3, Blame::Own, [5]), RULES, at(0));
        assert_eq!(condemned(&mut ledger, 0), [0_i64; 0]);
    }

    #[test]
    fn a_forgiveness_that_is_taken_back_leaves_everything_as_it_was() {
        let mut ledger = Ledger::default();
        ledger.died(&death(1, 1, Blame::Own, [5]), RULES, at(0));
        let before = ledger.clone();
        let forgiven = ledger.forgive(QUEUE, mark(5).fingerprint);
        ledger.restore(QUEUE, forgiven);
        assert_eq!(ledger, before);
        // And with a death in between.
        let forgiven = ledger.forgive(QUEUE, mark(5).fingerprint);
        ledger.died(&death(1, 2, Blame::Own, [5]), RULES, at(0));
        ledger.restore(QUEUE, forgiven);
        assert_eq!(condemned(&mut ledger, 0), [5]);
    }

    #[test]
    fn the_condemned_are_remembered_however_many_suspects_come_after_them() {
        let mut ledger = Ledger::default();
        for incarnation in 1..=2 {
            ledger.died(&death(1, incarnation, Blame::Own, [-5]), RULES, at(0));
        }
        for batch in 0..10_i64 {
            let ids = batch * 512..batch * 512 + 512;
            ledger.died(&death(1, 10 + batch.unsigned_abs(), Blame::Own, ids), RULES, at(1));
        }
        assert_eq!(ledger.page(QUEUE).len(), MOST_MESSAGES);
        assert_eq!(condemned(&mut ledger, 1), [-5]);
    }

    #[test]
    fn a_page_is_written_and_read_without_loss() {
        let mut ledger = Ledger::default();
        ledger.died(&death(1, 1, Blame::Own, 1..=3), RULES, at(0));
        let mut copy: Ledger = serde_json::from_str(&serde_json::to_string(&ledger).unwrap()).unwrap();
        assert_eq!(copy, ledger);
        copy.set_page(QUEUE.to_owned(), Vec::new());
        assert_eq!(copy, Ledger::default());
        copy.set_page(QUEUE.to_owned(), ledger.page(QUEUE));
        assert_eq!(copy, ledger);
    }
}
