//! Signals to the supervisor, as words.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody asks of the supervisor by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// TERM or INT: leave in good order.
    Stop,
    /// QUIT: leave at once.
    StopNow,
    /// HUP: read configuration and tenants again.
    Reload,
    /// USR1 or USR2: pass it on to every worker.
    Forward(i32),
}

/// The signals that are listened to.
#[derive(Debug)]
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    quit: Signal,
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
}

impl Signals {
    /// From here on none of them ends the process by itself.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::Stop,
            _ = self.int.recv() => Asked::Stop,
            _ = self.quit.recv() => Asked::StopNow,
            _ = self.hup.recv() => Asked::Reload,
            _ = self.usr1.recv() => Asked::Forward(SignalKind::user_defined1().as_raw_value()),
            _ = self.usr2.recv() => Asked::Forward(SignalKind::user_defined2().as_raw_value()),
        }
    }
}
