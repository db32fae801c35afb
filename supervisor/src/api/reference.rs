//! The interactive reference at `/docs`: Swagger UI, with a beginning of our own. It asks no other server for anything.

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

const INITIALIZER: &str = include_str!("reference/initializer.js");

/// Scripts of this program only and no inline ones. It writes styles into its elements, and has pictures in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// `/docs` and everything below it.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let initializer = get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], INITIALIZER));
    Router::new()
        .merge(SwaggerUi::new("/docs").config(Config::from("/openapi.json")))
        // Instead of the one that it would write itself, which cannot send what a session needs.
        .route("/docs/swagger-initializer.js", initializer)
        .layer(from_fn(protect))
}

async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    response
}
