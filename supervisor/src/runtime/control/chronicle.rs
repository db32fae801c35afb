//! What the loop has to tell the journal besides the changes of workers: orders, tenants, parts.

use std::collections::BTreeSet;

use etl_shared::{TenantId, api::EventKind};

use super::{Control, Going};
use crate::{
    history::Happening,
    runtime::{
        handle::{Asked, Selection},
        news::Recorded,
    },
};

/// Of a list that changes, so many tenants have events of their own; the event that counts them is about all.
const TENANTS_TOLD: usize = 200;

impl Control {
    /// An order is about to be carried out. What is refused right away is no event: whoever asked is told.
    pub(super) fn ordered(&self, order: &Recorded, asked: &Asked) {
        let (selection, words) = match order {
            _ if self.going != Going::On => return,
            Recorded::Start(selection, _) => (*selection, "ordered to start".to_owned()),
            Recorded::Stop(selection, _) => (*selection, "ordered to stop".to_owned()),
            Recorded::Restart(selection, _) => (*selection, "ordered to restart".to_owned()),
            Recorded::Rotate(..) if self.parts.accounts.is_none() => return,
            Recorded::Rotate(Selection::Tenant(tenant), _) if !self.tenants.iter().flatten().any(|t| t == tenant) => {
                return;
            }
            Recorded::Rotate(selection, _) => (*selection, "new secrets are ordered".to_owned()),
            Recorded::ConfirmTenants(_) if self.refused.is_none() => return,
            Recorded::ConfirmTenants(_) => (Selection::All, "the refused list of tenants is confirmed".to_owned()),
            // A detail of a replay, which the letter itself remembers.
            Recorded::Forgive { .. } => return,
        };
        let tenant = match selection {
            Selection::All => None,
            Selection::Tenant(tenant) => Some(tenant),
        };
        self.parts.journal.record(Happening {
            tenant,
            by: Some(asked.by.clone()),
            correlation_id: asked.correlation_id.clone(),
            ..Happening::new(EventKind::Order, words)
        });
    }

    /// A part that has worked in this life works no longer, or works again. That every part has to begin is no event.
    pub(super) fn part_changed(&mut self, part: &'static str, ok: bool, detail: &str) {
        let before = if ok { self.worked.insert(part, true) } else { self.worked.get_mut(part).map(std::mem::take) };
        if before.is_some_and(|before| before != ok) {
            let words = if ok { "works again" } else { "does not work" };
            self.parts.journal.record(Happening::new(EventKind::Part, format!("{part} {words}: {detail}")));
        }
    }

    /// To be told before they are the tenants. A restart of the supervisor changes nothing that it remembers.
    pub(super) fn tenants_changed(&self, tenants: &BTreeSet<TenantId>, source: &str) {
        let before = self.tenants.as_ref().unwrap_or(&self.parts.last_tenants);
        let added: Vec<_> = tenants.difference(before).copied().collect();
        let removed: Vec<_> = before.difference(tenants).copied().collect();
        if added.is_empty() && removed.is_empty() {
            return;
        }
        let (more, fewer, all) = (added.len(), removed.len(), tenants.len());
        let words = format!("{more} tenants added, {fewer} removed: {all} now, from the {source}");
        self.parts.journal.record(Happening::new(EventKind::Tenants, words));
        let added = added.into_iter().map(|tenant| (tenant, "added"));
        let removed = removed.into_iter().map(|tenant| (tenant, "removed"));
        for (tenant, word) in added.chain(removed).take(TENANTS_TOLD) {
            let words = format!("tenant {tenant} {word}");
            let event = Happening { tenant: Some(tenant), ..Happening::new(EventKind::Tenants, words) };
            self.parts.journal.record(event);
        }
    }

    /// A tenant that was removed had a worker to stop until now. Whoever shows tenants has kept it for that long.
    pub(super) fn gone_for_good(&self, tenant: TenantId) {
        let words = format!("the last worker of tenant {tenant} is gone");
        self.parts.journal.record(Happening { tenant: Some(tenant), ..Happening::new(EventKind::Tenants, words) });
    }
}
