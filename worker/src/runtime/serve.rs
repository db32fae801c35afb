//! One channel's time: gather messages, work, acknowledge, again.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

use etl_shared::flight::Phase;
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Failure,
    flight::notify,
    intent::Leave,
    outage::Outage,
    pipeline::{Ending, Next, Pipeline},
    worker::{Worker, heed},
};
use crate::{
    broker::{BrokerError, Session},
    job::Job,
};

/// While work is in hand, the flight record shows at least this often that the worker lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a run by hand waits for one more message before it takes the queue for empty.
const LAST_CALL: Duration = Duration::from_millis(200);

/// How a channel's time ends.
pub(super) enum End {
    /// Everything in flight is settled and the worker is to leave.
    Drained,
    /// The worker is to leave as it is.
    Left,
    /// Nothing more is to be taken for now.
    Paused,
    /// The channel or the connection is gone.
    Lost(BrokerError),
}

enum Gathered {
    Batch(Vec<Job>),
    End(End),
}

impl Worker {
    /// Serves the queue until the channel ends or the worker is asked for something else.
    pub(super) async fn serve(&mut self, session: &mut Session) -> Result<End, Failure> {
        loop {
            let jobs = match self.gather(session).await {
                Gathered::Batch(jobs) => jobs,
                Gathered::End(end) => {
                    if matches!(end, End::Drained) {
                        self.flight.borrow_mut().rest(Phase::Draining, session.open_deliveries());
                    }
                    return Ok(end);
                }
            };
            self.flight.borrow_mut().in_flight(u32::try_from(session.open_deliveries()).unwrap_or(u32::MAX));
            let (messages, began) = (jobs.len(), Instant::now());
            let Some((results, ending)) = self.work(jobs).await else {
                return Ok(End::Left);
            };
            let left = results.iter().filter(|(_, next)| *next == Next::Again).count();
            if left == 0 {
                self.pace.served(messages, began.elapsed());
            } else if ending == Ending::Fine {
                self.pace.cut(messages - left);
            }
            // Whatever follows, such as a broker that is slow to take an acknowledgement, is not the messages' doing any more.
            self.flight.borrow_mut().rest(Phase::Idle, session.open_deliveries());
            let settled = results.iter().filter(|(_, next)| *next == Next::Settle).count();
            self.flight.borrow_mut().settled_after(settled as u64, began.elapsed());
            // In reverse, because what is put in front comes out first.
            for (job, next) in results.into_iter().rev() {
                match next {
                    Next::Settle => session.settle(&job),
                    Next::After(pause) => self.held.until(Instant::now() + pause, job),
                    Next::Again => self.held.again(job),
                    Next::Leave => self.shown += 1,
                }
            }
            if self.is_leaving() {
                // First, so that no message is delivered into the place of those that are acknowledged now.
                session.stop_deliveries().await;
            }
            let acknowledged = session.acknowledge().await;
            self.conclude(ending)?;
            if let Err(error) = acknowledged {
                return Ok(End::Lost(error));
            }
            self.broker_outage = Outage::default();
            if !self.is_leaving()
                && let Err(error) = self.keep_pace(session).await
            {
                return Ok(End::Lost(error));
            }
        }
    }

    /// More is delivered ahead at once, less only when nothing is open: until then it would make no difference. Not while a
    /// message waits for another try, because it would forget how many it has had; and not in a run by hand, which counts what
    /// has been delivered.
    async fn keep_pace(&mut self, session: &mut Session) -> Result<(), BrokerError> {
        if self.is_manual() || self.held.next_due().is_some() {
            return Ok(());
        }
        let (now, wanted) = (session.prefetch(), self.pace.prefetch());
        if wanted > now || (wanted < now && session.open_deliveries() == 0) {
            tracing::debug!(prefetch = wanted, batch = self.pace.batch(), "pace changed");
            self.held.clear();
            self.broker.prefetch = wanted;
            session.set_prefetch(wanted).await?;
        }
        Ok(())
    }

    fn conclude(&mut self, ending: Ending) -> Result<(), Failure> {
        match ending {
            Ending::Untouched => Ok(()),
            Ending::Fine => {
                self.hold_until = None;
                if let Some(lasted) = self.outage.over() {
                    tracing::info!(seconds = lasted.as_secs(), "the database is back");
                    notify(&[NotifyState::Status("consuming")]);
                }
                Ok(())
            }
            Ending::Schema(detail) => Err(Failure::Schema(detail)),
            Ending::LoginRefused(detail) => Err(Failure::LoginRefused(detail)),
            Ending::DatabaseAway(detail) if self.is_manual() => Err(Failure::DatabaseLost(detail)),
            Ending::DatabaseAway(detail) => {
                self.store.close();
                self.hold_until = Some(self.outage.again());
                if self.outage.is_new() {
                    tracing::warn!(cause = detail, "the database is away; holding still until it is back");
                    notify(&[NotifyState::Status("holding: the database is away")]);
                } else {
                    tracing::debug!(cause = detail, "the database is still away");
                }
                Ok(())
            }
        }
    }

