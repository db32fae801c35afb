//! What every answer tells a browser to keep from doing. A handler that sets one of these itself is left alone.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// Of answers that are no pages: shown as a document by mistake, they can load nothing and be framed by nobody.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Of the interactive reference, whose files are all ours and whose library writes styles into its elements.
const REFERENCE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                         font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The policy for what is served at a path. Pages with needs of their own have their line here, or set the header themselves.
fn policy(path: &str) -> &'static str {
    if path == "/docs" || path.starts_with("/docs/") { REFERENCE } else { NOTHING }
}

/// Adds what is missing.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let policy = policy(request.uri().path());
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::CONTENT_SECURITY_POLICY, policy);
    // For browsers that do not know frame-ancestors.
    add(header::X_FRAME_OPTIONS, "DENY");
    add(header::REFERRER_POLICY, "no-referrer");
    add(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if is_api {
        add(header::CACHE_CONTROL, "no-store");
    }
    response
}
