//! What people set for single tenants: taken up as it changes, and pauses that end by themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use etl_shared::{TenantId, WorkerName};
use tokio::time::Instant;

use super::Control;
use crate::{
    lifecycle::Crew,
    runtime::{
        overrides::{Effective, Overrides, Rules},
        recorder::Note,
    },
};

/// The wall clock may be set meanwhile, so nothing is waited for any longer without a look at it.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What the loop remembers of it.
#[derive(Debug, Default)]
pub(super) struct SettingsOfTenants {
    /// What the configuration says.
    pub(super) rules: Arc<Rules>,
    /// When the next pause ends.
    resume_at: Option<SystemTime>,
}

/// More or fewer workers, and what kept it from being what was asked for.
type Scaled = (&'static str, &'static str);

/// What a change of settings asks for beyond a comparison of what should be with what is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// Another number of workers, each with what is counted of it.
    crews: BTreeMap<Crew, Scaled>,
    /// Another soft limit of memory.
    memory: bool,
}

impl Control {
    /// At the start, and when the configuration was read again.
    pub(super) fn take_up_settings(&mut self) {
        let rules: Rules =
            self.parts.settings.queues.iter().map(|(name, queue)| (name.clone(), queue.into())).collect();
        self.settings_of_tenants.rules = Arc::new(rules);
        self.settings_of_tenants.resume_at = self.parts.overrides.next_resume(SystemTime::now());
        self.parts.board.set_rules(Arc::clone(&self.settings_of_tenants.rules));
        self.parts.board.set_overrides(Arc::new(self.parts.overrides.clone()));
    }

    /// The table was read.
    pub(super) fn overrides_read(&mut self, overrides: Overrides) {
        if self.parts.overrides == overrides {
            return;
        }
        let old = std::mem::replace(&mut self.parts.overrides, overrides);
        let new = &self.parts.overrides;
        let difference = difference(&self.settings_of_tenants.rules, &old, new);
        for (direction, clamp) in difference.crews.values() {
            self.parts.board.tally().scaled(direction, clamp);
        }
        let changed = changed(&old, new);
        for tenant in &changed {
            let by = new.0.get(tenant).map(|set| set.updated_by.as_str());
            tracing::info!(tenant = tenant.get(), by, "its settings changed");
        }
        // Nobody waits for it: if it is lost, a start without database will use an older state.
        let _ = self.parts.notes.send(Note::Overrides(new.clone()));
        self.take_up_settings();
        // A slot in which somebody stands in may be one of the wanted ones from now on, or must not become one.
        self.abandon_reliefs(|crew| difference.crews.contains_key(crew));
        if difference.memory {
            self.ask_for_room_again();
        }
        self.reconcile();
    }

    /// What holds for a worker's kind.
    pub(super) fn holds_for(&self, worker: &WorkerName) -> Option<Effective> {
        self.parts.overrides.effective(&self.settings_of_tenants.rules, worker, SystemTime::now())
    }

    /// When a pause ends.
    pub(super) fn resume_due(&self) -> Option<Instant> {
        let wait = self.settings_of_tenants.resume_at?.duration_since(SystemTime::now()).unwrap_or_default();
        // Rounded up to the timer's own step.
        Some(Instant::now() + wait.min(LONGEST_WAIT) + Duration::from_millis(1))
    }

    /// Those whose pause is over go on.
    pub(super) fn end_pauses(&mut self) {
        let now = SystemTime::now();
        if self.settings_of_tenants.resume_at.is_none_or(|at| now < at) {
            return;
        }
        self.settings_of_tenants.resume_at = self.parts.overrides.next_resume(now);
        tracing::info!("a pause is over");
        self.reconcile();
    }
}

/// For whom something is set that was not before, or no longer.
fn changed(old: &Overrides, new: &Overrides) -> Vec<TenantId> {
    let tenants: BTreeSet<TenantId> = old.0.keys().chain(new.0.keys()).copied().collect();
    tenants.into_iter().filter(|tenant| old.0.get(tenant) != new.0.get(tenant)).collect()
}

fn difference(rules: &Rules, old: &Overrides, new: &Overrides) -> Difference {
    let mut difference = Difference::default();
    let now = SystemTime::UNIX_EPOCH;
    for tenant in changed(old, new) {
        for (queue_type, rules) in rules {
            let holds = |overrides: &Overrides| rules.with(overrides.of(tenant, queue_type), now);
            let (before, after) = (holds(old), holds(new));
            if before.workers != after.workers {
                let direction = if after.workers > before.workers { "up" } else { "down" };
                let asked = new.of(tenant, queue_type).and_then(|set| set.workers);
                let clamp = if asked.is_some_and(|asked| asked > after.workers) { "limit" } else { "none" };
                difference.crews.insert(Crew { queue_type: queue_type.clone(), tenant }, (direction, clamp));
            }
            difference.memory |= before.memory_soft != after.memory_soft;
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::overrides::{Override, QueueRules, TenantOverrides};

    fn set(tenants: &[(i64, Override)]) -> Overrides {
        let of = |(id, set): &(i64, Override)| {
            let queues = BTreeMap::from([("transform".parse().unwrap(), set.clone())]);
            let at = SystemTime::UNIX_EPOCH;
            let set = TenantOverrides { queues, revision: 1, updated_at: at, updated_by: String::new() };
            (TenantId::try_from(*id).unwrap(), set)
        };
        Overrides(tenants.iter().map(of).collect())
    }

    #[test]
    fn only_the_crews_with_another_number_of_workers_and_only_another_memory_limit_count() {
        let rules = QueueRules { workers: 2, workers_max: 8, memory_soft: 100 << 20, memory_max: 200 << 20 };
        let rules = Rules::from([("transform".parse().unwrap(), rules)]);
        let workers = |workers| Override { workers: Some(workers), ..Override::default() };
        let memory = |bytes: u64| Override { memory_soft: Some(bytes << 20), ..Override::default() };
        let crew = |id| Crew { queue_type: "transform".parse().unwrap(), tenant: TenantId::try_from(id).unwrap() };

        let before = set(&[(1, workers(3)), (2, workers(2)), (4, memory(50))]);
        let after = set(&[(1, workers(400)), (3, workers(1)), (4, memory(50))]);
        let found = difference(&rules, &before, &after);
        assert_eq!(
            found,
            Difference {
                crews: BTreeMap::from([(crew(1), ("up", "limit")), (crew(3), ("down", "none"))]),
                memory: false
            }
        );
        assert_eq!(changed(&before, &after).len(), 3, "the second has lost its row, which changed no number");

        let found = difference(&rules, &set(&[(1, memory(100))]), &set(&[(1, memory(150))]));
        assert_eq!(found, Difference { crews: BTreeMap::new(), memory: true });
    }
}
