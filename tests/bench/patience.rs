//! Waiting that ends at once when somebody wants the bench to end, so that it always cleans up behind itself.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    low_level::pipe,
};

use crate::outcome::{Doing, Outcome};

/// Waits, and is woken by a signal that wants the bench to end.
///
/// The signals are caught, not blocked: whoever the bench starts would inherit a block and be deaf to them.
#[derive(Debug)]
pub(crate) struct Patience {
    /// A byte for every signal that came.
    signals: UnixStream,
}

impl Patience {
    pub(crate) fn new() -> Outcome<Self> {
        let (signals, told) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            pipe::register(signal, told.try_clone()?).doing("hear signals")?;
        }
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
