//! One id from a request to everything that it leads to: log lines, events, audit entries, messages; and beside it the request's
//! place in a trace.

use etl_shared::trace::{Origin, TraceContext};
use tokio::task_local;

task_local! {
    static CURRENT: Origin;
}

/// Runs `work`, whose every step knows this id.
pub async fn scope<T>(id: String, work: impl Future<Output = T>) -> T {
    scope_of(Origin { correlation_id: Some(id), ..Origin::default() }, work).await
}

/// Runs `work`, whose every step knows where it comes from.
pub async fn scope_of<T>(origin: Origin, work: impl Future<Output = T>) -> T {
    CURRENT.scope(origin, work).await
}

/// The id of the request that is being worked on; `None` outside of one.
pub fn current() -> Option<String> {
    CURRENT.try_with(|origin| origin.correlation_id.clone()).ok().flatten()
}

/// Where the present work comes from, for the headers of the messages that it publishes; empty outside of a request.
pub fn origin() -> Origin {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// An id for work that came without one.
pub fn new_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// A trace that begins here.
pub fn new_trace(sampled: bool) -> TraceContext {
    // Zero is no id; by chance it comes once in 2^64.
    TraceContext { trace: rand::random::<u128>().max(1), span: rand::random::<u64>().max(1), sampled }
}

/// Where something comes from that nobody asked for: the supervisor's own work, or a command on the machine.
pub fn fresh_origin() -> Origin {
    Origin { correlation_id: Some(new_id()), trace: Some(new_trace(false)), state: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_knows_the_id_of_its_request_and_nothing_else_does() {
        assert_eq!(current(), None);
        assert_eq!(scope("a".to_owned(), async { current() }).await.as_deref(), Some("a"));
        assert_eq!(current(), None);
    }

    #[test]
    fn ids_that_are_made_here_can_be_sent_on() {
        let origin = fresh_origin();
        let headers: Vec<_> = origin.headers().collect();
        let look = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        assert_eq!(Origin::read(look), origin);
        assert_ne!(fresh_origin(), origin);
    }
}
