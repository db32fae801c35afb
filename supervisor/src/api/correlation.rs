//! Gives every request an id and a place in a trace, or takes those that it brings, and counts it.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use etl_shared::trace::{CORRELATION_ID, Origin, TraceContext, is_correlation_id};
use tracing::Instrument;

use super::Api;
use crate::{
    correlation,
    spans::{Kind, Span},
};

/// Carries the id, in requests and in answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs the request so that everything it leads to knows where it came from.
pub(super) async fn correlate(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (origin, parent) = origin(request.headers(), api.context.spans.are_exported());
    let started = SystemTime::now();
    let context = origin.trace;
    let name = api.context.spans.are_exported().then(|| {
        // Never the path as it was asked for: a name for everything would be a name for nothing.
        let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
        (request.method().to_string(), route.to_owned())
    });
    let id = origin.correlation_id.clone().unwrap_or_default();
    let trace_id = origin.trace.as_ref().map(TraceContext::trace_id);
    let span = tracing::info_span!("request", correlation_id = %id, trace_id);
    let mut response = correlation::scope_of(origin, next.run(request)).instrument(span).await;
    // An id has no character that a header could not carry.
    if let Ok(id) = HeaderValue::try_from(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if let (Some((method, route)), Some(context)) = (name, context) {
        let attributes = vec![
            ("http.request.method", method.clone()),
            ("http.route", route.clone()),
            ("http.response.status_code", response.status().as_u16().to_string()),
            ("etl.correlation_id", id.clone()),
        ];
        api.context.spans.record(Span {
            name: format!("{method} {route}"),
            kind: Kind::Server,
            context,
            parent,
            started,
            ended: SystemTime::now(),
            attributes,
            failed: response.status().is_server_error(),
        });
    }
    api.requests.answered(response.status(), began.elapsed());
    response
}

/// What the request says of itself, with what it does not say made up; and the span that it comes from, 0 where there is none. A
/// trace that begins here is recorded where somebody takes it.
fn origin(headers: &HeaderMap, recorded: bool) -> (Origin, u64) {
    let named = Origin::read(|name| match name {
        CORRELATION_ID => None,
        name => headers.get(name).and_then(|value| value.to_str().ok()),
    });
    let id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_correlation_id(id));
    let trace = match named.trace {
        Some(caller) => caller.child(rand::random()),
        None => correlation::new_trace(recorded),
    };
    let correlation_id = Some(id.map_or_else(correlation::new_id, str::to_owned));
    let parent = named.trace.map_or(0, |caller| caller.span);
    (Origin { correlation_id, trace: Some(trace), state: named.state }, parent)
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
        let asked = headers(&[("x-request-id", "order-7"), ("traceparent", PARENT), ("tracestate", "v=1")]);
        let (origin, parent) = origin(&asked, false);
        let caller = TraceContext::parse(PARENT).unwrap();
        assert_eq!(origin.correlation_id.as_deref(), Some("order-7"));
        let own = origin.trace.unwrap();
        assert_eq!((own.trace, own.sampled, parent), (caller.trace, true, caller.span));
        assert!(own.span != caller.span && own.span != 0, "a span of its own");
        assert_eq!(origin.state.as_deref(), Some("v=1"));
    }

    #[test]
    fn what_is_missing_or_malformed_is_made_up() {
        let long = "x".repeat(65);
        for wrong in [headers(&[]), headers(&[("x-request-id", "two words")]), headers(&[("x-request-id", &long)])] {
            let ((one, parent), (two, _)) = (origin(&wrong, true), origin(&wrong, false));
            assert!(parent == 0 && one.trace.unwrap().sampled && !two.trace.unwrap().sampled);
            assert!(one.correlation_id.as_deref().is_some_and(is_correlation_id), "{one:?}");
            assert!(one.correlation_id != two.correlation_id && one.trace != two.trace);
            assert_eq!(one.state, None);
        }
    }
}
