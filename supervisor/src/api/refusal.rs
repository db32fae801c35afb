//! What is answered when the database cannot be asked, and when there are too many streams.

use axum::http::StatusCode;

use super::{listen::Full, problem::Refusal};
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

impl From<Full> for Refusal {
    fn from(Full: Full) -> Self {
        let detail = "as many clients follow events or logs as may do so at once, of everybody or of this caller: end one, \
                      or try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail)
    }
}
