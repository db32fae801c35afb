//! Reads what a request brings along, and says in a problem what is wrong with it.

use std::time::{Duration, SystemTime};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use chrono::DateTime;
use etl_shared::TenantId;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::problem::Refusal;

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Of a body that is too large, so many bytes are waited for before the client is cut off.
const PATIENCE_LIMIT: usize = 16 * 1024 * 1024;
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

async fn read(request: Request) -> Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(BODY_TIMEOUT, collect(request.into_body())).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(Refusal::new(
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

/// The body, or nothing where it is too large. What is too much is still taken and thrown away for a while: a client that is
/// cut off while it sends never sees why.
async fn collect(mut body: Body) -> Result<Option<Vec<u8>>, axum::Error> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length <= BODY_LIMIT {
            bytes.extend_from_slice(&data);
        } else if length > PATIENCE_LIMIT {
            break;
        }
    }
    Ok((length <= BODY_LIMIT).then_some(bytes))
}

/// The one part of the path that names something.
pub(super) struct TextInPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for TextInPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::bad_request("invalid_path", rejection.body_text()))?;
        Ok(Self(text))
    }
}

/// The tenant named in the path.
pub(super) struct TenantInPath(pub(super) TenantId);

impl<S: Send + Sync> FromRequestParts<S> for TenantInPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let TextInPath(text) = TextInPath::from_request_parts(parts, state).await?;
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

/// A moment that a parameter names, as RFC 3339 writes it.
pub(super) fn time(name: &str, text: &str) -> Result<SystemTime, Refusal> {
    // What people write without a T, or without seconds, is taken too.
    let time = DateTime::parse_from_rfc3339(text).map(SystemTime::from).ok();
    time.or_else(|| humantime::parse_rfc3339_weak(text).ok()).ok_or_else(|| {
        let detail = format!("{name} is no time: write it like 2026-01-31T12:00:00Z");
        Refusal::bad_request("invalid_parameter", detail)
    })
}
