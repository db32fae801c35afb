//! The combined status, written piece by piece: with thousands of workers the whole text is megabytes, and a slow client
//! would keep them in memory for as long as it likes.
//!
//! The pieces together are one JSON form of [`etl_shared::api::FleetStatus`]; a test reads them back as that.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    process,
    sync::Arc,
    time::SystemTime,
};

use axum::body::Bytes;
use etl_shared::{
    TenantId,
    api::{PartStatus, SupervisorStatus, WorkerState},
};
use serde::Serialize;

use super::{
    chosen::Chosen,
    tell::{self, Now},
};
use crate::{clock::rfc3339, runtime::FleetView};

/// Bytes after which a piece is sent.
const PIECE: usize = 32 * 1024;
/// The last tenant of a piece goes beyond that.
const ROOM: usize = PIECE + 4 * 1024;

/// The rest of the document.
pub(super) struct Document {
    view: Arc<FleetView>,
    only: Option<TenantId>,
    chosen: Chosen,
    started_at: SystemTime,
    republished: u64,
    now: Now,
    written: Written,
    /// Tenants that are still written on this page.
    left: usize,
}

/// How far it is written.
#[derive(Clone, Copy)]
enum Written {
    Nothing,
    /// And no tenant yet; those up to this one stood on pages before.
    Beginning(Option<TenantId>),
    UpTo(TenantId),
    Everything,
}

#[derive(Serialize)]
struct Beginning {
    running: bool,
    states: BTreeMap<WorkerState, usize>,
    supervisor: SupervisorStatus,
}

impl Document {
    /// Everybody's, or one tenant's only; of them those that were chosen.
    pub(super) fn new(
        view: Arc<FleetView>,
        only: Option<TenantId>,
        chosen: Chosen,
        started_at: SystemTime,
        republished: u64,
    ) -> Self {
        let left = chosen.limit.unwrap_or(usize::MAX);
        Self { view, only, chosen, started_at, republished, now: Now::read(), written: Written::Nothing, left }
    }

    fn beginning(&self) -> Beginning {
        let workers = self.only.map_or(&*self.view.workers, |tenant| self.view.workers_of(tenant));
        let mut states = BTreeMap::new();
        // A tenant's workers stand together.
        for workers in workers.chunk_by(|one, other| one.name.tenant == other.name.tenant) {
            if self.chosen.matches(&self.view, workers[0].name.tenant) {
                for worker in workers {
                    *states.entry(worker.state).or_default() += 1;
                }
            }
        }
        let supervisor = SupervisorStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            started_at: rfc3339(self.started_at),
            keeper_pid: self.view.keeper_pid,
            republished_messages: self.republished,
            budget: self.only.is_none().then_some(self.view.budget),
            // Words that speak of this machine.
            walls: if self.only.is_none() { self.view.walls.to_vec() } else { Vec::new() },
            parts: self.view.parts.iter().map(|(name, part)| ((*name).to_owned(), self.visible(part))).collect(),
        };
        Beginning { running: states.contains_key(&WorkerState::Running), states, supervisor }
    }

    /// Behind the last tenant of this page, which is named where there are more.
    fn ending(&self, cut_after: Option<TenantId>) -> String {
        match (self.chosen.limit, cut_after) {
            (None, _) => "}}".to_owned(),
            (Some(_), None) => "},\"next_cursor\":null}".to_owned(),
            (Some(_), Some(last)) => format!("}},\"next_cursor\":{last}}}"),
        }
    }

    /// A tenant's user learns whether a part works; the words may speak of addresses and of other tenants.
    fn visible(&self, part: &PartStatus) -> PartStatus {
        match self.only {
            None => part.clone(),
            Some(_) => PartStatus { ok: part.ok, detail: String::new() },
        }
    }

    /// The next tenant of those that were chosen.
    fn tenant_after(&self, mut last: Option<TenantId>) -> Option<TenantId> {
        loop {
            let next = self.any_tenant_after(last)?;
            if self.chosen.matches(&self.view, next) {
                return Some(next);
            }
            last = Some(next);
        }
    }

    /// Every tenant that is wanted, and those that are gone but still have a worker to stop.
    fn any_tenant_after(&self, last: Option<TenantId>) -> Option<TenantId> {
        if let Some(only) = self.only {
            let known = self.view.tenants.contains_key(&only) || !self.view.workers_of(only).is_empty();
            return (last < Some(only) && known).then_some(only);
        }
        let wanted = match last {
            Some(last) => self.view.tenants.range((Excluded(last), Unbounded)).next(),
            None => self.view.tenants.first_key_value(),
        };
        let wanted = wanted.map(|(tenant, _)| *tenant);
        let at = self.view.workers.partition_point(|worker| Some(worker.name.tenant) <= last);
        let present = self.view.workers.get(at).map(|worker| worker.name.tenant);
        [wanted, present].into_iter().flatten().min()
    }
}

