//! Who should have workers: pure functions of the tenants, the operators' switches and the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
};

use etl_shared::{QueueType, TenantId, WorkerName};
use serde::{Deserialize, Serialize};

use super::handle::Selection;

/// What operators have switched on and off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Switches {
    /// For every tenant that is not an exception, those that appear later included.
    default_up: bool,
    /// Tenants for which the opposite holds.
    exceptions: BTreeSet<TenantId>,
}

impl Default for Switches {
    fn default() -> Self {
        Self { default_up: true, exceptions: BTreeSet::new() }
    }
}

impl Switches {
    /// Whether this tenant's workers should run.
    pub(super) fn is_up(&self, tenant: TenantId) -> bool {
        self.default_up != self.exceptions.contains(&tenant)
    }

    /// Switches one tenant, or everybody.
    pub(super) fn set(&mut self, selection: Selection, up: bool) {
        match selection {
            Selection::All => *self = Self { default_up: up, exceptions: BTreeSet::new() },
            Selection::Tenant(tenant) if up == self.default_up => {
                self.exceptions.remove(&tenant);
            }
            Selection::Tenant(tenant) => {
                self.exceptions.insert(tenant);
            }
        }
    }
}

/// Every worker that there should be, with whether it should run.
pub(super) fn workers(
    tenants: &BTreeSet<TenantId>,
    switches: &Switches,
    slots: &BTreeMap<QueueType, u16>,
) -> BTreeMap<WorkerName, bool> {
    let mut wanted = BTreeMap::new();
    for (queue_type, count) in slots {
        for slot in (1..=*count).filter_map(NonZeroU16::new) {
            for tenant in tenants {
                let worker = WorkerName { queue_type: queue_type.clone(), tenant: *tenant, slot };
                wanted.insert(worker, switches.is_up(*tenant));
            }
        }
    }
    wanted
}

/// Whether a new list of tenants may be believed. One from which more than half of the known tenants are missing is more
/// likely a broken source than a good day's clean-up.
pub(super) fn is_believable(known: &BTreeSet<TenantId>, new: &BTreeSet<TenantId>) -> bool {
    known.difference(new).count() * 2 <= known.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(ids: impl IntoIterator<Item = i64>) -> BTreeSet<TenantId> {
        ids.into_iter().map(|id| TenantId::try_from(id).unwrap()).collect()
    }

    fn tenant(id: i64) -> TenantId {
        TenantId::try_from(id).unwrap()
    }

    #[test]
    fn stopping_everybody_also_holds_for_tenants_that_appear_later() {
        let mut switches = Switches::default();
        switches.set(Selection::All, false);
        assert!(!switches.is_up(tenant(99)));
        switches.set(Selection::Tenant(tenant(7)), true);
        assert!(switches.is_up(tenant(7)) && !switches.is_up(tenant(8)));
        switches.set(Selection::Tenant(tenant(7)), false);
        assert!(!switches.is_up(tenant(7)));
    }

    #[test]
    fn starting_everybody_forgets_the_exceptions() {
        let mut switches = Switches::default();
        switches.set(Selection::Tenant(tenant(7)), false);
        assert!(!switches.is_up(tenant(7)));
        switches.set(Selection::All, true);
        assert!(switches.is_up(tenant(7)));
    }

    #[test]
    fn a_list_from_which_more_than_half_is_missing_is_not_believed() {
        assert!(is_believable(&tenants(1..=4), &tenants(1..=2)));
        assert!(!is_believable(&tenants(1..=4), &tenants(1..=1)));
        assert!(!is_believable(&tenants(1..=1), &tenants([])));
        assert!(!is_believable(&tenants(1..=4), &tenants(5..=9)));
        assert!(is_believable(&tenants([]), &tenants(1..=3)));
        assert!(is_believable(&tenants([]), &tenants([])));
    }

    #[test]
    fn every_tenant_has_its_slots_of_every_queue_type() {
        let slots = BTreeMap::from([("a".parse().unwrap(), 2), ("b".parse().unwrap(), 1)]);
        let mut switches = Switches::default();
        switches.set(Selection::Tenant(tenant(2)), false);
        let wanted = workers(&tenants(1..=2), &switches, &slots);
        let shown: Vec<String> = wanted.iter().map(|(name, up)| format!("{name}={up}")).collect();
        assert_eq!(shown, ["a-1-1=true", "a-1-2=true", "a-2-1=false", "a-2-2=false", "b-1-1=true", "b-2-1=false"]);
    }
}
