//! Every error of the API: `application/problem+json` with a code that programs may rely on.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use etl_shared::api::Problem;
use utoipa::{
    IntoResponses,
    openapi::{Content, Ref, RefOr, Response as ResponseDescription, ResponseBuilder},
};

use super::audit::Code;
use crate::runtime::ControlError;

/// A refusal on its way to the client.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: String,
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), header: None }
    }

    /// 400
    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 403
    pub(super) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 401, with the header that says how to do better.
    pub(super) fn unauthenticated(code: &'static str, detail: &str, challenge: &'static str) -> Self {
        let header = Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        Self { header, ..Self::new(StatusCode::UNAUTHORIZED, code, detail) }
    }
}

impl Refusal {
    /// 429, with when to try again.
    pub(super) fn too_many(code: &'static str, detail: &str, wait: Duration) -> Self {
        let header = Some((header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1)));
        Self { header, ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail) }
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        let (status, code) = match &error {
            ControlError::UnknownTenant(_) => (StatusCode::NOT_FOUND, "tenant_unknown"),
            ControlError::NothingToConfirm => (StatusCode::CONFLICT, "nothing_to_confirm"),
            ControlError::SharedCredentials => (StatusCode::CONFLICT, "credentials_shared"),
            ControlError::NotRecorded(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not_recorded"),
            ControlError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Problem {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
        };
        // Numbers and strings always have a JSON form.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        response.extensions_mut().insert(Code(self.code));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// What every endpoint may answer instead, for the API's description.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<ResponseDescription>> {
        const ANSWERS: [(&str, &str); 11] = [
            ("400", "The request cannot be understood; `code` says why"),
            ("401", "Nobody is logged in: a token is missing, unknown, expired or revoked"),
            ("403", "The caller may not do that, or not with this tenant"),
            ("404", "There is nothing of this name"),
            ("408", "The body did not arrive in time"),
            ("409", "It does not fit how things stand"),
            ("412", "Somebody else has changed it meanwhile"),
            ("413", "The body is too large"),
            ("429", "Too many invalid tokens or too many logins; `Retry-After` says when to try again"),
            ("500", "Something failed that should not; the log says more"),
            ("503", "Something that is needed does not answer now; try again"),
        ];
        let problem = || Content::new(Some(Ref::from_schema_name("Problem")));
        let answer = |description: &str| {
            ResponseBuilder::new().description(description).content("application/problem+json", problem()).build()
        };
        ANSWERS.iter().map(|(status, description)| ((*status).to_owned(), answer(description).into())).collect()
    }
}

/// Answers every path that does not exist.
pub(super) async fn unknown_path(uri: Uri) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "path_unknown", format!("there is nothing at {}", uri.path()))
}

/// Answers every method that a path does not have.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let detail = format!("{} does not answer {method}; the header Allow names what it does", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
