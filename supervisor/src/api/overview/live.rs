//! What is known of the workers beyond the view, and those who are told when a row changes.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Bytes;
use etl_shared::{TenantId, api::HistoryPoint};
use tokio::sync::{Notify, broadcast};

use crate::{
    history::{Looks, Points},
    runtime::FleetView,
};

/// Batches of rows that a client may be behind.
const BEHIND: usize = 8;
const HEAD: &str = "event: rows\ndata: [";
const TAIL: &str = "]\n\n";

/// Shared by all requests.
#[derive(Debug)]
pub(in crate::api) struct Live {
    seen: Mutex<Seen>,
    pub(super) rows: broadcast::Sender<Arc<Rows>>,
    /// Somebody wants rows.
    pub(super) wanted: Notify,
}

/// What was seen at the last looks.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) looks: Looks,
    pub(super) points: Points,
}

/// Rows that changed at once, written down once for all clients.
#[derive(Debug)]
pub(in crate::api) struct Rows {
    frame: Bytes,
    places: Vec<(TenantId, Range<usize>)>,
}

impl Default for Live {
    fn default() -> Self {
        Self { seen: Mutex::default(), rows: broadcast::Sender::new(BEHIND), wanted: Notify::new() }
    }
}

impl Live {
    /// Rows as they change from now on.
    pub(in crate::api) fn subscribe(&self) -> broadcast::Receiver<Arc<Rows>> {
        let rows = self.rows.subscribe();
        self.wanted.notify_one();
        rows
    }

    /// A tenant's points, the oldest first.
    pub(in crate::api) fn points(&self, tenant: TenantId) -> Vec<HistoryPoint> {
        self.seen().points.of(tenant)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        // Numbers that a panic leaves half noted are noted anew at the next look.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// What the view says of everybody.
    pub(super) fn take_in(&mut self, view: &FleetView) {
        for worker in view.workers.iter() {
            self.looks.note(worker, None);
        }
    }
}

impl Rows {
    /// Of rows in their JSON form.
    pub(super) fn new(rows: &[(TenantId, Vec<u8>)]) -> Self {
        let length = rows.iter().map(|(_, json)| json.len() + 1).sum::<usize>();
        let mut frame = Vec::with_capacity(HEAD.len() + length + TAIL.len());
        frame.extend_from_slice(HEAD.as_bytes());
        let mut places = Vec::with_capacity(rows.len());
        for (tenant, json) in rows {
            if !places.is_empty() {
                frame.push(b',');
            }
            let start = frame.len();
            frame.extend_from_slice(json);
            places.push((*tenant, start..frame.len()));
        }
        frame.extend_from_slice(TAIL.as_bytes());
        Self { frame: frame.into(), places }
    }

    /// As a message for somebody who may see everybody, or one tenant only; `None`: there is nothing to see.
    pub(in crate::api) fn of(&self, only: Option<TenantId>) -> Option<Bytes> {
        let Some(only) = only else { return Some(self.frame.clone()) };
        let (_, place) = self.places.iter().find(|(tenant, _)| *tenant == only)?;
        Some([HEAD.as_bytes(), &self.frame[place.clone()], TAIL.as_bytes()].concat().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fleet::tenant;

    #[test]
    fn a_tenants_user_is_told_its_own_row_only() {
        let rows = Rows::new(&[(tenant(1), b"{\"a\":1}".to_vec()), (tenant(2), b"{\"b\":2}".to_vec())]);
        assert_eq!(rows.of(None).unwrap(), "event: rows\ndata: [{\"a\":1},{\"b\":2}]\n\n");
        assert_eq!(rows.of(Some(tenant(2))).unwrap(), "event: rows\ndata: [{\"b\":2}]\n\n");
        assert_eq!(rows.of(Some(tenant(3))), None);
    }
}
