//! What is answered when the database cannot be asked.

use std::error::Error;

use axum::http::StatusCode;

use crate::{api::problem::Refusal, store::StoreError};

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            error if error.is_schema() => "schema_missing",
            error if error.is_limit() => "database_slow",
            _ => "database_unavailable",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, in_words(&error))
    }
}

/// The error with its causes. The library's own words for an error of the server say nothing; the server's do.
pub(super) fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
