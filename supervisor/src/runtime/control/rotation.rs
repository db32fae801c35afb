//! Rotations: carries out what [`crate::accounts::Rotation`] decides.

use etl_shared::{
    TenantId,
    api::{LastRotation, RotationAccepted},
};

use super::{Control, Going};
use crate::{
    accounts::{AccountOrder, Act, Rotation, Seen, Unsettled},
    clock::{BootTime, rfc3339},
    lifecycle::{Crew, Event, Outcome, Purpose, StopCause, Wanted},
    runtime::handle::{ControlError, Selection},
};

impl Control {
    /// Somebody asks for new secrets.
    pub(super) fn rotate(&mut self, selection: Selection) -> Result<RotationAccepted, ControlError> {
        if self.going != Going::On {
            return Err(ControlError::Stopping);
        }
        if self.parts.accounts.is_none() {
            return Err(ControlError::SharedCredentials);
        }
        let listed = self.tenants.iter().flatten();
        let tenants: Vec<TenantId> = match selection {
            Selection::All => listed.copied().collect(),
            Selection::Tenant(tenant) => listed.filter(|listed| **listed == tenant).copied().collect(),
        };
        if let (Selection::Tenant(tenant), []) = (selection, tenants.as_slice()) {
            return Err(ControlError::UnknownTenant(tenant));
        }
        self.accounts.rotations += 1;
        let number = self.accounts.rotations;
        for tenant in &tenants {
            self.begin_rotation(*tenant, number);
        }
        let watch = "/api/v1/admin/credentials".to_owned();
        Ok(RotationAccepted { accepted: true, rotation: number, tenants, watch })
    }

    fn begin_rotation(&mut self, tenant: TenantId, number: u64) {
        let missing = self.why_missing(tenant);
        let account = self.accounts.of.entry(tenant).or_default();
        match (&mut account.rotation, account.generation, missing) {
            // Whoever asks in the middle of one waits for its end.
            (Some((asked, _)), ..) => *asked = number,
            (None, Some(current), None) => {
                let (rotation, first) = Rotation::begin(tenant, current);
                account.rotation = Some((number, rotation));
                tracing::info!(
                    tenant = tenant.get(),
                    rotation = number,
                    generation = current,
                    "rotation of its secrets begins"
                );
                self.carry_on(tenant, vec![first]);
            }
            (None, _, missing) => {
                let why = missing.unwrap_or_else(|| "its accounts are not there".to_owned());
                account.rotation = None;
                self.rotation_is_over(tenant, number, Err(why));
            }
        }
    }

    /// An earlier life of the supervisor has prepared the next generation.
    pub(super) fn resume_rotation(&mut self, tenant: TenantId, current: u32, next: u32) {
        self.accounts.rotations += 1;
        let number = self.accounts.rotations;
        tracing::info!(tenant = tenant.get(), rotation = number, generation = next, "rotation of its secrets goes on");
        let rotation = Rotation::resume(tenant, current, next);
        self.accounts.of.entry(tenant).or_default().rotation = Some((number, rotation));
        self.accounts.touched.insert(tenant);
    }

    pub(super) fn rotation_prepared(&mut self, tenant: TenantId, outcome: Result<u32, String>) {
        self.tell_rotation(tenant, |rotation| rotation.prepared(outcome));
    }

    pub(super) fn rotation_settled(&mut self, tenant: TenantId, outcome: &Result<u32, Unsettled>) {
        if let Err(Unsettled::Yet(why)) = outcome {
            tracing::warn!(tenant = tenant.get(), why, "its accounts could not be put in order; it is tried again");
        }
        self.tell_rotation(tenant, |rotation| rotation.settled(outcome));
    }

    pub(super) fn rotation_revoked(&mut self, tenant: TenantId) {
        if let Some((number, _)) = self.accounts.of.get_mut(&tenant).and_then(|account| account.rotation.take()) {
            self.rotation_is_over(tenant, number, Err("its accounts were revoked".to_owned()));
        }
    }