    /// Runs a batch, minding the signals; `None` when the worker is to leave at once.
    async fn work(&mut self, jobs: Vec<Job>) -> Option<(Vec<(Job, Next)>, Ending)> {
        let Self { store, flight, signals, intent, log, queue, settings, telling, .. } = self;
        let told = Cell::new(intent.is_leaving());
        #[allow(clippy::disallowed_methods, reason = "the runtime is where the clock is read")]
        let began = SystemTime::now();
        let mut pipeline = Pipeline {
            store,
            flight,
            queue,
            attempts: settings.attempts,
            patience: settings.lock_timeout + 2 * settings.statement_timeout,
            dry_run: settings.manual.dry_run,
            telling,
            began,
            leaving: &told,
        };
        let mut work = std::pin::pin!(pipeline.run(jobs));
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => {
                    heed(intent, log, signal);
                    told.set(intent.is_leaving());
                    if intent.leave == Leave::AtOnce {
                        return None;
                    }
                }
                results = &mut work => return Some(results),
                () = sleep(HEARTBEAT) => flight.borrow_mut().beat(),
            }
        }
    }

    /// The next batch: what has arrived already, or else the first that arrives.
    async fn gather(&mut self, session: &mut Session) -> Gathered {
        loop {
            if let Some(end) = self.wish() {
                return Gathered::End(end);
            }
            if let Some(until) = self.hold_until.filter(|until| Instant::now() < *until) {
                self.flight.borrow_mut().rest(Phase::Holding, session.open_deliveries());
                tokio::select! {
                    biased;
                    signal = self.signals.next() => self.heed(signal),
                    () = sleep_until(until) => {}
                    arrived = session.next() => match arrived {
                        Ok(job) => self.held.arrived(self.suspected.examine(job)),
                        Err(error) => return Gathered::End(End::Lost(error)),
                    }
                }
                continue;
            }
            match self.arrived(session) {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => return Gathered::Batch(batch),
                Err(error) => return Gathered::End(End::Lost(error)),
            }
            self.flight.borrow_mut().rest(Phase::Idle, session.open_deliveries());
            if self.ends_with_the_queue() && self.held.is_empty() {
                match self.last_call(session).await {
                    Ok(true) => continue,
                    Ok(false) => return Gathered::End(End::Drained),
                    Err(error) => return Gathered::End(End::Lost(error)),
                }
            }
            let database_idle = self.store.idle_since().map(|since| since + self.settings.database_idle);
            tokio::select! {
                biased;
                signal = self.signals.next() => self.heed(signal),
                arrived = session.next() => match arrived {
                    Ok(job) => self.held.arrived(self.suspected.examine(job)),
                    Err(error) => return Gathered::End(End::Lost(error)),
                },
                () = at(self.held.next_due()) => {}
                () = at(database_idle) => {
                    self.store.close();
                    tracing::debug!("the unused connection to the database is closed");
                }
            }
        }
    }

    /// What the signals, or the limits of a run by hand, ask for.
    fn wish(&self) -> Option<End> {
        let settled = self.flight.borrow().settled() + self.shown;
        if self.intent.leave == Leave::AtOnce {
            Some(End::Left)
        } else if self.is_leaving() || self.settings.manual.max_messages.is_some_and(|most| settled >= most) {
            Some(End::Drained)
        } else if self.intent.paused {
            Some(End::Paused)
        } else {
            None
        }
    }

    /// Takes a batch of what is there, without waiting.
    fn arrived(&mut self, session: &mut Session) -> Result<Vec<Job>, BrokerError> {
        let settled = self.flight.borrow().settled() + self.shown;
        let left = self.settings.manual.max_messages.map_or(u64::MAX, |most| most - settled);
        let most = usize::from(self.pace.batch()).min(usize::try_from(left).unwrap_or(usize::MAX));
        let now = Instant::now();
        let mut batch: Vec<Job> = Vec::new();
        while batch.len() < most {
            let job = match self.held.take(now) {
                Some(job) => job,
                None => match session.next_arrived() {
                    Some(Ok(job)) => self.suspected.examine(job),
                    // What was taken before is lost with the channel as well: it will be delivered again.
                    Some(Err(error)) => return Err(error),
                    None => break,
                },
            };
            if job.alone && !batch.is_empty() {
                self.held.again(job);
                break;
            }
            let alone = job.alone;
            batch.push(job);
            if alone {
                break;
            }
        }
        Ok(batch)
    }

    const fn ends_with_the_queue(&self) -> bool {
        self.settings.manual.once || self.settings.manual.dry_run
    }

    /// Whether there is more to do for a run by hand that ends with the queue.
    async fn last_call(&mut self, session: &mut Session) -> Result<bool, BrokerError> {
        if let Ok(arrived) = tokio::time::timeout(LAST_CALL, session.next()).await {
            self.held.arrived(self.suspected.examine(arrived?));
            return Ok(true);
        }
        // A dry run leaves its messages where they are, so what waits behind them is never delivered to it.
        Ok(!self.settings.manual.dry_run && session.waiting().await? > 0)
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
