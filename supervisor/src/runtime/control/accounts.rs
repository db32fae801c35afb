//! Each tenant's own accounts, as far as the control loop has to do with them: which workers wait for theirs, which
//! generation a process is handed, who should have accounts, and what is asked for when a login was refused.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use etl_shared::{TenantId, Verdict, WorkerName, api::TenantCredentials, credentials::Credentials, exit_code};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Control, tenants::LAST_KNOWN};
use crate::{
    accounts::{AccountNews, AccountOrder, Addresses, Crews, Rotation, WantedTenants},
    lifecycle::{Dependency, Event, Purpose, Slot, State},
};

/// A tenant's accounts are not set up again more often than this, however often a login is refused.
pub(super) const REPAIR_EVERY: Duration = Duration::from_secs(10);
/// Nor more often than this for exits that may have quite another reason, so that those do not become a loop.
pub(super) const MEND_CONFIGURATION_EVERY: Duration = Duration::from_mins(15);

/// What the loop is given where tenants have accounts of their own.
pub(in crate::runtime) struct AccountParts {
    /// Where their workers connect to.
    pub addresses: Addresses,
    /// Asks for something about them.
    pub orders: mpsc::UnboundedSender<AccountOrder>,
    /// Who should have some.
    pub wanted: watch::Sender<WantedTenants>,
    /// Who has a number of workers of their own.
    pub crews: watch::Sender<Crews>,
}

/// What the loop knows of them.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) of: BTreeMap<TenantId, Account>,
    /// The generation that a process was handed, and which process that was.
    handed: HashMap<WorkerName, (u64, u32)>,
    /// Which rotations have to be looked at.
    pub(super) touched: BTreeSet<TenantId>,
    /// The number of the rotation that was asked for last.
    pub(super) rotations: u64,
    /// The keeper has said which processes there are.
    pub(super) processes_are_known: bool,
}

/// One tenant's.
#[derive(Default)]
pub(super) struct Account {
    /// The generation in force, even while nobody knows whether it still works.
    pub(super) generation: Option<u32>,
    /// Why its workers cannot start; `None`: they can.
    missing: Option<String>,
    pub(super) rotation: Option<(u64, Rotation)>,
    repaired_at: Option<Instant>,
    pub(super) repairing: bool,
    pub(super) last_rotation: Option<etl_shared::api::LastRotation>,
}

impl Control {
    /// Why a worker of this tenant cannot start for want of accounts.
    pub(super) fn accounts_missing(&self, tenant: TenantId) -> Option<String> {
        self.parts.accounts.as_ref()?;
        match self.accounts.of.get(&tenant) {
            Some(Account { generation: Some(_), missing: None, .. }) => None,
            // Why is for whoever runs the supervisor, and a tenant sees what its workers wait for.
            _ => Some("waits until its accounts are there".to_owned()),
        }
    }

    /// Why there are none, for whoever runs the supervisor.
    pub(super) fn why_missing(&self, tenant: TenantId) -> Option<String> {
        let waits = self.accounts_missing(tenant)?;
        let why = self.accounts.of.get(&tenant).and_then(|account| account.missing.as_ref());
        Some(why.map_or_else(|| waits.clone(), |why| format!("{waits}: {why}")))
    }

