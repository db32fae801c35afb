//! The worker's life after its start: serve, hold still while the broker is away, pause, leave.

use std::{cell::RefCell, time::Duration};

use etl_shared::{QueueName, amqp::LARGE_FRAME_MAX, flight::Phase, telemetry::LogLevel};
use sd_notify::NotifyState;
use tokio::time::Instant;

use super::{
    Failure,
    flight::{Flight, notify},
    held::Held,
    intent::{Intent, Leave},
    outage::Outage,
    serve::End,
    signals::{Signal, Signals},
    telling::Telling,
};
use crate::{
    broker::{BrokerError, BrokerSettings, Session},
    job::{Suspected, pace::Pace},
    settings::Settings,
    store::Store,
};

/// A connection that has lasted so long was a good one.
const STABLE: Duration = Duration::from_mins(1);

/// Everything that one worker has.
pub(super) struct Worker {
    pub(super) settings: Settings,
    pub(super) queue: QueueName,
    pub(super) broker: BrokerSettings,
    pub(super) store: Store,
    pub(super) flight: RefCell<Flight>,
    pub(super) signals: Signals,
    pub(super) intent: Intent,
    pub(super) log: LogLevel,
    pub(super) telling: Telling,
    pub(super) held: Held,
    /// How much is taken at once.
    pub(super) pace: Pace,
    pub(super) suspected: Suspected,
    /// Of the database.
    pub(super) outage: Outage,
    /// Of the broker.
    pub(super) broker_outage: Outage,
    /// To the broker, last.
    pub(super) connected_at: Instant,
    /// While the database is away: when it is tried again.
    pub(super) hold_until: Option<Instant>,
    /// Messages that a dry run has looked at.
    pub(super) shown: u64,
}

impl Worker {
    /// Works until it is told to leave.
    pub(super) async fn live(mut self, session: Session) -> Result<(), Failure> {
        let outcome = self.work_until_told(session).await;
        // Whoever leaves of its own will does not die on what it had in hand.
        self.flight.borrow_mut().rest(Phase::Draining, 0);
        self.store.close();
        let flight = self.flight.borrow();
        let counts = flight.counts();
        tracing::info!(
            done = counts.done,
            dead_lettered = counts.dead_lettered,
            retried = counts.retried,
            "worker leaves"
        );
        outcome
    }

    async fn work_until_told(&mut self, mut session: Session) -> Result<(), Failure> {
        loop {
            match self.serve(&mut session).await? {
                End::Drained => {
                    session.close().await;
                    return Ok(());
                }
                End::Left => return Ok(()),
                End::Paused => {
                    self.held.clear();
                    session.pause().await;
                    self.pause().await;
                    if !self.is_leaving()
                        && let Err(error) = session.resume().await
                    {
                        match self.reconnect(error).await? {
                            Some(new) => session = new,
                            None => return Ok(()),
                        }
                    }
                }
                End::Lost(error) => {
                    self.held.clear();
                    match self.reconnect(error).await? {
                        Some(new) => session = new,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.intent.is_leaving()
    }

    /// Whether somebody runs this by hand and waits for the end of it.
    pub(super) const fn is_manual(&self) -> bool {
        self.settings.manual.once || self.settings.manual.dry_run || self.settings.manual.max_messages.is_some()
    }

    /// Takes a signal into account and says so.
    pub(super) fn heed(&mut self, signal: Signal) {
        heed(&mut self.intent, &self.log, signal);
    }

    async fn pause(&mut self) {
        self.flight.borrow_mut().rest(Phase::Paused, 0);
        tracing::info!("paused: what was not begun went back to the queue; CONT takes messages again");
        notify(&[NotifyState::Status("paused")]);
        self.store.close();
        while self.intent.paused && !self.is_leaving() {
            let signal = self.signals.next().await;
            self.heed(signal);
        }
        if !self.is_leaving() {
            tracing::info!("messages are taken again");
            notify(&[NotifyState::Status("consuming")]);
        }
    }

    /// Holds still until the broker is back; `None` when the worker is to leave meanwhile.
    async fn reconnect(&mut self, lost: BrokerError) -> Result<Option<Session>, Failure> {
        if self.is_manual() {
            return Err(Failure::Broker(lost));
        }
        self.widen_frames(&lost);
        if self.connected_at.elapsed() > STABLE {
            self.broker_outage = Outage::default();
        }
        let mut error = lost;
        loop {
            // Goes on where it was after a connection that did not last, or the two would take turns without a pause.
            let until = self.broker_outage.again();
            self.flight.borrow_mut().rest(Phase::Holding, 0);
            if self.broker_outage.is_new() {
                tracing::warn!(cause = %super::failure::chain(&error), "the broker is away; holding still until it is back");
                notify(&[NotifyState::Status("holding: the broker is away")]);
            } else {
                tracing::debug!(cause = %super::failure::chain(&error), "the broker is still away");
            }
            if !self.wait_until(until).await {
                return Ok(None);
            }
            let opened = tokio::select! {
                opened = Session::open(&self.broker) => opened,
                () = leaving(&mut self.signals, &mut self.intent, &self.log) => return Ok(None),
            };
            match opened {
                Ok(session) => {
                    let seconds = self.broker_outage.lasts().map_or(0, |lasted| lasted.as_secs());
                    self.connected_at = Instant::now();
                    tracing::info!(seconds, "the broker is back; consuming");
                    notify(&[NotifyState::Status("consuming")]);
                    return Ok(Some(session));
                }
                Err(
                    fatal @ (BrokerError::LoginRefused { .. }
                    | BrokerError::QueueMissing { .. }
                    | BrokerError::Forbidden { .. }
                    | BrokerError::Mismatch { .. }),
                ) => return Err(Failure::Broker(fatal)),
                Err(passing) => error = passing,
            }
        }
    }

    /// After headers that did not fit, the next connection has the largest frames there are.
    fn widen_frames(&mut self, lost: &BrokerError) {
        let frame_max = &mut self.broker.at.uri.query.frame_max;
        if lost.is_frame_too_small() && *frame_max != Some(LARGE_FRAME_MAX) {
            *frame_max = Some(LARGE_FRAME_MAX);
            tracing::warn!(
                "a message's headers are larger than 8 KB; this worker takes more memory from now on, to have room for them"
            );
        }
    }

    /// Waits, minding the signals; `false` when the worker is to leave.
    async fn wait_until(&mut self, until: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(until) => true,
            () = leaving(&mut self.signals, &mut self.intent, &self.log) => false,
        }
    }
}

/// Minds the signals until one of them says to leave.
pub(super) async fn leaving(signals: &mut Signals, intent: &mut Intent, log: &LogLevel) {
    while !intent.is_leaving() {
        let signal = signals.next().await;
        heed(intent, log, signal);
    }
}

/// Takes a signal into account and says so.
pub(super) fn heed(intent: &mut Intent, log: &LogLevel, signal: Signal) {
    let before = *intent;
    intent.heed(signal);
    if intent.leave == Leave::Drain && before.leave == Leave::Stay {
        notify(&[NotifyState::Stopping, NotifyState::Status("finishing what is in flight")]);
        tracing::info!("finishing what is in flight; a second signal leaves at once");
    }
    if intent.leave == Leave::AtOnce && before.leave != Leave::AtOnce {
        notify(&[NotifyState::Stopping]);
        tracing::info!("leaving at once; what is not acknowledged goes back to the queue");
    }
    if intent.debug != before.debug {
        log.set_debug(intent.debug);
        tracing::info!(debug = intent.debug, "log level changed");
    }
    if signal == Signal::Spare {
        tracing::info!("USR2 has no meaning here");
    }
}
