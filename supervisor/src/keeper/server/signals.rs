//! Signals to the keeper itself. Stopping the keeper stops everything that it keeps.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Server, Stopping};
use crate::keeper::{process_table::Token, tree};

impl Server {
    pub(super) fn read_signals(&mut self) {
        loop {
            let number = match self.parts.signals.read_signal() {
                Ok(Some(info)) => info.ssi_signo,
                Ok(None) => return,
                Err(errno) => return tracing::warn!(%errno, "signals not read"),
            };
            match i32::try_from(number).map(Signal::try_from) {
                Ok(Ok(Signal::SIGCHLD)) => self.somebody_ended(),
                Ok(Ok(Signal::SIGHUP)) => self.reload(),
                Ok(Ok(signal)) => self.stop(signal),
                _ => {}
            }
        }
    }

    /// Stops every worker: politely the first time, at once when asked again.
    fn stop(&mut self, signal: Signal) {
        if let Some(stopping) = &mut self.stopping {
            tracing::warn!(%signal, processes = self.table.len(), "asked again: stopping at once");
            stopping.killed = true;
            return self.kill_all();
        }
        tracing::info!(%signal, processes = self.table.len(), "stopping");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        self.stopping = Some(Stopping { since: Instant::now(), killed: false });
        for token in self.tokens() {
            self.signal_group(token, Signal::SIGTERM);
            // A process that stands still hears TERM only when it goes on.
            self.signal_group(token, Signal::SIGCONT);
        }
    }

    /// Ends those whose time to leave is over.
    pub(super) fn enforce_grace(&mut self, now: Instant) {
        if self.next_grace().is_some_and(|at| at <= now)
            && let Some(stopping) = &mut self.stopping
        {
            tracing::warn!(processes = self.table.len(), "not gone in time: killing");
            stopping.killed = true;
            self.kill_all();
        }
    }

    /// When the longest grace of those that live is over.
    pub(super) fn next_grace(&self) -> Option<Instant> {
        let stopping = self.stopping.as_ref().filter(|stopping| !stopping.killed)?;
        let longest = self.table.iter().map(|(_, process)| process.grace).max()?;
        Some(stopping.since + longest)
    }

    fn kill_all(&mut self) {
        for token in self.tokens() {
            if let Some(process) = self.table.get(token).filter(|process| process.is_running()) {
                tree::kill_below(process.pid);
            }
            self.kill_completely(token);
        }
        for orphan in tree::orphans(&self.table) {
            tree::kill_below(orphan);
        }
        self.somebody_ended();
    }

    fn tokens(&self) -> Vec<Token> {
        self.table.iter().map(|(token, _)| token).collect()
    }
}
