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
        let due = processes.len() as f64 * HOUSEKEEPING.as_secs_f64() / every + self.sample_credit;
        self.sample_credit = due.fract();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let due = due as usize;
        let start = self.sample_cursor.as_ref().and_then(|last| processes.iter().position(|seen| seen.name == *last));
        let round = processes.iter().cycle().skip(start.map_or(0, |at| at + 1)).take(due.min(processes.len()));
        // Those that nobody has looked at yet do not wait for their turn.
        let unseen = processes.iter().filter(|seen| seen.unseen).take(UNSEEN_AT_ONCE);
        let flights = self.parts.settings.runtime.flight_directory();
        for process in unseen.chain(round.clone()) {
            if let Some(sample) = look(&flights, &process.name, process.incarnation, process.pid) {
                self.parts.board.sampled(&process.name, process.pid, sample);
            }
        }
        if let Some(last) = round.last() {
            self.sample_cursor = Some(last.name.clone());
        }
    }
}
