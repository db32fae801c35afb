//! Which workers there should be, and the difference to those there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use etl_shared::{QueueName, TenantId, WorkerName};

use super::Control;
use crate::{
    lifecycle::{Event, Timing, Wanted, Why},
    runtime::{
        overrides::Rules,
        recorder::Note,
        roster::{Wish, is_believable, workers},
    },
    settings::{Queue, Readiness},
};

/// The source of a list that an earlier life has left.
pub(super) const LAST_KNOWN: &str = "last known";

impl Control {
    /// The tenant query returned something.
    pub(super) fn tenants_read(&mut self, tenants: BTreeSet<TenantId>) {
        let known = self.tenants.clone().unwrap_or_else(|| self.tenants_of_the_last_life());
        if !is_believable(&known, &tenants) {
            if self.refused.as_ref() != Some(&tenants) {
                tracing::warn!(
                    known = known.len(),
                    read = tenants.len(),
                    "more than half of the tenants are missing from the list just read: nobody is stopped; \
                     `etl-supervisor tenants confirm` accepts it"
                );
            }
            self.fall_back_on_last_tenants();
            self.refused = Some(tenants);
            let detail =
                "a list was refused because more than half of the tenants were missing; see `etl-supervisor tenants`";
            self.part_changed("tenants", false, detail);
            self.parts.board.set_part("tenants", false, detail.to_owned());
            self.show_tenants();
            return;
        }
        let changed = self.tenants.as_ref() != Some(&tenants);
        if changed || self.refused.is_some() || self.tenants_source != "database" {
            self.accept_tenants(tenants, "database");
        }
    }

    /// Before anything was believed in this life, the measure is what was believed in the last one and what still runs of it.
    fn tenants_of_the_last_life(&self) -> BTreeSet<TenantId> {
        let running = self.fleet.slots().filter(|(_, slot)| slot.state().process().is_some());
        running.map(|(worker, _)| worker.tenant).chain(self.parts.last_tenants.iter().copied()).collect()
    }

    /// Nobody can say which tenants there are: those of the last life go on.
    pub(super) fn fall_back_on_last_tenants(&mut self) {
        if self.tenants.is_none() && !self.parts.last_tenants.is_empty() {
            tracing::warn!(tenants = self.parts.last_tenants.len(), "using the last known tenants");
            let last = self.parts.last_tenants.clone();
            self.accept_tenants(last, LAST_KNOWN);
        }
    }

    /// Those in the configuration, once it is known what is set for them, or that nobody can tell.
    pub(super) fn accept_listed_tenants(&mut self) {
        if self.tenants.is_none()
            && let Some(listed) = &self.parts.settings.tenants
        {
            self.accept_tenants(listed.0.clone(), "configuration");
        }
    }

    /// These are the tenants.
    pub(super) fn accept_tenants(&mut self, tenants: BTreeSet<TenantId>, source: &'static str) {
        tracing::info!(tenants = tenants.len(), source, "tenants");
        self.refused = None;
        self.tenants_source = source;
        let detail = match tenants.len() {
            0 => "there are none yet; workers start as they appear".to_owned(),
            1 => format!("1, from the {source}"),
            n => format!("{n}, from the {source}"),
        };
        self.part_changed("tenants", true, &detail);
        self.parts.board.set_part("tenants", true, detail);
        if source == "database" {
            // Nobody waits for it: if it is lost, an older list serves.
            let _ = self.parts.notes.send(Note::Tenants(tenants.clone()));
        }
        self.tenants_changed(&tenants, source);
        self.tenants = Some(tenants);
        self.reconcile();
        self.parts.board.set_settled();
    }

    /// Compares what should be with what is, by level: whatever was missed before is caught up here.
    pub(super) fn reconcile(&mut self) {
        let Some(tenants) = &self.tenants else { return };
        if self.going != super::Going::On {
            return;
        }
        let rules = &self.settings_of_tenants.rules;
        let wanted = workers(tenants, &self.parts.switches, rules, &self.parts.overrides, SystemTime::now());
        if self.parts.settings.broker.is_some() {
            let queues = queues(tenants, rules);
            self.ready_queues.retain(|queue| queues.contains(queue));
            let queues = Arc::new(queues);
            self.parts.wanted_queues.send_if_modified(|current| {
                let modified = **current != *queues;
                *current = queues;
                modified
            });
        }
        self.ask_for_room(&wanted);
        // A stand-in is on nobody's list: whoever wants it removes it.
        let is_gone = |name: &&WorkerName| !wanted.contains_key(*name) && !self.reliefs.wants(name);
        let gone: Vec<WorkerName> = self.fleet.slots().map(|(name, _)| name).filter(is_gone).cloned().collect();
        for worker in gone {
            self.happened(Event::Remove { worker, why: Why::NotListed });
        }
        for (worker, wish) in wanted {
            let now = self.fleet.slot(&worker).map(crate::lifecycle::Slot::wanted);
            match (wish, now) {
                (Wish::Up, Some(Wanted::Up | Wanted::Resting)) => {}
                (Wish::Down(why), Some(Wanted::Down(known))) if why == known => {}
                (Wish::Up, _) => {
                    let Some(queue) = self.parts.settings.queues.get(&worker.queue_type) else { continue };
                    let timing = timing(queue);
                    let blocked = self.missing_for(&worker);
                    self.happened(Event::Want { worker: worker.clone(), timing, blocked });
                }
                (Wish::Down(why), _) => self.happened(Event::Unwant { worker: worker.clone(), why }),
            }
            // A worker that is new and stopped, or stopped for another reason, has changed nothing, but has to be seen.
            if matches!(now, None | Some(Wanted::Down(_)))
                && let Some(slot) = self.fleet.slot(&worker)
            {
                self.parts.board.show(&worker, slot, None);
            }
        }
        self.want_accounts();
        self.show_tenants();
    }

    pub(super) fn show_tenants(&mut self) {
        let switches = &self.parts.switches;
        let tenants: BTreeMap<TenantId, bool> =
            self.tenants.iter().flatten().map(|tenant| (*tenant, switches.is_up(*tenant))).collect();
        let list = self.tenant_list();
        self.parts.board.set_tenants(tenants, list);
    }
}

/// Every tenant has all its queues, however many workers it has: messages come whether or not anybody serves them.
fn queues(tenants: &BTreeSet<TenantId>, rules: &Rules) -> BTreeSet<String> {
    let of = |tenant: &TenantId| {
        let tenant = *tenant;
        rules.keys().map(move |queue_type| QueueName::Tenant { queue_type: queue_type.clone(), tenant }.to_string())
    };
    tenants.iter().flat_map(of).collect()
}

/// How long a worker of this kind may take for what.
pub(super) fn timing(queue: &Queue) -> Timing {
    Timing { start_timeout: queue.start_timeout, grace: queue.grace, ready_on_exec: queue.ready == Readiness::Exec }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::overrides::QueueRules;

    #[test]
    fn a_tenant_without_workers_keeps_its_queues() {
        let rules = QueueRules { workers: 0, workers_max: 8, memory_soft: 100, memory_max: 200 };
        let rules = Rules::from(["transform", "other"].map(|queue_type| (queue_type.parse().unwrap(), rules)));
        let tenants = BTreeSet::from([TenantId::try_from(7).unwrap()]);
        assert_eq!(
            queues(&tenants, &rules),
            BTreeSet::from(["other_queue_tenant_7".to_owned(), "transform_queue_tenant_7".to_owned()])
        );
    }
}
