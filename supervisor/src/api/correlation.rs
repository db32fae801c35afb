//! Gives every request an id and a place in a trace, or takes those that it brings, and counts it.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use etl_shared::trace::{CORRELATION_ID, Origin, TraceContext, is_correlation_id};
use tracing::Instrument;

use super::Api;
use crate::correlation;

/// Carries the id, in requests and in answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs the request so that everything it leads to knows where it came from.
pub(super) async fn correlate(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let origin = origin(request.headers());
    let id = origin.correlation_id.clone().unwrap_or_default();
    let trace_id = origin.trace.as_ref().map(TraceContext::trace_id);
    let span = tracing::info_span!("request", correlation_id = %id, trace_id);
    let mut response = correlation::scope_of(origin, next.run(request)).instrument(span).await;
    // An id has no character that a header could not carry.
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    api.requests.answered(response.status(), began.elapsed());
    response
}

/// What the request says of itself, with what it does not say made up.
fn origin(headers: &HeaderMap) -> Origin {
    let named = Origin::read(|name| match name {
        CORRELATION_ID => None,
        name => headers.get(name).and_then(|value| value.to_str().ok()),
    });
    let id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_correlation_id(id));
    let trace = match named.trace {
        Some(caller) => caller.child(rand::random()),
        None => correlation::new_trace(false),
    };
    let correlation_id = Some(id.map_or_else(correlation::new_id, str::to_owned));
    Origin { correlation_id, trace: Some(trace), state: named.state }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_request_that_says_where_it_comes_from_is_believed() {
        let origin = origin(&headers(&[("x-request-id", "order-7"), ("traceparent", PARENT), ("tracestate", "v=1")]));
        let caller = TraceContext::parse(PARENT).unwrap();
        assert_eq!(origin.correlation_id.as_deref(), Some("order-7"));
        let own = origin.trace.unwrap();
        assert_eq!((own.trace, own.sampled), (caller.trace, true));
        assert!(own.span != caller.span && own.span != 0, "a span of its own");
        assert_eq!(origin.state.as_deref(), Some("v=1"));
    }

    #[test]
    fn what_is_missing_or_malformed_is_made_up() {
        let long = "x".repeat(65);
        for wrong in [headers(&[]), headers(&[("x-request-id", "two words")]), headers(&[("x-request-id", &long)])] {
            let (one, two) = (origin(&wrong), origin(&wrong));
            assert!(one.correlation_id.as_deref().is_some_and(is_correlation_id), "{one:?}");
            assert!(one.correlation_id != two.correlation_id && one.trace != two.trace);
            assert_eq!(one.state, None);
        }
    }
}
