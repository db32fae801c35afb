//! What the supervisor holds against messages, applied to each as it arrives.

use std::collections::{HashMap, HashSet};

use etl_shared::{flight::Mark, suspicion::Suspicions};

use super::{Admission, DeadLetter, Job, Reason};

/// The messages on which earlier processes of this queue died. Empty for a worker that somebody runs by hand.
#[derive(Debug, Default)]
pub struct Suspected {
    suspects: HashSet<Mark>,
    condemned: HashMap<Mark, Verdict>,
}

#[derive(Debug)]
struct Verdict {
    sentence: String,
    exit_report: String,
}

impl Suspected {
    /// A suspect is not to share anything with other messages, so that nobody else is named when it kills again. A condemned
    /// one is refused, whatever it asks for, together with the report of the deaths that it was in.
    pub fn examine(&self, mut job: Job) -> Job {
        if let Some(verdict) = self.condemned.get(&job.mark) {
            // What is refused for another reason is not run either.
            if let Admission::Work(work) = job.admission {
                let letter =
                    DeadLetter { reason: Reason::Poison, detail: verdict.sentence.clone(), fails: Some(work.row()) };
                job.admission = Admission::Refused(letter, Some(work.scope.tenant));
                job.exit_report = Some(verdict.exit_report.clone());
            }
        }
        job.alone |= self.suspects.contains(&job.mark);
        job
    }

    /// How many messages run alone, and how many not at all.
    pub fn counts(&self) -> (usize, usize) {
        (self.suspects.len(), self.condemned.len())
    }
}

impl From<Suspicions> for Suspected {
    fn from(known: Suspicions) -> Self {
        let condemned = known.condemned.into_iter().map(|condemned| {
            let exit_report = serde_json::to_string(&condemned.exit_report).unwrap_or_else(|_| "{}".to_owned());
            (condemned.mark, Verdict { sentence: condemned.exit_report.sentence(), exit_report })
        });
        Self { condemned: condemned.collect(), suspects: known.suspects.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use etl_shared::suspicion::{Condemned, Ending, ExitReport};

    use super::*;

    fn job(body: &str) -> Job {
        Job::new(1, body.as_bytes().to_vec(), "{}".to_owned(), Some(7.try_into().unwrap()))
    }

    fn body(row: i64) -> String {
        format!(r#"{{"tenant_id":7,"integration_id":2,"raw_data_id":{row},"type":"jira_custom_fields"}}"#)
    }

    fn report() -> ExitReport {
        let last = Ending {
            verdict: etl_shared::Verdict::Crash(6),
            signal: Some(6),
            code: None,
            at: "2026-01-01T00:00:00.000Z".to_owned(),
            worker: "transform-7-1".parse().unwrap(),
            incarnation: 3,
            in_hand: 1,
        };
        ExitReport { earlier: vec![last.clone()], strikes: 2, last }
    }

    fn suspected(suspects: &[&Job], condemned: &[&Job]) -> Suspected {
        let condemned = condemned.iter().map(|job| Condemned { mark: job.mark, exit_report: report() });
        Suspicions { suspects: suspects.iter().map(|job| job.mark).collect(), condemned: condemned.collect() }.into()
    }

    #[test]
    fn a_suspect_runs_alone_and_its_neighbour_does_not() {
        let suspected = suspected(&[&job(&body(5))], &[]);
        assert!(suspected.examine(job(&body(5))).alone);
        for other in [body(6), body(5).replace("{\"tenant", "{ \"tenant")] {
            let other = suspected.examine(job(&other));
            assert!(!other.alone && matches!(other.admission, Admission::Work(_)), "{other:?}");
        }
    }

    #[test]
    fn a_condemned_message_is_refused_with_the_report_of_the_deaths() {
        let job = suspected(&[], &[&job(&body(5))]).examine(job(&body(5)));
        let Admission::Refused(letter, Some(tenant)) = &job.admission else { panic!("{job:?}") };
        assert_eq!((letter.reason, tenant.get()), (Reason::Poison, 7));
        assert_eq!(letter.fails.map(|row| row.raw_data_id), Some(5));
        assert!(letter.detail.contains("2 worker processes") && letter.detail.contains("CRASH(SIGABRT)"), "{letter:?}");
        let report: serde_json::Value = serde_json::from_str(job.exit_report.as_deref().unwrap()).unwrap();
        assert_eq!((&report["verdict"], &report["signal"]), (&"CRASH(SIGABRT)".into(), &6.into()), "{report}");
    }

    #[test]
    fn what_is_refused_anyway_keeps_its_reason() {
        let nonsense = job("nonsense");
        let examined = suspected(&[], &[&nonsense]).examine(nonsense.clone());
        assert_eq!(examined, nonsense);
    }

    #[test]
    fn without_a_supervisor_nobody_is_suspected() {
        let plain = job(&body(5));
        assert_eq!(Suspected::default().examine(plain.clone()), plain);
    }
}
