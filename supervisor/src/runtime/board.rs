//! Keeps the published view in step with the fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use arc_swap::ArcSwap;
use etl_shared::{
    QueueType, TenantId, WorkerName,
    api::{BudgetStatus, PartStatus, TenantCredentials, TenantList, Wall},
};

use super::{
    overrides::{Overrides, Rules},
    reason::reason,
    view::{ExitView, FleetView, ProcessView, QueueSample, Sample, WorkerView},
};
use crate::{
    clock::BootTime,
    history::Tally,
    lifecycle::{Slot, Wanted},
};

/// A process that may be looked at.
#[derive(Debug)]
pub(super) struct ToSample {
    /// Whose.
    pub(super) name: WorkerName,
    /// Which.
    pub(super) incarnation: u64,
    /// Its pid.
    pub(super) pid: i32,
}

type Key = (TenantId, QueueType, u16);

/// What is shown of the fleet, and whether it has been published.
#[derive(Debug)]
pub(super) struct Board {
    published: Arc<ArcSwap<FleetView>>,
    workers: BTreeMap<Key, Arc<WorkerView>>,
    /// What is said of a worker whatever it does.
    /// How many of them have a process.
    processes: usize,
    /// Of those, whose process nobody has looked at yet.
    unseen: BTreeSet<Key>,
    remarks: BTreeMap<Key, String>,
    tenants: Arc<BTreeMap<TenantId, bool>>,
    queues: Arc<BTreeMap<String, QueueSample>>,
    parts: BTreeMap<&'static str, PartStatus>,
    keeper_pid: Option<i32>,
    walls: Arc<[Wall]>,
    accounts: Option<Arc<BTreeMap<TenantId, TenantCredentials>>>,
    names: Arc<BTreeMap<TenantId, String>>,
    overrides: Arc<Overrides>,
    rules: Arc<Rules>,
    tenant_list: Arc<TenantList>,
    budget: BudgetStatus,
    tally: Tally,
    settled: bool,
    dirty: bool,
    version: u64,
}

impl Board {
    /// Empty, and published as such.
    pub(super) fn new() -> Self {
        let tenant_list = Arc::new(TenantList { tenants: Vec::new(), source: "none yet".to_owned(), refused: None });
        let tally = Tally::default();
        let empty = FleetView {
            workers: Arc::new([]),
            tenants: Arc::default(),
            queues: Arc::default(),
            parts: BTreeMap::new(),
            keeper_pid: None,
            walls: Arc::default(),
            accounts: None,
            names: Arc::default(),
            overrides: Arc::default(),
            rules: Arc::default(),
            tenant_list: tenant_list.clone(),
            budget: BudgetStatus::default(),
            tally: tally.clone(),
            settled: false,
            last_event_id: 0,
            turned_at: BootTime::now(),
            version: 0,
        };
        Self {
            published: Arc::new(ArcSwap::from_pointee(empty)),
            workers: BTreeMap::new(),
            processes: 0,
            unseen: BTreeSet::new(),
            remarks: BTreeMap::new(),
            tenants: Arc::default(),
            queues: Arc::default(),
            parts: BTreeMap::new(),
            keeper_pid: None,
            walls: Arc::default(),
            accounts: None,
            names: Arc::default(),
            overrides: Arc::default(),
            rules: Arc::default(),
            tenant_list,
            budget: BudgetStatus::default(),
            tally,
            settled: false,
            dirty: false,
            version: 0,
        }
    }

    /// Where readers find the view.
    pub(super) fn published(&self) -> Arc<ArcSwap<FleetView>> {
        self.published.clone()
    }

    /// Where things are counted.
    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Something has changed since the view was published.
    pub(super) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Readers shall see something else.
    fn changed(&mut self) {
        self.dirty = true;
        self.version += 1;
    }

