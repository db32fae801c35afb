//! What signals to the supervisor lead to, and its orderly end.

use etl_shared::WorkerName;

use super::{Control, Going};
use crate::{
    keeper::protocol::{Request, Scope},
    lifecycle::{Event, Why},
    runtime::signals::Asked,
};

impl Control {
    pub(super) fn obey(&mut self, asked: Asked) {
        match asked {
            Asked::Stop if self.going == Going::On => self.go_down(),
            Asked::Stop => self.hurry(),
            Asked::StopNow => {
                self.go_down();
                self.hurry();
            }
            Asked::Reload => self.reload(),
            Asked::Forward(signal) => {
                tracing::info!(signal, "passed on to every worker");
                let processes: Vec<(WorkerName, u64)> = self
                    .fleet
                    .slots()
                    .filter_map(|(name, slot)| Some((name.clone(), slot.state().process()?.0)))
                    .collect();
                for (worker, incarnation) in processes {
                    self.link.send(&Request::Signal { worker, incarnation, signal, scope: Scope::Group }, None);
                }
            }
        }
    }

    pub(super) fn go_down(&mut self) {
        if self.parts.detach {
            tracing::info!("leaving; the workers go on under their keeper");
            self.going = Going::Out;
            return;
        }
        tracing::info!("stopping every worker; a second signal does not wait for them");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        self.going = Going::Down;
        self.abandon_reliefs(|_| true);
        for worker in self.names() {
            self.happened(Event::Unwant { worker, why: Why::Shutdown });
        }
    }

    pub(super) fn hurry(&mut self) {
        for worker in self.names() {
            self.happened(Event::Hurry { worker });
        }
    }

    pub(super) fn leave_when_empty(&mut self) {
        if self.going != Going::Down {
            return;
        }
        let busy = self.fleet.slots().any(|(_, slot)| slot.has_process_or_expects_one());
        if !busy {
            if !self.parts.external_keeper {
                self.link.send(&Request::Shutdown, None);
                self.keeper_told_to_end = true;
            }
            self.going = Going::Out;
        }
    }

    pub(super) fn names(&self) -> Vec<WorkerName> {
        self.fleet.slots().map(|(name, _)| name.clone()).collect()
    }
}
