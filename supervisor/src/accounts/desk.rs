//! What is to be done for which tenant, and when: bookkeeping without any connection.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use etl_shared::TenantId;
use tokio::time::Instant;

use super::{
    AccountNews, AccountOrder, Unsettled,
    settle::{Job, Problem, Standing},
};

/// Delays between tries.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// The tenants that should have accounts; `None` as long as nobody knows, and then nothing is revoked.
pub type WantedTenants = Option<Arc<BTreeSet<TenantId>>>;

/// How many workers a tenant has, where that is not what the configuration says.
pub type Crews = Arc<BTreeMap<TenantId, u32>>;

#[derive(Debug, Default)]
struct Entry {
    orders: VecDeque<AccountOrder>,
    /// Somebody should look whether everything is as it should be.
    dirty: bool,
    /// A generation that could not be made is to go.
    abandon: bool,
    /// What is being done.
    running: Option<AccountOrder>,
    busy: bool,
    failures: u32,
    again_at: Option<Instant>,
    /// The last word about its accounts.
    said: Option<AccountNews>,
    /// A generation that was prepared since the supervisor has started.
    prepared: Option<u32>,
}

/// Everybody's affairs.
#[derive(Debug, Default)]
pub(super) struct Desk {
    wanted: WantedTenants,
    entries: BTreeMap<TenantId, Entry>,
}

impl Desk {
    /// What is wanted has changed.
    pub(super) fn want(&mut self, wanted: WantedTenants) {
        let none = BTreeSet::new();
        let before = self.wanted.as_deref().unwrap_or(&none);
        let now = wanted.as_deref().unwrap_or(&none);
        let known_first = self.wanted.is_none() && wanted.is_some();
        for tenant in before.symmetric_difference(now) {
            self.entries.entry(*tenant).or_default().dirty = true;
        }
        if known_first {
            // Whoever has accounts and is not listed loses them.
            self.entries.values_mut().for_each(|entry| entry.dirty = true);
        }
        self.wanted = wanted;
    }

    /// Somebody has another number of workers.
    pub(super) fn crews_changed(&mut self, before: &Crews, now: &Crews) {
        for tenant in before.keys().chain(now.keys()).filter(|tenant| before.get(tenant) != now.get(tenant)) {
            // Whoever has no accounts gets none for it.
            if let Some(entry) = self.entries.get_mut(tenant) {
                entry.dirty = true;
            }
        }
    }

    pub(super) fn order(&mut self, order: AccountOrder) {
        self.entries.entry(tenant_of(&order)).or_default().orders.push_back(order);
    }

    /// Everything is looked at again: a connection is new, or time has passed.
    pub(super) fn look_at_all(&mut self, recorded: impl Iterator<Item = TenantId>) {
        let wanted: Vec<TenantId> = self.wanted.iter().flat_map(|wanted| wanted.iter().copied()).collect();
        for tenant in recorded.chain(wanted) {
            self.entries.entry(tenant).or_default().dirty = true;
        }
    }

    /// Whatever was under way has ended with its connection.
    pub(super) fn interrupted(&mut self) {
        for entry in self.entries.values_mut().filter(|entry| entry.busy) {
            entry.busy = false;
            entry.dirty = true;
            if let Some(order) = entry.running.take() {
                entry.orders.push_front(order);
            }
        }
    }

    /// The tenants that have something to be done now, at most so many.
    pub(super) fn due(&self, now: Instant, most: usize) -> Vec<TenantId> {
        let due = |entry: &Entry| entry.is_open() && entry.again_at.is_none_or(|at| at <= now);
        self.entries.iter().filter(|(_, entry)| due(entry)).map(|(tenant, _)| *tenant).take(most).collect()
    }

    /// When the next of the others has.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter(|entry| entry.is_open()).filter_map(|entry| entry.again_at).min()
    }

    pub(super) fn has_order(&self, tenant: TenantId) -> bool {
        self.entries.get(&tenant).is_some_and(|entry| !entry.orders.is_empty() || entry.abandon)
    }

    pub(super) fn start(&mut self, tenant: TenantId) -> Job {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.contains(&tenant));
        let entry = self.entries.entry(tenant).or_default();
        entry.busy = true;
        entry.dirty = false;
        let order = entry.orders.pop_front();
        entry.running.clone_from(&order);
        Job { tenant, wanted, order, abandon: entry.abandon }
    }

    /// What there is to say about a job that was done or could not be done.
    pub(super) fn finish(&mut self, job: &Job, outcome: Result<Standing, Problem>, now: Instant) -> Vec<AccountNews> {
        let tenant = job.tenant;
        let entry = self.entries.entry(tenant).or_default();
        entry.busy = false;
        entry.running = None;
        match outcome {
            Ok(standing) => {
                entry.failures = 0;
                entry.again_at = None;
                entry.abandon &= !job.abandon && !matches!(job.order, Some(AccountOrder::Prepare { .. }));
                entry.done(job, standing)
            }
            Err(problem) => entry.failed(job, &problem, now),
        }
    }

    /// Accounts that are recorded as made can be used, whether or not somebody has looked at them since.
    pub(super) fn recorded(&mut self, tenant: TenantId, current: u32, next: Option<u32>) -> Option<AccountNews> {
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.contains(&tenant)) {
            return None;
        }
        let entry = self.entries.entry(tenant).or_default();
        // What was given up is not gone on with.
        entry.ready(tenant, current, next.filter(|_| !entry.abandon))
    }

    /// Nothing can be done for anybody. Orders wait, except for what somebody waits for.
    pub(super) fn unreachable(&mut self, why: &str) -> Vec<AccountNews> {
        let mut news = Vec::new();
        for (tenant, entry) in &mut self.entries {
            let prepare = |order: &AccountOrder| matches!(order, AccountOrder::Prepare { .. });
            for _ in entry.orders.iter().filter(|order| prepare(order)) {
                // It may have been begun before the connection broke.
                entry.abandon = true;
                news.push(AccountNews::Prepared { tenant: *tenant, outcome: Err(why.to_owned()) });
            }
            entry.orders.retain(|order| !prepare(order));
            let wanted = self.wanted.as_ref().is_some_and(|wanted| wanted.contains(tenant));
            if wanted && entry.said.is_none() {
                news.extend(entry.missing(*tenant, why));
            }
        }
        news
    }
}

