//! What can be said of a message once its raw row is locked: is it the row that the message means, and is there work left?

use etl_shared::TenantId;

use super::{
    admission::Assignment,
    fate::{DeadLetter, Done, Fate, Reason, Wait},
    registry,
};

/// A raw row without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Its key.
    pub id: i64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which integration it came from.
    pub integration: i64,
    /// Its data type or an alias.
    pub kind: String,
    /// Where it stands.
    pub status: RowStatus,
    /// Bytes that its document takes where it is stored, which is compressed.
    pub stored_bytes: u64,
}

/// Where a raw row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowStatus {
    /// Never done: pending, or failed before and now tried again.
    Open,
    /// Done.
    Completed,
}

/// Where a raw row was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is the tenant's own.
    Own(RawRow),
    /// A row with this id exists and belongs to another tenant.
    Foreign,
    /// There is no such row.
    Nothing,
}

/// Judges the row that a message names; `Ok` means that its document is to be transformed.
pub fn inspect(work: &Assignment, found: &Found) -> Result<(), Fate> {
    let dead = |reason, detail: &str, touch: bool| {
        let fails = touch.then(|| work.row());
        Err(Fate::DeadLetter(DeadLetter { reason, detail: detail.to_owned(), fails }))
    };
    let row = match found {
        Found::Nothing => {
            return Err(Fate::Retry(
                Wait::RawRowMissing,
                "the raw row that the message names does not exist".to_owned(),
            ));
        }
        Found::Foreign => {
            return dead(Reason::ForeignRow, "the raw row that the message names belongs to another tenant", false);
        }
        Found::Own(row) => row,
    };
    if row.integration != work.scope.integration {
        return dead(Reason::IntegrationMismatch, "the raw row belongs to another integration than the message", true);
    }
    if registry::find(&row.kind) != Some(work.data_type) {
        return dead(Reason::TypeMismatch, "message and raw row name different data types", true);
    }
    match row.status {
        RowStatus::Completed => Err(Fate::Ack(Done::AlreadyCompleted)),
        RowStatus::Open => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Scope;

    fn work() -> Assignment {
        let scope = Scope { tenant: 7.try_into().unwrap(), integration: 2 };
        Assignment { scope, raw_data_id: 5, data_type: registry::find("jira_custom_fields").unwrap() }
    }

    fn row() -> RawRow {
        RawRow {
            id: 5,
            tenant: 7.try_into().unwrap(),
            integration: 2,
            kind: "jira_custom_fields".to_owned(),
            status: RowStatus::Open,
            stored_bytes: 10,
        }
    }

    fn word(found: &Found) -> &'static str {
        match inspect(&work(), found) {
            Ok(()) => "transform",
            Err(Fate::Ack(done)) => done.as_str(),
            Err(Fate::Retry(wait, _)) => wait.as_str(),
            Err(Fate::DeadLetter(letter)) => {
                assert_eq!(letter.fails.is_some(), letter.reason != Reason::ForeignRow, "{letter:?}");
                letter.reason.as_str()
            }
        }
    }

    #[test]
    fn the_row_is_judged_in_the_order_existence_tenant_integration_type_status() {
        assert_eq!(word(&Found::Nothing), "raw_row_missing");
        assert_eq!(word(&Found::Foreign), "foreign_row");
        assert_eq!(word(&Found::Own(row())), "transform");
        let completed = RawRow { status: RowStatus::Completed, ..row() };
        assert_eq!(word(&Found::Own(completed.clone())), "already_completed");
        let other_type = RawRow { kind: "github_prs".to_owned(), ..completed };
        assert_eq!(word(&Found::Own(other_type.clone())), "type_mismatch");
        let other_integration = RawRow { integration: 3, ..other_type };
        assert_eq!(word(&Found::Own(other_integration)), "integration_mismatch");
    }
}
