//! Who should have workers: pure functions of the tenants, the operators' switches and the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    time::SystemTime,
};

use etl_shared::{TenantId, WorkerName};
use serde::{Deserialize, Serialize};

use super::{
    handle::Selection,
    overrides::{Overrides, Rules},
};
use crate::lifecycle::Why;

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

/// Whether a worker should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It should.
    Up,
    /// It should not.
    Down(Why),
}

/// Every worker that there should be, with whether it should run.
pub(super) fn workers(
    tenants: &BTreeSet<TenantId>,
    switches: &Switches,
    rules: &Rules,
    overrides: &Overrides,
    now: SystemTime,
) -> BTreeMap<WorkerName, Wish> {
    let mut wanted = BTreeMap::new();
    for (queue_type, rules) in rules {
        for tenant in tenants {
            let holds = rules.with(overrides.of(*tenant, queue_type), now);
            let wish = match holds.paused_until {
                // What an operator has stopped stays stopped when the pause ends.
                _ if !switches.is_up(*tenant) => Wish::Down(Why::Operator),
                Some(until) => Wish::Down(Why::Paused { until }),
                None => Wish::Up,
            };
            for slot in (1..=holds.workers).filter_map(NonZeroU16::new) {
                wanted.insert(WorkerName { queue_type: queue_type.clone(), tenant: *tenant, slot }, wish);
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
    use std::time::Duration;

    use super::*;
    use crate::runtime::overrides::{Override, QueueRules, TenantOverrides};

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
        let mut switches = Switches::default();
        switches.set(Selection::Tenant(tenant(2)), false);
        let shown = shown(&switches, &Overrides::default());
        assert_eq!(shown, ["a-1-1 up", "a-1-2 up", "a-2-1 stopped", "a-2-2 stopped", "b-1-1 up", "b-2-1 stopped"]);
    }

    #[test]
    fn what_is_set_for_one_tenant_and_queue_type_changes_nobody_else() {
        let later = SystemTime::UNIX_EPOCH + Duration::from_mins(1);
        let queues = BTreeMap::from([
            ("a".parse().unwrap(), Override { workers: Some(3), ..Override::default() }),
            ("b".parse().unwrap(), Override { paused_until: Some(later), ..Override::default() }),
        ]);
        let set = TenantOverrides { queues, revision: 1, updated_at: later, updated_by: String::new() };
        let mut switches = Switches::default();
        let overrides = Overrides(BTreeMap::from([(tenant(2), set)]));
        let expected =
            ["a-1-1 up", "a-1-2 up", "a-2-1 up", "a-2-2 up", "a-2-3 up", "b-1-1 up", "b-2-1 paused for 60 s"];
        assert_eq!(shown(&switches, &overrides), expected);
        switches.set(Selection::Tenant(tenant(2)), false);
        assert_eq!(shown(&switches, &overrides)[6], "b-2-1 stopped", "stopped comes before paused");
    }

    /// Two tenants with two workers of type a and one of type b, at the beginning of time.
    fn shown(switches: &Switches, overrides: &Overrides) -> Vec<String> {
        let rules = |workers| QueueRules { workers, workers_max: 8, memory_soft: 1, memory_max: 1 };
        let rules = Rules::from([("a".parse().unwrap(), rules(2)), ("b".parse().unwrap(), rules(1))]);
        let wanted = workers(&tenants(1..=2), switches, &rules, overrides, SystemTime::UNIX_EPOCH);
        let word = |wish| match wish {
            Wish::Up => "up".to_owned(),
            Wish::Down(Why::Paused { until }) => {
                format!("paused for {} s", until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
            }
            Wish::Down(_) => "stopped".to_owned(),
        };
        wanted.into_iter().map(|(name, wish)| format!("{name} {}", word(wish))).collect()
    }
}