impl Iterator for Document {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = Vec::with_capacity(ROOM);
        while piece.len() < PIECE {
            let (last, comma) = match self.written {
                Written::Nothing => {
                    append(&mut piece, &self.beginning());
                    // The object stays open for the tenants.
                    piece.pop();
                    piece.extend_from_slice(b",\"tenants\":{");
                    self.written = Written::Beginning(self.chosen.cursor);
                    continue;
                }
                Written::Beginning(before) => (before, ""),
                Written::UpTo(last) => (Some(last), ","),
                Written::Everything => break,
            };
            match self.tenant_after(last) {
                Some(tenant) if self.left > 0 => {
                    piece.extend_from_slice(format!("{comma}\"{tenant}\":").as_bytes());
                    append(&mut piece, &tell::tenant(&self.view, tenant, &self.now, |_, process| process.sample));
                    self.written = Written::UpTo(tenant);
                    self.left -= 1;
                }
                more => {
                    piece.extend_from_slice(self.ending(last.filter(|_| more.is_some())).as_bytes());
                    self.written = Written::Everything;
                }
            }
        }
        (!piece.is_empty()).then(|| piece.into())
    }
}

fn append(piece: &mut Vec<u8>, value: &impl Serialize) {
    // Writing into memory cannot fail, and these types always have a JSON form.
    if let Err(error) = serde_json::to_writer(piece, value) {
        tracing::error!(%error, "status not written");
    }
}

#[cfg(test)]
mod tests {
    use etl_shared::api::FleetStatus;

    use super::*;
    use crate::api::tests::fleet::{synthetic, tenant};

    fn read(view: FleetView, only: Option<TenantId>) -> FleetStatus {
        page(&Arc::new(view), only, Chosen::default())
    }

    fn page(view: &Arc<FleetView>, only: Option<TenantId>, chosen: Chosen) -> FleetStatus {
        let text: Vec<u8> = Document::new(Arc::clone(view), only, chosen, SystemTime::now(), 0).flatten().collect();
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&text)))
    }

    #[test]
    fn the_pieces_together_are_a_fleet_status() {
        let status = read(synthetic(1000), None);
        assert_eq!(status.tenants.len(), 1000);
        assert_eq!(status.states.values().sum::<usize>(), 1000);
        assert!(status.running);
        assert_eq!(status.tenants[&tenant(1000)].workers[0].name.to_string(), "transform-1000-1");
        assert_eq!(status.supervisor.parts["broker"].detail, "connected");
        assert_eq!(status.supervisor.budget.unwrap().workers, 1000);
    }

    #[test]
    fn an_empty_fleet_is_a_status_too() {
        let status = read(synthetic(0), None);
        assert!(!status.running && status.tenants.is_empty() && status.states.is_empty());
    }

    #[test]
    fn a_tenant_that_is_gone_is_shown_while_it_has_a_worker() {
        let mut view = synthetic(3);
        view.tenants = Arc::new([(tenant(1), true), (tenant(4), false)].into());
        let status = read(view, None);
        let desired: Vec<_> = status.tenants.iter().map(|(id, one)| (id.get(), one.desired.as_str())).collect();
        assert_eq!(desired, [(1, "up"), (2, "down"), (3, "down"), (4, "down")]);
    }

    #[test]
    fn pages_together_are_everybody_once() {
        let view = Arc::new(synthetic(23));
        let (mut cursor, mut seen, mut sizes) = (None, Vec::new(), Vec::new());
        loop {
            let status = page(&view, None, Chosen { limit: Some(10), cursor, ..Chosen::default() });
            // Sums are over all that match, not only over the page.
            assert_eq!(status.states[&WorkerState::Running], 23);
            sizes.push(status.tenants.len());
            seen.extend(status.tenants.into_keys().map(TenantId::get));
            cursor = status.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((seen, sizes), ((1..=23).collect(), vec![10, 10, 3]));
    }

    #[test]
    fn what_matches_is_counted_and_shown_and_nothing_else() {
        let view = Arc::new(synthetic(30));
        let chosen = |limit| Chosen { search: Some("3".to_owned()), limit, ..Chosen::default() };
        let status = page(&view, None, chosen(Some(3)));
        assert_eq!(status.tenants.keys().map(|id| id.get()).collect::<Vec<_>>(), [3, 13, 23]);
        assert_eq!((status.states[&WorkerState::Running], status.next_cursor), (4, Some(tenant(23))));
        let nobody = page(&view, None, Chosen { states: vec![WorkerState::Fatal], ..Chosen::default() });
        assert!(nobody.tenants.is_empty() && nobody.states.is_empty() && !nobody.running);
        // Behind its own tenant a tenant's user finds nobody.
        let own = page(&view, Some(tenant(4)), Chosen { cursor: Some(tenant(4)), ..Chosen::default() });
        assert!(own.tenants.is_empty());
    }

    #[test]
    fn a_tenants_user_sees_nothing_of_the_others() {
        let status = read(synthetic(5), Some(tenant(4)));
        assert_eq!(status.tenants.keys().map(|id| id.get()).collect::<Vec<_>>(), [4]);
        assert_eq!(status.states.values().sum::<usize>(), 1);
        assert!(status.supervisor.parts["broker"].ok);
        assert_eq!(status.supervisor.parts["broker"].detail, "");
        assert!(status.supervisor.budget.is_none());
        assert!(read(synthetic(5), Some(tenant(6))).tenants.is_empty());
    }
}
