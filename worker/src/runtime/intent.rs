//! What the worker was asked for, as far as the signals so far say.

use super::signals::Signal;

/// The sum of the signals received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Intent {
    /// Whether and how the worker is to leave.
    pub(super) leave: Leave,
    /// Take no new messages.
    pub(super) paused: bool,
    /// Write debug lines.
    pub(super) debug: bool,
}

/// How the worker is to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Leave {
    /// Not at all.
    #[default]
    Stay,
    /// When everything in flight is finished.
    Drain,
    /// Now.
    AtOnce,
}

impl Intent {
    /// Takes a signal into account.
    pub(super) fn heed(&mut self, signal: Signal) {
        match signal {
            Signal::Drain if self.leave == Leave::Stay => self.leave = Leave::Drain,
            Signal::Drain | Signal::Leave => self.leave = Leave::AtOnce,
            Signal::Pause => self.paused = true,
            Signal::Resume => self.paused = false,
            Signal::Debug => self.debug = !self.debug,
            Signal::Spare => {}
        }
    }

    /// Whether the worker is to leave, in whichever way.
    pub(super) fn is_leaving(self) -> bool {
        self.leave > Leave::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(signals: &[Signal]) -> Intent {
        let mut intent = Intent::default();
        for signal in signals {
            intent.heed(*signal);
        }
        intent
    }

    #[test]
    fn the_first_term_drains_and_the_second_leaves() {
        assert_eq!(after(&[Signal::Drain]).leave, Leave::Drain);
        assert_eq!(after(&[Signal::Drain, Signal::Drain]).leave, Leave::AtOnce);
        assert_eq!(after(&[Signal::Leave]).leave, Leave::AtOnce);
        assert!(!after(&[Signal::Pause]).is_leaving());
    }

    #[test]
    fn a_pause_ends_with_the_next_cont_and_does_not_undo_a_drain() {
        assert!(after(&[Signal::Pause]).paused);
        assert!(!after(&[Signal::Pause, Signal::Pause, Signal::Resume]).paused);
        assert_eq!(after(&[Signal::Drain, Signal::Pause, Signal::Resume]).leave, Leave::Drain);
        assert!(!after(&[Signal::Debug, Signal::Spare, Signal::Debug]).debug);
    }
}
