//! Signals as values.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What somebody asks of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// TERM or INT: finish what is in flight and leave.
    Drain,
    /// QUIT: leave now.
    Leave,
    /// TSTP: take no new messages.
    Pause,
    /// CONT: take messages again.
    Resume,
    /// USR1: debug lines on or off.
    Debug,
    /// USR2: nothing yet.
    Spare,
}

/// The handlers; as long as they live, none of these signals has its usual effect.
pub(super) struct Signals {
    term: Stream,
    int: Stream,
    quit: Stream,
    tstp: Stream,
    cont: Stream,
    usr1: Stream,
    usr2: Stream,
}

impl Signals {
    pub(super) fn install() -> io::Result<Self> {
        // nix knows the numbers, tokio does not have all of the names.
        let raw = |number: nix::sys::signal::Signal| signal(SignalKind::from_raw(number as i32));
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            tstp: raw(nix::sys::signal::Signal::SIGTSTP)?,
            cont: raw(nix::sys::signal::Signal::SIGCONT)?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.quit.recv() => Signal::Leave,
            _ = self.term.recv() => Signal::Drain,
            _ = self.int.recv() => Signal::Drain,
            _ = self.cont.recv() => Signal::Resume,
            _ = self.tstp.recv() => Signal::Pause,
            _ = self.usr1.recv() => Signal::Debug,
            _ = self.usr2.recv() => Signal::Spare,
        }
    }
}
