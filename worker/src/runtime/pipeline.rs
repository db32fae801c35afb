//! One batch of messages, from their bodies to their fates.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use etl_shared::QueueName;

use super::{
    batch,
    flight::Flight,
    names::{Names, about, tenant},
    outage::chance,
    telling::Telling,
};
use crate::{
    job::{Admission, Assignment, DeadLetter, Done, Fate, Job, Trouble, Wait, retry},
    store::{Letter, Message, Store},
};

/// Pause before a dead letter that could not be stored is tried again.
const BURY_AGAIN: Duration = Duration::from_secs(5);

/// What the worker does with a message next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Everything is stored: acknowledge.
    Settle,
    /// Try again after this.
    After(Duration),
    /// Take it again as soon as anything is taken.
    Again,
    /// Only looked at: leave it unacknowledged.
    Leave,
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The database was not needed.
    Untouched,
    /// The database did its part.
    Fine,
    /// The database is away.
    DatabaseAway(String),
    /// The database lacks something.
    Schema(String),
    /// The database refuses the login.
    LoginRefused(String),
}

impl Ending {
    const fn is_trouble(&self) -> bool {
        matches!(self, Self::DatabaseAway(_) | Self::Schema(_) | Self::LoginRefused(_))
    }
}

/// What a batch needs.
pub(super) struct Pipeline<'a> {
    pub(super) store: &'a mut Store,
    pub(super) flight: &'a RefCell<Flight>,
    pub(super) queue: &'a QueueName,
    pub(super) attempts: u32,
    /// Longest time for one transaction, for a server that neither answers nor closes the connection.
    pub(super) patience: Duration,
    pub(super) dry_run: bool,
    /// Whoever exports traces.
    pub(super) telling: &'a Telling,
    /// When the batch was begun.
    pub(super) began: SystemTime,
    /// Set when the worker is told to leave.
    pub(super) leaving: &'a Cell<bool>,
}

