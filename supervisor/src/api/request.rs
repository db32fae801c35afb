//! Reads what a request brings along, and says in a problem what is wrong with it.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use etl_shared::TenantId;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::Refusal;

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// How long a client may take to send it.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body. Its content type is not looked at: `curl -d` names another one.
pub(super) struct Json<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = read(request).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let detail = error.to_string();
            let code = match () {
                () if !error.is_data() => "bad_json",
                () if detail.starts_with("unknown field") => "unknown_field",
                () => "invalid_field",
            };
            Refusal::bad_request(code, format!("the body cannot be used: {detail}"))
        })
    }
}

async fn read(request: Request) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body is larger than {} KiB", BODY_LIMIT / 1024),
        )),
        Ok(Err(_)) => Err(Refusal::bad_request("body_incomplete", "the body ended before it was complete")),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs()),
        )),
    }
}

/// The tenant named in the path.
pub(super) struct TenantInPath(pub(super) TenantId);

impl<S: Send + Sync> FromRequestParts<S> for TenantInPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::bad_request("invalid_path", rejection.body_text()))?;
        let tenant =
            text.parse().map_err(|error| Refusal::bad_request("invalid_tenant_id", format!("in the path: {error}")))?;
        Ok(Self(tenant))
    }
}

/// The parameters after the question mark.
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(parameters) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::bad_request("invalid_parameter", rejection.body_text()))?;
        Ok(Self(parameters))
    }
}