    /// Shows a worker as it stands now, perhaps standing in for another one.
    pub(super) fn show(&mut self, name: &WorkerName, slot: &Slot, stands_in_for: Option<&WorkerName>) {
        let key = key(name);
        let sample_of = |pid| {
            let shown = self.workers.get(&key)?.process?;
            (shown.pid == pid).then_some(shown.sample).flatten()
        };
        let process =
            slot.state().process().map(|(_, pid, started_at)| ProcessView { pid, started_at, sample: sample_of(pid) });
        let last_exit = slot.tally().next_back().map(|death| ExitView {
            verdict: death.verdict.clone(),
            at: death.at,
            detail: death.detail.clone(),
        });
        let view = WorkerView {
            name: name.clone(),
            state: slot.state().shown(),
            reason: match (stands_in_for, self.remarks.get(&key)) {
                (Some(other), _) if slot.wanted() == Wanted::Up => format!("stands in while {other} is replaced"),
                (_, Some(remark)) => format!("{}; {remark}", reason(slot)),
                (_, None) => reason(slot),
            },
            process,
            incarnation: slot.incarnation(),
            restarts: slot.restarts(),
            last_exit,
        };
        self.put(key, Some(view));
        self.changed();
    }

    /// Puts a worker in its place, or takes it away, and keeps count of processes: they are asked for every second.
    fn put(&mut self, key: Key, view: Option<WorkerView>) {
        let process = view.as_ref().and_then(|view| view.process);
        if process.is_some_and(|process| process.sample.is_none()) {
            self.unseen.insert(key.clone());
        } else {
            self.unseen.remove(&key);
        }
        let before = match view {
            Some(view) => self.workers.insert(key, Arc::new(view)),
            None => self.workers.remove(&key),
        };
        self.processes += usize::from(process.is_some());
        self.processes -= usize::from(before.is_some_and(|before| before.process.is_some()));
    }

    /// Says something of a worker from now on, until something else is said; returns whether that is new.
    pub(super) fn remark(&mut self, name: &WorkerName, remark: Option<String>) -> bool {
        match remark {
            Some(remark) => self.remarks.insert(key(name), remark.clone()).as_ref() != Some(&remark),
            None => self.remarks.remove(&key(name)).is_some(),
        }
    }

    /// The last process of a worker that is shown.
    pub(super) fn incarnation_of(&self, name: &WorkerName) -> Option<u64> {
        self.workers.get(&key(name)).map(|shown| shown.incarnation)
    }

    /// Shows a worker no longer.
    pub(super) fn remove(&mut self, name: &WorkerName) {
        self.put(key(name), None);
        self.remarks.remove(&key(name));
        self.changed();
    }

    /// Adds what a process was seen to use.
    pub(super) fn sampled(&mut self, name: &WorkerName, pid: i32, sample: Sample) {
        let key = key(name);
        if let Some(view) = self.workers.get_mut(&key)
            && view.process.is_some_and(|process| process.pid == pid)
        {
            let view = Arc::make_mut(view);
            let before = view.process.and_then(|process| process.sample);
            view.process = view.process.map(|process| ProcessView { sample: Some(sample), ..process });
            self.unseen.remove(&key);
            if before.is_some_and(|before| Sample { at: sample.at, ..before } == sample) {
                self.dirty = true;
            } else {
                self.changed();
            }
        }
    }

    /// How many workers have a process.
    pub(super) const fn processes(&self) -> usize {
        self.processes
    }

    /// The next processes to look at: `due` of them behind the one that was looked at last, going round, and at most `unseen`
    /// that nobody has looked at yet.
    pub(super) fn to_sample(&self, last: Option<&WorkerName>, due: usize, unseen: usize) -> Vec<ToSample> {
        let from = last.map_or(Bound::Unbounded, |last| Bound::Excluded(key(last)));
        let behind = self.workers.range((from, Bound::Unbounded));
        let before = last.into_iter().flat_map(|last| self.workers.range(..=key(last)));
        let round = behind.chain(before).map(|(_, worker)| worker).filter(|worker| worker.process.is_some()).take(due);
        let new = self.unseen.iter().filter_map(|key| self.workers.get(key));
        let chosen = new.take(unseen).chain(round);
        chosen
            .filter_map(|worker| {
                let (name, incarnation) = (worker.name.clone(), worker.incarnation);
                Some(ToSample { name, incarnation, pid: worker.process?.pid })
            })
            .collect()
    }

    /// Shows the tenants, each with whether it is switched on.
    pub(super) fn set_tenants(&mut self, tenants: BTreeMap<TenantId, bool>, list: TenantList) {
        if *self.tenants != tenants || *self.tenant_list != list {
            self.tenants = Arc::new(tenants);
            self.tenant_list = Arc::new(list);
            self.changed();
        }
    }