impl Pipeline<'_> {
    /// Serves a batch. Every job comes back with what follows for it.
    pub(super) async fn run(&mut self, jobs: Vec<Job>) -> (Vec<(Job, Next)>, Ending) {
        let fates = self.judge(&jobs).await;
        let served = |fate: &Option<Fate>| fate != &Some(Fate::Ack(Done::Completion));
        let mut ending = if fates.iter().any(served) { Ending::Fine } else { Ending::Untouched };
        let mut results = Vec::with_capacity(jobs.len());
        for (mut job, fate) in jobs.into_iter().zip(fates) {
            let next = match fate {
                _ if ending.is_trouble() => Next::Again,
                None => Next::Again,
                Some(fate) => self.carry_out(&mut job, fate, &mut ending).await,
            };
            results.push((job, next));
        }
        (results, ending)
    }

    /// The fate of each message; `None` is for those that have to wait for another batch.
    async fn judge(&mut self, jobs: &[Job]) -> Vec<Option<Fate>> {
        let mut fates = vec![None; jobs.len()];
        let (mut works, mut rows): (Vec<(usize, Assignment)>, _) = (Vec::new(), BTreeSet::new());
        for (n, job) in jobs.iter().enumerate() {
            match &job.admission {
                Admission::Completion => fates[n] = Some(Fate::Ack(Done::Completion)),
                Admission::Refused(letter, _) => fates[n] = Some(Fate::DeadLetter(letter.clone())),
                // The second message about one row finds it completed in the next batch.
                Admission::Work(work) if rows.insert(work.raw_data_id) => works.push((n, *work)),
                Admission::Work(_) => {}
            }
        }
        if works.is_empty() {
            return fates;
        }
        match self.transact(jobs, &works).await {
            Ok(found) => works.iter().zip(found).for_each(|((n, _), fate)| fates[*n] = fate),
            Err((trouble, detail)) if works.len() == 1 || !is_about_one_message(trouble) => {
                for (n, work) in &works {
                    fates[*n] = Some(trouble.fate(work.row(), detail.clone()));
                }
            }
            Err((_, detail)) => {
                tracing::info!(messages = works.len(), detail, "a batch failed; its messages are tried one by one");
                self.judge_singly(jobs, &works, &mut fates).await;
            }
        }
        fates
    }

    async fn judge_singly(&mut self, jobs: &[Job], works: &[(usize, Assignment)], fates: &mut [Option<Fate>]) {
        for one in works {
            // Each may wait for locks, and the whole batch for longer than the worker is given to leave. What is not begun goes
            // back to the queue.
            if self.leaving.get() {
                return;
            }
            match self.transact(jobs, std::slice::from_ref(one)).await {
                Ok(mut found) => fates[one.0] = found.pop().flatten(),
                Err((trouble, detail)) => {
                    fates[one.0] = Some(trouble.fate(one.1.row(), detail));
                    if !is_about_one_message(trouble) {
                        return;
                    }
                }
            }
        }
    }

    async fn transact(
        &mut self,
        jobs: &[Job],
        works: &[(usize, Assignment)],
    ) -> Result<Vec<Option<Fate>>, (Trouble, String)> {
        let items: Vec<batch::Item> = works
            .iter()
            .map(|(n, work)| batch::Item {
                work: *work,
                mark: jobs[*n].mark,
                attempts: jobs[*n].tries.with_the_present(),
            })
            .collect();
        let transaction = batch::transact(self.store, self.flight, &items, self.dry_run);
        let outcome = match tokio::time::timeout(self.patience, transaction).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.store.abandon("serving a batch", self.patience).await),
        };
        outcome.map_err(|error| {
            tracing::debug!(error = std::error::Error::source(&error), doing = %error, "transaction failed");
            (error.trouble(), error.to_string())
        })
    }

    async fn carry_out(&mut self, job: &mut Job, fate: Fate, ending: &mut Ending) -> Next {
        match fate {
            Fate::Ack(done) => {
                if tracing::enabled!(tracing::Level::DEBUG) {
                    about!(debug, Names::of(job, self.queue), outcome = done.as_str(), "message done");
                }
                // A dry run leaves the message, so nothing is done.
                if self.dry_run {
                    return Next::Leave;
                }
                self.flight.borrow_mut().count_done();
                self.telling.settled(job, self.queue, self.began, done.as_str(), false);
                Next::Settle
            }
            Fate::DeadLetter(letter) => {
                let attempts = job.tries.with_the_present();
                self.bury(job, &letter, attempts, ending).await
            }
            Fate::Retry(wait, detail) => match job.tries.after(wait, self.attempts, chance()) {
                retry::Next::After(pause) => {
                    let (reason, names) = (wait.as_str(), Names::of(job, self.queue));
                    about!(info, names, reason, detail, ?pause, "message held for another try");
                    job.alone |= matches!(wait, Wait::Conflict | Wait::Unexpected);
                    self.flight.borrow_mut().count_retry();
                    Next::After(pause)
                }
                retry::Next::Hold => {
                    *ending = Ending::DatabaseAway(detail);
                    Next::Again
                }
                retry::Next::Leave => {
                    *ending = match wait {
                        Wait::LoginRefused => Ending::LoginRefused(detail),
                        _ => Ending::Schema(detail),
                    };
                    Next::Again
                }
                retry::Next::Spent(reason, attempts) => {
                    let fails = match &job.admission {
                        Admission::Work(work) => Some(work.row()),
                        _ => None,
                    };
                    self.bury(job, &DeadLetter { reason, detail, fails }, attempts, ending).await
                }
            },
        }
    }

    async fn bury(&mut self, job: &Job, verdict: &DeadLetter, attempts: u32, ending: &mut Ending) -> Next {
        let DeadLetter { reason, detail, .. } = verdict;
        let names = Names::of(job, self.queue);
        if self.dry_run {
            about!(warn, names, %reason, detail, "this message would become a dead letter");
            return Next::Leave;
        }
        let tenant_id = tenant(job, self.queue);
        let message = Message { queue: &names.queue, tenant_id, body: &job.body, headers: &job.headers };
        self.flight.borrow_mut().committing(std::iter::once(job.mark));
        let exit_report = job.exit_report.as_deref();
        let letter = Letter { message: Some(message), verdict, attempts, exit_report };
        let buried = match tokio::time::timeout(self.patience, self.store.bury(&letter)).await {
            Ok(buried) => buried,
            Err(_) => Err(self.store.abandon("storing a dead letter", self.patience).await),
        };
        match buried {
            Ok(()) => {
                let isolation_violation = reason.is_isolation_violation();
                if isolation_violation {
                    let said = "dead letter: isolation violation";
                    about!(error, names, %reason, detail, attempts, isolation_violation, "{said}");
                } else {
                    about!(warn, names, %reason, detail, attempts, "dead letter");
                }
                self.flight.borrow_mut().count_dead_letter(*reason);
                self.telling.settled(job, self.queue, self.began, reason.as_str(), true);
                Next::Settle
            }
            Err(error) => match error.trouble() {
                Trouble::Unavailable => {
                    *ending = Ending::DatabaseAway(error.to_string());
                    Next::Again
                }
                Trouble::Schema => {
                    *ending = Ending::Schema(error.to_string());
                    Next::Again
                }
                Trouble::LoginRefused => {
                    *ending = Ending::LoginRefused(error.to_string());
                    Next::Again
                }
                _ => {
                    about!(error, names, %reason, %error, "a dead letter could not be stored; the message is kept");
                    Next::After(BURY_AGAIN)
                }
            },
        }
    }
}

/// Whether the other messages of a batch may fare better.
const fn is_about_one_message(trouble: Trouble) -> bool {
    !matches!(trouble, Trouble::Unavailable | Trouble::Schema | Trouble::LoginRefused)
}
