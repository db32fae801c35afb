//! The API's description, OpenAPI 3.1: made from the handlers and the types of their bodies, so that it cannot lag behind.

use axum::{
    body::Bytes,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use etl_shared::api::Problem;
use tokio::{sync::OnceCell, task::spawn_blocking};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, OpenApi as Document,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{endpoints, problem::Refusal};

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

/// The text; it never changes while the program runs.
fn text() -> Bytes {
    let mut description = endpoints::described();
    name_endpoints(&mut description);
    description.to_json().unwrap_or_default().into()
}

/// Serves it, written once somebody asks.
pub(super) async fn document() -> Response {
    static TEXT: OnceCell<Bytes> = OnceCell::const_new();
    // On another thread, with which most of the memory goes that this takes.
    let text = TEXT.get_or_try_init(|| spawn_blocking(text)).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text.clone()).into_response(),
        Err(_) => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the supervisor is stopping").into_response()
        }
    }
}