    /// Shows what people call the tenants.
    pub(super) fn set_names(&mut self, names: BTreeMap<TenantId, String>) {
        if *self.names != names {
            self.names = Arc::new(names);
            self.changed();
        }
    }

    /// Shows what people have set for single tenants.
    pub(super) fn set_overrides(&mut self, overrides: Arc<Overrides>) {
        self.overrides = overrides;
        self.dirty = true;
    }

    /// Shows what the configuration says of queue types.
    pub(super) fn set_rules(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
        self.dirty = true;
    }

    /// Shows what all workers together take.
    pub(super) fn set_budget(&mut self, budget: BudgetStatus) {
        if self.budget != budget {
            self.budget = budget;
            self.changed();
        }
    }

    /// The first reading of the tenants has been acted on.
    pub(super) fn set_settled(&mut self) {
        self.settled = true;
        self.changed();
    }

    /// Every tenant has accounts of its own; none of them is known yet.
    pub(super) fn show_accounts(&mut self) {
        self.accounts = Some(Arc::default());
    }

    /// Shows a tenant's accounts, or no longer.
    pub(super) fn set_account(&mut self, tenant: TenantId, account: Option<&TenantCredentials>) {
        let accounts = Arc::make_mut(self.accounts.get_or_insert_default());
        let before = match account {
            Some(account) => accounts.insert(tenant, account.clone()),
            None => accounts.remove(&tenant),
        };
        if before.as_ref() != account {
            self.changed();
        }
    }

    /// Shows depths.
    pub(super) fn set_queues(&mut self, queues: BTreeMap<String, QueueSample>) {
        let same = |(name, sample): (&String, &QueueSample)| {
            self.queues.get(name).is_some_and(|before| QueueSample { at: sample.at, ..*before } == *sample)
        };
        if self.queues.len() == queues.len() && queues.iter().all(same) {
            self.dirty = true;
        } else {
            self.changed();
        }
        self.queues = Arc::new(queues);
    }

    /// Shows the condition of a part; returns whether it was usable before.
    pub(super) fn set_part(&mut self, part: &'static str, ok: bool, detail: String) -> bool {
        let now = PartStatus { ok, detail };
        let before = self.parts.insert(part, now.clone());
        if before.as_ref() != Some(&now) {
            self.changed();
        }
        before.is_some_and(|before| before.ok)
    }

    /// Shows the keeper.
    pub(super) fn set_keeper(&mut self, pid: Option<i32>, detail: String) {
        if self.keeper_pid != pid {
            self.changed();
        }
        self.keeper_pid = pid;
        self.set_part("keeper", pid.is_some(), detail);
    }

    /// Shows what keeps workers apart. While no keeper answers, what the last one said is still true of its workers.
    pub(super) fn set_walls(&mut self, walls: Vec<Wall>) {
        for wall in walls.iter().filter(|wall| !wall.up && !self.walls.contains(wall)) {
            tracing::warn!(wall = wall.name, why = wall.detail, "a wall between workers is down");
        }
        if *self.walls != *walls {
            self.walls = walls.into();
            self.changed();
        }
    }

    /// Whether this wall stands; not where nobody has said so.
    pub(super) fn wall_is_up(&self, name: &str) -> bool {
        self.walls.iter().any(|wall| wall.name == name && wall.up)
    }

    /// Lets readers see it, and that it shows everything up to this event.
    pub(super) fn publish(&mut self, last_event_id: u64) {
        self.published.store(Arc::new(FleetView {
            workers: self.workers.values().cloned().collect::<Vec<_>>().into(),
            tenants: self.tenants.clone(),
            queues: self.queues.clone(),
            parts: self.parts.clone(),
            keeper_pid: self.keeper_pid,
            walls: self.walls.clone(),
            accounts: self.accounts.clone(),
            names: self.names.clone(),
            overrides: self.overrides.clone(),
            rules: self.rules.clone(),
            tenant_list: self.tenant_list.clone(),
            budget: self.budget,
            tally: self.tally.clone(),
            settled: self.settled,
            last_event_id,
            turned_at: BootTime::now(),
            version: self.version,
        }));
        self.dirty = false;
    }
}

fn key(name: &WorkerName) -> Key {
    (name.tenant, name.queue_type.clone(), name.slot.get())
}
