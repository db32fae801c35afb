//! Looks at the workers' processes, a few every second.

use super::{Control, HOUSEKEEPING};
use crate::runtime::sample::look;

/// How many processes without any sample are looked at in one second beyond those that are due.
const UNSEEN_AT_ONCE: usize = 50;

impl Control {
    /// Looks at as many processes as are due in one second, going round, so that no sweep ever holds up the loop.
    pub(super) fn sample_some(&mut self) {
        let processes = self.parts.board.processes();
        let every = self.parts.settings.limits.sample_every.as_secs_f64().max(1.0);
        #[expect(clippy::cast_precision_loss, reason = "a count of processes")]
        let due = processes as f64 * HOUSEKEEPING.as_secs_f64() / every + self.sample_credit;
        self.sample_credit = due.fract();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let due = (due as usize).min(processes);
        // Those that nobody has looked at yet do not wait for their turn.
        let chosen = self.parts.board.to_sample(self.sample_cursor.as_ref(), due, UNSEEN_AT_ONCE);
        let flights = self.parts.settings.runtime.flight_directory();
        for process in &chosen {
            if let Some(sample) = look(&flights, &process.name, process.incarnation, process.pid) {
                self.looked(&process.name, process.pid, &sample);
            }
        }
        if due > 0
            && let Some(last) = chosen.into_iter().last()
        {
            self.sample_cursor = Some(last.name);
        }
    }
}
