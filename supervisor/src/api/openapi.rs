//! The API's description, OpenAPI 3.1: made from the handlers and the types of their bodies, so that it cannot lag behind.

use axum::{http::header, response::IntoResponse};
use etl_shared::api::Problem;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, OpenApi as Document,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The cookie of the page's session.
pub(super) const SESSION_COOKIE: &str = "etl_session";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "etl-supervisor admin API",
        description = "Status and control of the workers of every tenant. The unix socket needs no token.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    security(("bearer" = []), ("session" = [])),
    modifiers(&Doors),
)]
struct Frame;

/// How callers are let in.
struct Doors;

impl Modify for Doors {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API token, or a JWT of the platform"));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// Everything but the endpoints.
pub(super) fn frame() -> Document {
    Frame::openapi()
}

/// Gives every endpoint a name that no other has, made from its method and path: `get_workers_status`. Programs that write clients
/// call their functions so.
fn name_endpoints(description: &mut Document) {
    for (path, item) in &mut description.paths.paths {
        let path = path.trim_start_matches("/api/v1").trim_start_matches("/admin");
        let words: Vec<_> = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let methods =
            [("get", &mut item.get), ("post", &mut item.post), ("put", &mut item.put), ("delete", &mut item.delete)];
        for (method, endpoint) in methods {
            if let Some(endpoint) = endpoint {
                endpoint.operation_id = Some(format!("{method}_{}", words.join("_")));
            }
        }
    }
}

/// Serves it: written once, because it never changes while the program runs.
pub(super) fn document<S: Clone + Send + Sync + 'static>(
    description: &Document,
) -> impl axum::handler::Handler<((),), S> {
    let mut description = description.clone();
    name_endpoints(&mut description);
    let text: axum::body::Bytes = description.to_json().unwrap_or_default().into();
    move || {
        let text = text.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], text).into_response() }
    }
}