impl Entry {
    fn is_open(&self) -> bool {
        !self.busy && (self.dirty || self.abandon || !self.orders.is_empty())
    }

    fn done(&mut self, job: &Job, standing: Standing) -> Vec<AccountNews> {
        let tenant = job.tenant;
        let mut news = Vec::new();
        let none = || "the tenant has no accounts".to_owned();
        match &job.order {
            Some(AccountOrder::Prepare { .. }) => {
                self.prepared = standing.next;
                news.push(AccountNews::Prepared { tenant, outcome: standing.next.ok_or_else(none) });
            }
            Some(AccountOrder::Adopt { .. } | AccountOrder::Discard { .. }) => {
                self.prepared = None;
                news.push(AccountNews::Settled {
                    tenant,
                    outcome: standing.current.ok_or_else(|| Unsettled::Ever(none())),
                });
            }
            Some(AccountOrder::Repair { .. }) => self.said = None,
            None => {}
        }
        match standing.current {
            Some(current) => {
                let next = standing.next.filter(|next| self.prepared != Some(*next));
                news.extend(self.ready(tenant, current, next));
            }
            None if job.wanted == Some(false) && standing.recorded => {
                let word = AccountNews::Revoked { tenant };
                if self.said.as_ref() != Some(&word) {
                    self.said = Some(word.clone());
                    news.push(word);
                }
            }
            None => {}
        }
        news
    }

    fn failed(&mut self, job: &Job, problem: &Problem, now: Instant) -> Vec<AccountNews> {
        let (tenant, why) = (job.tenant, problem.text());
        self.failures = self.failures.saturating_add(1);
        let delay = AGAIN.0.saturating_mul(1 << self.failures.min(10).saturating_sub(1)).min(AGAIN.1);
        self.again_at = Some(now + delay);
        self.dirty = true;
        match &job.order {
            Some(AccountOrder::Prepare { .. }) => {
                self.abandon = true;
                return vec![AccountNews::Prepared { tenant, outcome: Err(why.to_owned()) }];
            }
            Some(order @ (AccountOrder::Adopt { .. } | AccountOrder::Discard { .. })) => {
                let reason = match problem {
                    Problem::Never(why) => {
                        self.prepared = None;
                        Unsettled::Ever(why.clone())
                    }
                    Problem::Later(why) => {
                        self.orders.push_front(order.clone());
                        if self.failures > 1 {
                            return Vec::new();
                        }
                        Unsettled::Yet(why.clone())
                    }
                };
                return vec![AccountNews::Settled { tenant, outcome: Err(reason) }];
            }
            Some(order @ AccountOrder::Repair { .. }) => {
                self.orders.push_front(order.clone());
                self.said = None;
            }
            None => {}
        }
        // What was ready a moment ago is not gone because somebody does not answer.
        let was_ready = matches!(self.said, Some(AccountNews::Ready { .. }));
        if job.wanted == Some(true) && !was_ready {
            self.missing(tenant, why).into_iter().collect()
        } else {
            Vec::new()
        }
    }

    fn ready(&mut self, tenant: TenantId, generation: u32, next: Option<u32>) -> Option<AccountNews> {
        let word = AccountNews::Ready { tenant, generation, next };
        (self.said.as_ref() != Some(&word)).then(|| {
            self.said = Some(word.clone());
            word
        })
    }

    fn missing(&mut self, tenant: TenantId, why: &str) -> Option<AccountNews> {
        let word = AccountNews::Missing { tenant, why: why.to_owned() };
        (self.said.as_ref() != Some(&word)).then(|| {
            self.said = Some(word.clone());
            word
        })
    }
}

fn tenant_of(order: &AccountOrder) -> TenantId {
    match order {
        AccountOrder::Prepare { tenant }
        | AccountOrder::Adopt { tenant, .. }
        | AccountOrder::Discard { tenant, .. }
        | AccountOrder::Repair { tenant } => *tenant,
    }
}

#[cfg(test)]
mod tests;