    /// A relief that may have been part of a rotation is over.
    pub(super) fn rotation_relieved(&mut self, outcome: &Outcome) {
        if matches!(outcome.purpose, Purpose::Generation(_)) {
            self.tell_rotation(outcome.crew.tenant, |rotation| {
                rotation.relieved(outcome.purpose, &outcome.ending);
                Vec::new()
            });
        }
    }

    fn tell_rotation(&mut self, tenant: TenantId, tell: impl FnOnce(&mut Rotation) -> Vec<Act>) {
        let Some((_, rotation)) = self.accounts.of.get_mut(&tenant).and_then(|account| account.rotation.as_mut())
        else {
            return;
        };
        let acts = tell(rotation);
        self.accounts.touched.insert(tenant);
        self.carry_on(tenant, acts);
    }

    /// Looks at the rotations of those about whom something is different.
    pub(super) fn advance_rotations(&mut self) {
        // Whoever does not know which processes there are cannot know that none has the old secrets.
        if self.accounts.touched.is_empty()
            || !self.accounts.processes_are_known
            || self.tenants.is_none()
            || self.going != Going::On
        {
            return;
        }
        for tenant in std::mem::take(&mut self.accounts.touched) {
            let busy = self.fleet.workers_of(tenant).any(|(worker, _)| self.reliefs.concerns(&Crew::of(worker)));
            let processes = self.seen(tenant);
            let Some((_, rotation)) = self.accounts.of.get_mut(&tenant).and_then(|account| account.rotation.as_mut())
            else {
                continue;
            };
            let acts = rotation.look(&processes, busy);
            self.carry_on(tenant, acts);
        }
    }

    fn seen(&self, tenant: TenantId) -> Vec<Seen> {
        let mut seen = Vec::new();
        for worker in self.workers_of(tenant) {
            let Some(slot) = self.fleet.slot(&worker).filter(|slot| slot.has_process_or_expects_one()) else {
                continue;
            };
            let (generation, up) = (self.generation_of(&worker, slot), slot.wanted() == Wanted::Up);
            seen.push(Seen { worker, generation, up });
        }
        seen
    }

    fn carry_on(&mut self, tenant: TenantId, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Order(order) => {
                    // Those that leave meanwhile, because theirs are gone, are tried again when there are some.
                    if matches!(order, AccountOrder::Repair { .. }) {
                        self.accounts.of.entry(tenant).or_default().repairing = true;
                    }
                    if let Some(parts) = &self.parts.accounts {
                        let _ = parts.orders.send(order);
                    }
                }
                Act::Relieve(workers, generation) => {
                    self.ask_relief(workers, StopCause::Recycle, Purpose::Generation(generation));
                }
                Act::Replace(workers) => {
                    for worker in workers {
                        self.happened(Event::Replace { worker, cause: StopCause::Recycle });
                    }
                }
                Act::Over(outcome) => {
                    let account = self.accounts.of.entry(tenant).or_default();
                    let number = account.rotation.take().map_or(0, |(number, _)| number);
                    self.rotation_is_over(tenant, number, outcome);
                }
            }
        }
        self.show_account(tenant);
    }

    fn rotation_is_over(&mut self, tenant: TenantId, rotation: u64, outcome: Result<u32, String>) {
        let account = self.accounts.of.entry(tenant).or_default();
        match &outcome {
            Ok(generation) => {
                tracing::info!(tenant = tenant.get(), rotation, generation, "secrets rotated");
                account.generation = Some(*generation);
            }
            Err(why) => {
                tracing::warn!(tenant = tenant.get(), rotation, why, "secrets not rotated; the old ones stay in force");
            }
        }
        let at = rfc3339(BootTime::now().on_wall_clock());
        account.last_rotation = Some(LastRotation { rotation, ok: outcome.is_ok(), at, detail: outcome.err() });
        self.show_account(tenant);
    }
}
