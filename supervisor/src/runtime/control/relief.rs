//! Replaces processes with the new one ready first.

use etl_shared::WorkerName;

use super::{Control, Going};
use crate::{
    clock::BootTime,
    lifecycle::{Crew, Ending, Outcome, Purpose, Step, StopCause},
};

impl Control {
    /// Asks that the processes of these workers are replaced, each while another one stands in for it. Asking again for what
    /// is under way changes nothing. A worker without a process is left alone.
    pub(super) fn relieve(&mut self, workers: impl IntoIterator<Item = WorkerName>, cause: StopCause) {
        self.ask_relief(workers, cause, Purpose::Fresh);
    }

    pub(super) fn ask_relief(
        &mut self,
        workers: impl IntoIterator<Item = WorkerName>,
        cause: StopCause,
        purpose: Purpose,
    ) {
        if self.going == Going::On {
            self.reliefs.ask(workers, cause, purpose);
        }
    }

    /// Takes every relief as far as the fleet allows.
    pub(super) fn advance_reliefs(&mut self) {
        while !self.reliefs.is_idle() {
            let steps = self.reliefs.advance(&self.fleet, BootTime::now());
            if steps.is_empty() {
                return;
            }
            self.take_steps(steps);
        }
    }

    /// Something else comes first for these crews: their stand-ins leave.
    pub(super) fn abandon_reliefs(&mut self, concerns: impl Fn(&Crew) -> bool) {
        let steps = self.reliefs.abandon(concerns);
        self.take_steps(steps);
    }

    fn take_steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Tell(event) => self.happened(event),
                Step::Over(outcome) => {
                    relief_is_over(&outcome);
                    self.rotation_relieved(&outcome);
                }
            }
        }
    }
}

fn relief_is_over(outcome: &Outcome) {
    let Outcome { crew: Crew { queue_type, tenant }, ending, .. } = outcome;
    match ending {
        Ending::Done => {
            tracing::info!(tenant = tenant.get(), %queue_type, "replaced, with the new process ready first");
        }
        Ending::Failed(why) => tracing::warn!(tenant = tenant.get(), %queue_type, why, "not replaced"),
        Ending::Abandoned => {
            tracing::info!(tenant = tenant.get(), %queue_type, "not replaced: something else came first");
        }
    }
}
