//! HUP: the configuration is read again, and only what changed is touched.

use std::thread::available_parallelism;

use etl_shared::QueueType;

use super::{Control, tenants::timing};
use crate::{
    keeper::protocol::Request,
    lifecycle::{Event, RestartPolicy, StopCause},
    runtime::brain::handover,
    settings::{CredentialsMode, Settings},
};

impl Control {
    pub(super) fn reload(&mut self) {
        let new = match Settings::load(&self.parts.config) {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(%error, "configuration not read again; everything stays as it was");
                return;
            }
        };
        let old = std::mem::replace(&mut self.parts.settings, new);
        self.keep_what_needs_a_restart(&old);
        match handover(&self.parts.settings) {
            Ok(handover) => self.parts.handover = handover,
            Err(error) => tracing::error!(%error, "the workers' credentials were not read again; the old ones stay"),
        }
        let policy = policy(&self.parts.settings);
        self.reliefs.set_places(policy.max_concurrent_starts);
        self.fleet.set_policy(policy);
        // A slot in which somebody stands in may be one of the configured ones from now on.
        self.abandon_reliefs(|_| true);
        // Before anything is replaced, or it would come back in the old way.
        self.link.send(&Request::Reload, None);
        let changed: Vec<QueueType> = self
            .parts
            .settings
            .queues
            .iter()
            .filter(|(name, queue)| old.queues.get(*name).is_some_and(|before| before.differs_in_process(queue)))
            .map(|(name, _)| name.clone())
            .collect();
        let workers: Vec<_> = self.names().into_iter().filter(|worker| changed.contains(&worker.queue_type)).collect();
        tracing::info!(changed = ?changed, workers = workers.len(), "configuration read again");
        self.take_up_settings();
        self.retime();
        self.ask_for_room_again();
        for worker in workers {
            self.happened(Event::Replace { worker: worker.clone(), cause: StopCause::Changed });
            // What it was given up for may be what has just been corrected.
            self.happened(Event::Revive { worker });
        }
        if let Some(listed) = self.parts.settings.tenants.clone() {
            self.accept_tenants(listed.0, "configuration");
        } else {
            self.reconcile();
            self.parts.reload_tenants.send_modify(|turn| *turn += 1);
        }
    }

    /// New limits in time hold from the next step on and touch no process.
    fn retime(&mut self) {
        for worker in self.names() {
            let wanted = self.fleet.slot(&worker).map(crate::lifecycle::Slot::wanted);
            if wanted == Some(crate::lifecycle::Wanted::Up)
                && let Some(queue) = self.parts.settings.queues.get(&worker.queue_type)
            {
                let timing = timing(queue);
                self.happened(Event::Retime { worker, timing });
            }
        }
    }

    /// Half of a change would be worse than none: the parts that were started with these sections keep them.
    fn keep_what_needs_a_restart(&mut self, old: &Settings) {
        let new = &mut self.parts.settings;
        for (section, same) in [
            ("runtime", old.runtime == new.runtime),
            ("broker", old.broker == new.broker),
            ("database", old.database == new.database),
            ("api", old.api == new.api),
            ("credentials", old.credentials == new.credentials),
            ("reconcile", old.reconcile == new.reconcile),
            (
                "queues.*.workers (for the number of connections that tenants' own accounts may have)",
                old.credentials.mode() == CredentialsMode::Shared || workers(old) == workers(new),
            ),
            ("tenants (between a list and the database)", old.tenants.is_some() == new.tenants.is_some()),
        ] {
            if !same {
                tracing::warn!(section, "a change of this section takes effect when the supervisor is started again");
            }
        }
        new.runtime = old.runtime.clone();
        new.broker.clone_from(&old.broker);
        new.database.clone_from(&old.database);
        new.api = old.api.clone();
        new.credentials = old.credentials.clone();
        new.reconcile.clone_from(&old.reconcile);
        if new.tenants.is_some() != old.tenants.is_some() {
            new.tenants.clone_from(&old.tenants);
        }
    }
}

/// Of one tenant.
fn workers(settings: &Settings) -> usize {
    settings.queues.values().map(|queue| usize::from(queue.workers)).sum()
}

/// The restart rules of a configuration.
pub(super) fn policy(settings: &Settings) -> RestartPolicy {
    let restart = &settings.restart;
    let processors = available_parallelism().map_or(1, usize::from);
    RestartPolicy {
        backoff_initial: restart.backoff_initial,
        backoff_max: restart.backoff_max,
        reset_after: restart.reset_after,
        max_restarts: restart.max_restarts,
        window: restart.window,
        fatal_retry: restart.fatal_retry,
        max_concurrent_starts: match restart.max_concurrent_starts {
            0 => 2 * processors,
            starts => starts,
        },
        ..RestartPolicy::default()
    }
}
