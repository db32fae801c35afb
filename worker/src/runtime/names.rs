//! How a log line names a message, so that whoever has one of the names finds the line.

use etl_shared::{QueueName, TenantId, trace::Origin};
use serde_json::{Map, Value};

use crate::job::{Admission, Job};

/// Everything by which a message is known. Made only where a line is written, because it reads the headers.
pub(super) struct Names<'a> {
    pub(super) tenant: Option<i64>,
    pub(super) queue: String,
    pub(super) raw_data_id: i64,
    pub(super) kind: Option<&'static str>,
    pub(super) delivery: u64,
    pub(super) message_id: Option<&'a str>,
    pub(super) correlation_id: Option<String>,
    pub(super) trace_id: Option<String>,
}

/// A line about a message: its names, then what is said.
macro_rules! about {
    ($level:ident, $names:expr, $($said:tt)*) => {{
        let names = &$names;
        tracing::$level!(
            tenant = names.tenant, queue = names.queue, raw_data_id = names.raw_data_id, "type" = names.kind,
            delivery = names.delivery, message_id = names.message_id, correlation_id = names.correlation_id,
            trace_id = names.trace_id, $($said)*
        )
    }};
}
pub(super) use about;

impl<'a> Names<'a> {
    pub(super) fn of(job: &'a Job, queue: &QueueName) -> Self {
        let Origin { correlation_id, trace, .. } = origin(job);
        Self {
            tenant: tenant(job, queue),
            queue: queue.to_string(),
            raw_data_id: job.mark.raw_data_id,
            kind: match &job.admission {
                Admission::Work(work) => Some(work.data_type.name),
                _ => None,
            },
            delivery: job.ticket,
            message_id: job.message_id.as_deref(),
            correlation_id,
            trace_id: trace.map(|trace| trace.trace_id()),
        }
    }
}

/// Whose message it is: the queue knows best.
pub(super) fn tenant(job: &Job, queue: &QueueName) -> Option<i64> {
    queue.tenant().map(TenantId::get).or(match &job.admission {
        Admission::Work(work) => Some(work.scope.tenant.get()),
        Admission::Refused(_, tenant) => tenant.map(TenantId::get),
        Admission::Completion => None,
    })
}

/// What the message's headers say of where it comes from.
pub(super) fn origin(job: &Job) -> Origin {
    // Nearly every message has none of them.
    let headers: Map<String, Value> = match job.headers.as_str() {
        "{}" => Map::new(),
        headers => serde_json::from_str(headers).unwrap_or_default(),
    };
    Origin::read(|name| headers.get(name).and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(headers: &str) -> Job {
        let body = br#"{"tenant_id":7,"integration_id":2,"raw_data_id":5,"type":"jira_custom_fields"}"#;
        Job::new(3, body.to_vec(), headers.to_owned(), Some(7.try_into().unwrap()))
    }

    #[test]
    fn a_message_is_named_by_its_queue_its_row_and_the_request_that_it_comes_from() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let job = job(&format!(r#"{{"x-correlation-id":"order-7","traceparent":"{trace}","count":3}}"#));
        let names = Names::of(&job, &"transform_queue_tenant_7".parse().unwrap());
        assert_eq!((names.tenant, names.raw_data_id, names.delivery), (Some(7), 5, 3));
        assert_eq!((names.kind, names.queue.as_str()), (Some("jira_custom_fields"), "transform_queue_tenant_7"));
        assert_eq!(names.correlation_id.as_deref(), Some("order-7"));
        assert_eq!(names.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn headers_that_nobody_can_read_name_nothing() {
        for headers in ["{}", "[", r#"{"x-correlation-id":7,"traceparent":[]}"#, r#"{"x-correlation-id":"a b"}"#] {
            assert_eq!(origin(&job(headers)), Origin::default(), "{headers}");
        }
    }
}
