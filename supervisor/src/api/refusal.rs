//! What is answered when the database cannot be asked.

use axum::http::StatusCode;

use super::problem::Refusal;
use crate::{causes::in_one_line, store::StoreError};

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            error if error.is_schema() => "schema_missing",
            error if error.is_limit() => "database_slow",
            _ => "database_unavailable",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, in_one_line(&error))
    }
}
