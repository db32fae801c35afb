//! Waiting that ends at once when somebody wants the bench to end, so that it always cleans up behind itself.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

use crate::outcome::{Doing, Outcome};

/// Signals that end the bench. They stay blocked and are looked at while waiting; a started program does not inherit that.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

#[derive(Debug)]
pub(crate) struct Patience {
    signals: SignalFd,
}

impl Patience {
    pub(crate) fn new() -> Outcome<Self> {
        let set: SigSet = ENDING.into_iter().collect();
        set.thread_block().doing("block signals")?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .doing("open a descriptor for signals")?;
        Ok(Self { signals })
    }

    /// Waits; an error when a signal came.
    pub(crate) fn pause(&self, duration: Duration) -> Outcome<()> {
        let deadline = Instant::now() + duration;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Whole milliseconds are too coarse for the end of it.
            if left < Duration::from_millis(1) {
                std::thread::sleep(left);
            }
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) if Instant::now() >= deadline => return Ok(()),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Err("ended by a signal".into()),
                Err(error) => return Err(error).doing("wait"),
            }
        }
    }

    /// Asks again and again until the answer is good.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        every: Duration,
        mut ask: impl FnMut() -> Result<T, String>,
    ) -> Outcome<T> {
        let deadline = Instant::now() + limit;
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(why) if Instant::now() >= deadline => {
                    return Err(format!("waited {limit:?} for {what}; at the end: {why}").into());
                }
                Err(_) => self.pause(every)?,
            }
        }
    }
}
