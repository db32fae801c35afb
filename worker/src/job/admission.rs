//! What can be said of a message before its raw row is read.
//!
//! The order of the checks is part of the contract: fields, the queue's tenant, completion, type.

use etl_shared::{TenantId, TransformMessage};

use super::{
    fate::{DeadLetter, Reason, RowRef},
    registry::{self, DataType},
    rows::Scope,
};

/// The first judgement on a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// It asks for work.
    Work(Assignment),
    /// It says that an extraction is complete and asks for nothing.
    Completion,
    /// It cannot be served; the tenant that it names, where it names one properly.
    Refused(DeadLetter, Option<TenantId>),
}

/// The work that a message asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    /// For whom.
    pub scope: Scope,
    /// The raw row.
    pub raw_data_id: i64,
    /// The data type that the message names, aliases resolved.
    pub data_type: &'static DataType,
}

impl Assignment {
    /// The raw row of its tenant.
    pub const fn row(&self) -> RowRef {
        RowRef { tenant: self.scope.tenant, raw_data_id: self.raw_data_id }
    }
}

/// Reads a body and judges it. `queue_tenant` is the only tenant that the queue serves, `None` where it serves all.
pub fn admit(body: &[u8], queue_tenant: Option<TenantId>) -> Admission {
    let served = |tenant: TenantId| queue_tenant.is_none_or(|only| only == tenant);
    let message = match TransformMessage::decode(body) {
        Ok(message) => message,
        Err(malformed) => {
            let certain = malformed.tenant_id.filter(|tenant| served(*tenant)).zip(malformed.raw_data_id);
            let letter = DeadLetter {
                reason: Reason::MalformedMessage,
                detail: malformed.detail,
                fails: certain.map(|(tenant, raw_data_id)| RowRef { tenant, raw_data_id }),
            };
            return Admission::Refused(letter, malformed.tenant_id);
        }
    };
    if !served(message.tenant_id) {
        let letter = DeadLetter {
            reason: Reason::WrongTenant,
            detail: format!("the message names tenant {}, which this queue does not serve", message.tenant_id),
            fails: None,
        };
        return Admission::Refused(letter, Some(message.tenant_id));
    }
    let Some(raw_data_id) = message.raw_data_id else {
        return Admission::Completion;
    };
    let Some(data_type) = registry::find(&message.kind) else {
        let letter = DeadLetter {
            reason: Reason::UnknownType,
            detail: format!("the message names no data type that this worker knows ({})", registry::names()),
            fails: Some(RowRef { tenant: message.tenant_id, raw_data_id }),
        };
        return Admission::Refused(letter, Some(message.tenant_id));
    };
    let scope = Scope { tenant: message.tenant_id, integration: message.integration_id };
    Admission::Work(Assignment { scope, raw_data_id, data_type })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: i64) -> TenantId {
        id.try_into().unwrap()
    }

    fn refused(body: &str, queue_tenant: Option<TenantId>) -> (Reason, Option<i64>) {
        match admit(body.as_bytes(), queue_tenant) {
            Admission::Refused(letter, _) => (letter.reason, letter.fails.map(|row| row.raw_data_id)),
            other => panic!("{body} gave {other:?}"),
        }
    }

    const GOOD: &str = r#"{"tenant_id":7,"integration_id":2,"raw_data_id":5,"type":"jira_custom_fields","token":null}"#;

    #[test]
    fn a_message_of_the_queue_s_tenant_is_work_and_so_is_any_in_a_queue_of_all_tenants() {
        for queue_tenant in [Some(tenant(7)), None] {
            let Admission::Work(work) = admit(GOOD.as_bytes(), queue_tenant) else { panic!() };
            assert_eq!((work.scope.tenant, work.scope.integration, work.raw_data_id), (tenant(7), 2, 5));
            assert_eq!(work.data_type.name, "jira_custom_fields");
        }
    }

    #[test]
    fn a_message_of_another_tenant_is_refused_and_its_row_is_not_touched() {
        assert_eq!(refused(GOOD, Some(tenant(8))), (Reason::WrongTenant, None));
        // The tenant is looked at before completion and type.
        for body in [
            r#"{"tenant_id":7,"integration_id":2,"raw_data_id":null,"type":"x"}"#,
            r#"{"tenant_id":7,"integration_id":2,"raw_data_id":3,"type":"x"}"#,
        ] {
            assert_eq!(refused(body, Some(tenant(8))), (Reason::WrongTenant, None), "{body}");
        }
    }

    #[test]
    fn a_completion_needs_no_known_type() {
        let body = br#"{"tenant_id":7,"integration_id":2,"raw_data_id":null,"type":"whatever"}"#;
        assert_eq!(admit(body, Some(tenant(7))), Admission::Completion);
    }

    #[test]
    fn an_unknown_type_fails_the_row() {
        let body = r#"{"tenant_id":7,"integration_id":2,"raw_data_id":3,"type":"jira_Custom_fields"}"#;
        assert_eq!(refused(body, Some(tenant(7))), (Reason::UnknownType, Some(3)));
    }

    #[test]
    fn whose_a_refused_message_is_stays_known_where_it_says_so() {
        for (body, named) in
            [(r#"{"tenant_id":7,"type":"x"}"#, Some(tenant(7))), (r#"{"type":"x"}"#, None), (GOOD, Some(tenant(7)))]
        {
            let Admission::Refused(_, whose) = admit(body.as_bytes(), Some(tenant(8))) else { panic!("{body}") };
            assert_eq!(whose, named, "{body}");
        }
    }

    #[test]
    fn a_malformed_message_fails_the_row_only_where_tenant_and_row_are_certain() {
        let both = r#"{"tenant_id":7,"raw_data_id":3,"type":"jira_custom_fields"}"#;
        assert_eq!(refused(both, Some(tenant(7))), (Reason::MalformedMessage, Some(3)));
        assert_eq!(refused(both, None), (Reason::MalformedMessage, Some(3)));
        assert_eq!(refused(both, Some(tenant(8))), (Reason::MalformedMessage, None));
        for body in ["", "[]", "\u{0}", r#"{"tenant_id":"7","raw_data_id":3,"integration_id":1,"type":"x"}"#] {
            assert_eq!(refused(body, Some(tenant(7))), (Reason::MalformedMessage, None), "{body:?}");
        }
    }
}