    /// What a new process is handed; `Ok(None)` where workers have their addresses from elsewhere.
    pub(super) fn credentials_for(
        &mut self,
        worker: &WorkerName,
        incarnation: u64,
    ) -> Result<Option<Credentials>, &'static str> {
        let Some(parts) = &self.parts.accounts else { return Ok(self.parts.handover.clone()) };
        let account = self.accounts.of.get(&worker.tenant);
        let current = account.and_then(|account| account.generation).ok_or("its accounts are not known")?;
        let purpose = self.reliefs.purpose_of(worker);
        let rotation = account.and_then(|account| account.rotation.as_ref());
        let generation = rotation.map_or(current, |(_, rotation)| rotation.generation_for(purpose));
        let prove = matches!(purpose, Some(Purpose::Generation(_)));
        let credentials = parts.addresses.credentials(worker.tenant, generation, prove);
        self.accounts.handed.insert(worker.clone(), (incarnation, generation));
        Ok(Some(credentials))
    }

    /// The generation of a process's secrets, where this life of the supervisor has handed them over.
    pub(super) fn generation_of(&self, worker: &WorkerName, slot: &Slot) -> Option<u32> {
        let (incarnation, generation) = self.accounts.handed.get(worker)?;
        (slot.state().incarnation() == Some(*incarnation)).then_some(*generation)
    }

    /// Something about this worker is different.
    pub(super) fn account_touched(&mut self, worker: &WorkerName, is_gone: bool) {
        if self.parts.accounts.is_none() {
            return;
        }
        if is_gone {
            self.accounts.handed.remove(worker);
            self.want_accounts();
        }
        if self.accounts.of.get(&worker.tenant).is_some_and(|account| account.rotation.is_some()) {
            self.accounts.touched.insert(worker.tenant);
        }
    }

    /// Every listed tenant should have accounts, and whoever still has a worker: it leaves before they are taken away.
    pub(super) fn want_accounts(&mut self) {
        let Some(parts) = &self.parts.accounts else { return };
        let crews: Crews = Arc::new(self.parts.overrides.crews(&self.settings_of_tenants.rules));
        parts.crews.send_if_modified(|current| {
            let modified = *current != crews;
            *current = crews;
            modified
        });
        // The list of an earlier life may be too old to take anybody's accounts away.
        let listed = self.tenants.as_ref().filter(|_| self.tenants_source != LAST_KNOWN);
        let wanted = listed.map(|listed| {
            let with_workers = self.fleet.slots().filter(|(_, slot)| slot.has_process_or_expects_one());
            Arc::new(listed.iter().copied().chain(with_workers.map(|(worker, _)| worker.tenant)).collect())
        });
        parts.wanted.send_if_modified(|current| {
            let modified = *current != wanted;
            *current = wanted;
            modified
        });
    }

    /// A process left because broker or database refuse its login, or, with exit code 78, perhaps what it needs there.
    pub(super) fn refused(&mut self, worker: &WorkerName, at_most_every: Duration) {
        let Some(parts) = &self.parts.accounts else { return };
        let tenant = worker.tenant;
        let Some(account) = self.accounts.of.get_mut(&tenant) else { return };
        // In a rotation it is known what was tried, and that it may fail.
        if account.rotation.is_some() || account.repaired_at.is_some_and(|at| at.elapsed() < at_most_every) {
            return;
        }
        tracing::warn!(%worker, tenant = tenant.get(), "it was refused: its accounts are set up again");
        account.repaired_at = Some(Instant::now());
        account.repairing = true;
        let _ = parts.orders.send(AccountOrder::Repair { tenant });
    }

    /// News of those who look after the accounts.
    pub(super) fn accounts_changed(&mut self, news: AccountNews) {
        match news {
            AccountNews::Ready { tenant, generation, next } => self.accounts_ready(tenant, generation, next),
            AccountNews::Missing { tenant, why } => {
                tracing::warn!(tenant = tenant.get(), why, "no accounts");
                self.accounts.of.entry(tenant).or_default().missing = Some(why);
                self.provision_changed(tenant);
            }
            AccountNews::Prepared { tenant, outcome } => self.rotation_prepared(tenant, outcome),
            AccountNews::Settled { tenant, outcome } => self.rotation_settled(tenant, &outcome),
            AccountNews::Revoked { tenant } => {
                tracing::info!(tenant = tenant.get(), "accounts revoked, and their connections closed");
                self.rotation_revoked(tenant);
                self.accounts.of.remove(&tenant);
                self.parts.board.set_account(tenant, None);
                self.provision_changed(tenant);
            }
        }
    }

    fn accounts_ready(&mut self, tenant: TenantId, generation: u32, next: Option<u32>) {
        let account = self.accounts.of.entry(tenant).or_default();
        account.missing = None;
        let repaired = std::mem::take(&mut account.repairing);
        if account.rotation.is_none() {
            account.generation = Some(generation);
            if let Some(next) = next {
                self.resume_rotation(tenant, generation, next);
            }
        }
        self.provision_changed(tenant);
        if repaired {
            self.try_refused_again(tenant);
        }
    }

    /// Those that left because of their login need not wait for their turn.
    fn try_refused_again(&mut self, tenant: TenantId) {
        let waits = |slot: &Slot| {
            let refused = slot.tally().next_back().map(|death| &death.verdict);
            match slot.state() {
                State::Waiting { on: Dependency::Named, .. } => true,
                State::Fatal { .. } => refused == Some(&Verdict::Exit(exit_code::CONFIGURATION)),
                _ => false,
            }
        };
        let workers = self.workers_of(tenant).into_iter();
        let waiting: Vec<_> = workers.filter(|worker| self.fleet.slot(worker).is_some_and(waits)).collect();
        for worker in waiting {
            self.happened(Event::Revive { worker });
        }
    }

    /// Tells the tenant's workers whether they may start, and everybody how its accounts stand.
    pub(super) fn provision_changed(&mut self, tenant: TenantId) {
        for worker in self.workers_of(tenant) {
            self.check_what_is_missing(&worker);
        }
        self.show_account(tenant);
    }

    pub(super) fn workers_of(&self, tenant: TenantId) -> Vec<WorkerName> {
        self.fleet.workers_of(tenant).map(|(worker, _)| worker.clone()).collect()
    }

    pub(super) fn show_account(&mut self, tenant: TenantId) {
        let Some(account) = self.accounts.of.get(&tenant) else { return };
        let state = match (&account.rotation, &account.missing) {
            (Some((_, rotation)), _) => rotation.word(),
            (None, Some(_)) => "missing",
            (None, None) => "ready",
        };
        let shown = TenantCredentials {
            generation: account.generation,
            state: state.to_owned(),
            detail: account.missing.clone(),
            last_rotation: account.last_rotation.clone(),
        };
        self.parts.board.set_account(tenant, Some(&shown));
    }
}
