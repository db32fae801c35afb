//! Who may do what: decided here and nowhere else.

use std::time::SystemTime;

use etl_shared::{TenantId, api::Role};

use super::{audit, problem::Refusal};

/// Whoever sent the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody whom the permissions of the unix socket let in.
    Machine {
        /// The user of the process at the other end, for the log.
        uid: u32,
    },
    /// The bearer of an API token. A role other than admin always comes with its tenant.
    Token {
        /// The token's id, for the log.
        id: String,
        /// What it allows.
        grant: Grant,
    },
    /// The bearer of a token of the platform.
    Jwt(Subject),
    /// Somebody who has logged in on the page.
    Session {
        /// The session's key in the store.
        key: String,
        /// Who has logged in: a token or a subject of the platform.
        who: Box<Caller>,
        /// When it ends.
        ends: SystemTime,
    },
}

/// Whom the platform vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// `sub`, fit for a log line.
    pub(super) name: String,
    /// The hash of `sub`: of two that are fitted to one name, each stays somebody else.
    pub(super) identity: String,
    /// What the token's claims come to.
    pub(super) grant: Grant,
    /// The key that it has vouched with, as [`Jwts`](super::jwt::Jwts) calls it.
    pub(super) key: String,
    /// Until when the platform vouches.
    pub(super) ends: SystemTime,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// Everything.
    Admin,
    /// Reads and controls this tenant.
    Operator(TenantId),
    /// Reads this tenant.
    Viewer(TenantId),
}

/// What a request wants to do. Every endpoint asks for exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// Start, stop and restart all workers.
    ControlEverybody,
    /// Start, stop and restart the workers of this tenant.
    ControlTenant(TenantId),
    /// Start, stop and restart the workers of the caller's tenant.
    ControlOwn,
    /// Read status and logs of this tenant; of the caller's own where none is named.
    ReadTenant(Option<TenantId>),
    /// Read the status of all tenants that the caller may see.
    ReadFleet,
    /// Read dead letters of this tenant; of all that the caller may see where none is named. A body may carry somebody's token, so it
    /// takes more than to read the status.
    ReadLetters(Option<TenantId>),
    /// Replay and discard dead letters of this tenant; of all that the caller may touch where none is named.
    SettleLetters(Option<TenantId>),
    /// Read the history of events of this tenant; of all that the caller may see where none is named.
    ReadEvents(Option<TenantId>),
    /// Read the queues of this tenant; of all that the caller may see where none is named.
    ReadQueues(Option<TenantId>),
    /// Read the settings of this tenant; of all that the caller may see where none is named.
    ReadSettings(Option<TenantId>),
    /// Change the settings of this tenant; of the caller's own where none is named. What of them only an admin may change is
    /// [`Permission::RaiseLimits`].
    ChangeSettings(Option<TenantId>),
    /// Change what a tenant's operator may ask for.
    RaiseLimits,
    /// Publish a job for this tenant; for the caller's own where none is named.
    PublishJob(Option<TenantId>),
    /// Read who has done what with this tenant; with all that the caller may see where none is named.
    ReadAudit(Option<TenantId>),
    /// Replace the secrets of this tenant's workers; of everybody's where none is named.
    RotateCredentials(Option<TenantId>),
    /// Read the metrics of the whole fleet, where they are not open to everybody.
    ReadMetrics,
    /// List, create and revoke tokens.
    ManageTokens,
    /// Read the list of tenants and confirm a refused one.
    ManageTenants,
}

/// How far a granted permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All tenants.
    Everybody,
    /// This one only.
    Tenant(TenantId),
}

impl Permission {
    /// The tenant that is named in it.
    const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::ControlTenant(tenant) => Some(tenant),
            Self::ReadTenant(tenant)
            | Self::ReadLetters(tenant)
            | Self::SettleLetters(tenant)
            | Self::ReadEvents(tenant)
            | Self::ReadQueues(tenant)
            | Self::ReadSettings(tenant)
            | Self::ChangeSettings(tenant)
            | Self::PublishJob(tenant)
            | Self::ReadAudit(tenant)
            | Self::RotateCredentials(tenant) => tenant,
            Self::ControlEverybody
            | Self::ControlOwn
            | Self::ReadFleet
            | Self::RaiseLimits
            | Self::ReadMetrics
            | Self::ManageTokens
            | Self::ManageTenants => None,
        }
    }
}

impl Grant {
    /// `None` where role and tenant do not go together; the token store refuses to make such a token.
    pub(super) const fn new(role: Role, tenant: Option<TenantId>) -> Option<Self> {
        match (role, tenant) {
            (Role::Admin, None) => Some(Self::Admin),
            (Role::Operator, Some(tenant)) => Some(Self::Operator(tenant)),
            (Role::Viewer, Some(tenant)) => Some(Self::Viewer(tenant)),
            _ => None,
        }
    }

    /// The role and the tenant that it is for.
    pub(super) const fn parts(self) -> (Role, Option<TenantId>) {
        match self {
            Self::Admin => (Role::Admin, None),
            Self::Operator(tenant) => (Role::Operator, Some(tenant)),
            Self::Viewer(tenant) => (Role::Viewer, Some(tenant)),
        }
    }
}

