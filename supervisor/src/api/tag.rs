//! Entity tags: whoever has the newest answer already is told so instead of being sent it again.
//!
//! All tags are weak. Two answers with the same tag say the same, though the seconds that have passed since something was looked
//! at differ in them.

use std::collections::BTreeMap;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use etl_shared::flight::fingerprint;
use serde::Serialize;
use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response as ResponseDescription, ResponseBuilder},
};

use super::problem::Refusal;

/// What the caller may send along, for the API's description.
#[allow(dead_code, reason = "only described")]
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct IfNoneMatch {
    /// `ETag` of the answer that the caller has.
    #[param(rename = "If-None-Match")]
    tag: Option<String>,
}

/// What it may be answered then, for the API's description.
pub(super) struct NotModified;

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<ResponseDescription>> {
        let answer = ResponseBuilder::new().description("Nothing has changed since the answer with this `ETag`");
        [("304".to_owned(), answer.build().into())].into()
    }
}

/// What the caller has of this answer already.
pub(super) struct Has(Vec<HeaderValue>);

impl<S: Sync> FromRequestParts<S> for Has {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parts.headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect()))
    }
}

/// Names what an answer says.
pub(super) struct Tag(String);

impl Tag {
    /// Of an answer that is known by what it was made from.
    pub(super) fn of(source: &str) -> Self {
        Self(format!("W/\"{source}\""))
    }

    /// Of an answer with this text, or with another one that says the same.
    pub(super) fn of_text(text: &[u8]) -> Self {
        Self::of(&format!("{:x}", fingerprint(text)))
    }

    /// The answer with its tag, or only the news that there is nothing new.
    pub(super) fn answer(&self, has: &Has, answer: impl FnOnce() -> Response) -> Response {
        let mut response = if self.is_in(has) { StatusCode::NOT_MODIFIED.into_response() } else { answer() };
        // Made of digits and letters, so it is a header.
        if let Ok(tag) = HeaderValue::from_str(&self.0) {
            let headers: &mut HeaderMap = response.headers_mut();
            headers.insert(header::ETAG, tag);
            // It may be kept, by nobody but the caller, and has to be asked for each time.
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
            headers.append(header::VARY, HeaderValue::from_static("authorization, cookie"));
        }
        response
    }

    fn is_in(&self, has: &Has) -> bool {
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        let own = opaque(&self.0);
        let listed = has.0.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        listed.map(str::trim).any(|tag| tag == "*" || opaque(tag) == own)
    }
}

/// A JSON answer with the tag of its text.
pub(super) fn json(has: &Has, body: &impl Serialize) -> Response {
    // These types always have a JSON form.
    let text = serde_json::to_vec(body).unwrap_or_default();
    let tag = Tag::of_text(&text);
    tag.answer(has, || ([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(has: &[&'static str]) -> StatusCode {
        let has = Has(has.iter().map(|value| HeaderValue::from_static(value)).collect());
        Tag::of("5-a").answer(&has, || StatusCode::OK.into_response()).status()
    }

    #[test]
    fn only_who_has_this_very_answer_is_spared_it() {
        for has in [&["W/\"5-a\""][..], &["\"5-a\""], &["\"x\", W/\"5-a\""], &["\"x\"", "W/\"5-a\""], &["*"]] {
            assert_eq!(status(has), StatusCode::NOT_MODIFIED, "{has:?}");
        }
        for has in [&[][..], &["W/\"5-b\""], &["5-a"], &["\"x\",\"y\""], &[""]] {
            assert_eq!(status(has), StatusCode::OK, "{has:?}");
        }
    }
}
