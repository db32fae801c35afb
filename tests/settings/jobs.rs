//! A job that somebody publishes through the API.

use etl_shared::api::{JobAccepted, Problem, Role};
use serde_json::json;
use system_tests::{
    http::Call,
    platform::{KIND, integration_of, queue_of},
};

use super::scene::{document, platform_with};

const JOBS: &str = "/api/v1/admin/jobs";

#[tokio::test]
async fn a_published_job_is_transformed_and_one_that_would_be_given_up_is_refused() {
    let (platform, supervisor, _) = platform_with(&[1, 2]).await;
    let operator = supervisor.token(Role::Operator, Some(1)).await;
    let own = platform.add_raw(1, KIND, &document(1)).await;
    let foreign = platform.add_raw(2, KIND, &document(2)).await;
    let job = |raw: i64, kind: &str, integration: i64| {
        Call::post(JOBS, json!({"integration_id": integration, "raw_data_id": raw, "type": kind})).token(&operator)
    };
    for (call, status, code) in [
        (job(foreign, KIND, integration_of(2)), 404, "raw_row_unknown"),
        (job(999_999, KIND, integration_of(1)), 404, "raw_row_unknown"),
        (job(own, "nothing", integration_of(1)), 400, "unknown_type"),
        (job(own, "github_repositories", integration_of(1)), 409, "raw_row_differs"),
        (job(own, KIND, integration_of(2)), 409, "raw_row_differs"),
    ] {
        let problem: Problem = supervisor.tcp(call).await.expect_status(status).json();
        assert_eq!(problem.code, code, "{problem:?}");
    }
    let reply = supervisor.tcp(job(own, KIND, integration_of(1))).await;
    let accepted: JobAccepted = reply.expect_status(202).json();
    assert_eq!(accepted.queue, queue_of(1));
    assert!(!accepted.correlation_id.is_empty());
    platform.completed(&[own]).await;
    assert_eq!(platform.raw(foreign).await.status, "pending");
    assert!(platform.dead_letters().await.is_empty(), "what was refused has not even been tried");
}