impl Caller {
    /// How log lines name the caller.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Machine { uid } => format!("uid {uid}"),
            Self::Token { id, .. } => format!("token {id}"),
            Self::Jwt(subject) => format!("jwt {}", subject.name),
            Self::Session { who, .. } => who.name(),
        }
    }

    /// What it may do.
    pub(super) fn grant(&self) -> Grant {
        match self {
            Self::Machine { .. } => Grant::Admin,
            Self::Token { grant, .. } => *grant,
            Self::Jwt(subject) => subject.grant,
            Self::Session { who, .. } => who.grant(),
        }
    }

    /// Whose it is; `None`: an admin.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        self.grant().parts().1
    }

    /// From when on it is nobody any more; `None`: that is not settled.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        match self {
            Self::Machine { .. } | Self::Token { .. } => None,
            Self::Jwt(subject) => Some(subject.ends),
            Self::Session { ends, .. } => Some(*ends),
        }
    }
}

/// The decision, which the audit log hears of. A tenant that is not the caller's is refused in the same words whether or not it exists.
pub(super) fn authorize(caller: &Caller, permission: Permission) -> Result<Scope, Refusal> {
    let decision = decide(caller.grant(), permission);
    match (permission.tenant(), &decision) {
        (Some(tenant), _) => audit::tenant(tenant),
        (None, Ok(Scope::Tenant(tenant))) => audit::tenant(*tenant),
        _ => {}
    }
    decision
}

fn decide(grant: Grant, permission: Permission) -> Result<Scope, Refusal> {
    use Permission::{
        ChangeSettings, ControlEverybody, ControlOwn, ControlTenant, ManageTenants, ManageTokens, PublishJob,
        RaiseLimits, ReadAudit, ReadEvents, ReadFleet, ReadLetters, ReadMetrics, ReadQueues, ReadSettings, ReadTenant,
        RotateCredentials, SettleLetters,
    };
    match (grant, permission) {
        (
            Grant::Admin,
            ControlEverybody
            | ReadFleet
            | ManageTokens
            | ManageTenants
            | RaiseLimits
            | ReadMetrics
            | ReadEvents(None)
            | ReadQueues(None)
            | ReadSettings(None)
            | ReadAudit(None)
            | ReadLetters(None)
            | SettleLetters(None)
            | RotateCredentials(None),
        ) => Ok(Scope::Everybody),
        (
            Grant::Admin,
            ControlTenant(tenant)
            | ReadTenant(Some(tenant))
            | ReadEvents(Some(tenant))
            | ReadQueues(Some(tenant))
            | ReadSettings(Some(tenant))
            | ChangeSettings(Some(tenant))
            | PublishJob(Some(tenant))
            | ReadAudit(Some(tenant))
            | ReadLetters(Some(tenant))
            | SettleLetters(Some(tenant))
            | RotateCredentials(Some(tenant)),
        ) => Ok(Scope::Tenant(tenant)),
        (Grant::Admin, ControlOwn) => Err(Refusal::bad_request(
            "no_own_tenant",
            "an admin has no tenant of its own: name one at /api/v1/admin/workers/tenant/control, or all of them at \
             /api/v1/admin/workers/control",
        )),
        (Grant::Admin, ReadTenant(None)) => {
            Err(Refusal::bad_request("tenant_required", "an admin has no tenant of its own: add ?tenant_id=NUMBER"))
        }
        (Grant::Admin, ChangeSettings(None) | PublishJob(None)) => Err(Refusal::bad_request(
            "tenant_required",
            "an admin has no tenant of its own: add \"tenant_id\": NUMBER to the body",
        )),
        (
            Grant::Operator(own) | Grant::Viewer(own),
            ControlTenant(other)
            | ReadTenant(Some(other))
            | ReadEvents(Some(other))
            | ReadQueues(Some(other))
            | ReadSettings(Some(other))
            | ChangeSettings(Some(other))
            | PublishJob(Some(other))
            | ReadAudit(Some(other))
            | ReadLetters(Some(other))
            | SettleLetters(Some(other))
            | RotateCredentials(Some(other)),
        ) if own != other => Err(Refusal::forbidden("foreign_tenant", "this token is for another tenant")),
        // From here on a tenant that is named is the caller's own.
        (
            Grant::Operator(own) | Grant::Viewer(own),
            ReadFleet | ReadTenant(_) | ReadEvents(_) | ReadQueues(_) | ReadSettings(_),
        )
        | (
            Grant::Operator(own),
            ControlTenant(_)
            | ControlOwn
            | ChangeSettings(_)
            | PublishJob(_)
            | ReadAudit(_)
            | ReadLetters(_)
            | SettleLetters(_)
            | RotateCredentials(Some(_)),
        ) => Ok(Scope::Tenant(own)),
        (
            Grant::Viewer(_),
            ControlTenant(_)
            | ControlOwn
            | ChangeSettings(_)
            | PublishJob(_)
            | ReadAudit(_)
            | ReadLetters(_)
            | SettleLetters(_)
            | RotateCredentials(Some(_)),
        ) => Err(Refusal::forbidden("role_too_low", "a viewer may only read: an operator's token is needed")),
        (
            Grant::Operator(_) | Grant::Viewer(_),
            ControlEverybody | ManageTokens | ManageTenants | RaiseLimits | ReadMetrics | RotateCredentials(None),
        ) => Err(Refusal::forbidden("role_too_low", "this needs an admin's token, or the unix socket on the machine")),
    }
}
