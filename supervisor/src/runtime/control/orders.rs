//! Orders of operators, once they are recorded.

use etl_shared::WorkerName;

use super::{Control, Going};
use crate::{
    lifecycle::{Event, StopCause},
    runtime::{
        handle::{Asked, ControlError, Selection},
        news::Recorded,
    },
};

impl Control {
    pub(super) fn apply(&mut self, order: Recorded, asked: &Asked) {
        self.ordered(&order, asked);
        match order {
            Recorded::Start(selection, answer) => {
                let _ = answer.send(self.start(selection));
            }
            Recorded::Stop(selection, answer) => {
                let _ = answer.send(self.stop(selection));
            }
            Recorded::Restart(selection, answer) => {
                let _ = answer.send(self.restart(selection));
            }
            Recorded::Rotate(selection, answer) => {
                let _ = answer.send(self.rotate(selection));
            }
            Recorded::Forgive { queue, fingerprint, answer } => self.forgive(queue, fingerprint, answer),
            Recorded::ConfirmTenants(answer) => {
                let _ = answer.send(match self.refused.take() {
                    Some(tenants) => {
                        self.accept_tenants(tenants, "database");
                        Ok(self.tenant_list())
                    }
                    None => Err(ControlError::NothingToConfirm),
                });
            }
        }
    }

    fn start(&mut self, selection: Selection) -> Result<usize, ControlError> {
        self.serving()?;
        self.parts.switches.set(selection, true);
        self.reconcile();
        let workers = self.selected(selection);
        for worker in workers.clone() {
            self.forget_memory(&worker);
            self.happened(Event::Revive { worker });
        }
        Ok(workers.len())
    }

    fn stop(&mut self, selection: Selection) -> Result<usize, ControlError> {
        self.serving()?;
        self.parts.switches.set(selection, false);
        self.reconcile();
        Ok(self.selected(selection).len())
    }

    fn restart(&mut self, selection: Selection) -> Result<usize, ControlError> {
        self.serving()?;
        // An order to replace them at once comes before one to do it with care.
        self.abandon_reliefs(|crew| match selection {
            Selection::All => true,
            Selection::Tenant(tenant) => crew.tenant == tenant,
        });
        // Those that run now are replaced; those that are switched on below are new anyway.
        let workers = self.selected(selection);
        for worker in workers.clone() {
            self.forget_memory(&worker);
            self.happened(Event::Replace { worker: worker.clone(), cause: StopCause::Operator });
            self.happened(Event::Revive { worker });
        }
        if let Selection::Tenant(_) = selection {
            self.parts.switches.set(selection, true);
        }
        self.reconcile();
        Ok(workers.len())
    }

    fn serving(&self) -> Result<(), ControlError> {
        if self.going == Going::On { Ok(()) } else { Err(ControlError::Stopping) }
    }

    fn selected(&self, selection: Selection) -> Vec<WorkerName> {
        let names = self.fleet.slots().map(|(name, _)| name);
        match selection {
            Selection::All => names.cloned().collect(),
            Selection::Tenant(tenant) => names.filter(|name| name.tenant == tenant).cloned().collect(),
        }
    }
}
