//! Fields, projects, types and statuses of Jira.

use serde_json::json;
use system_tests::documents::Documents;

#[tokio::test]
async fn a_document_becomes_rows_whose_references_can_be_read() {
    let documents = Documents::new().await;
    let meta =
        json!({"projects": [{"id": "10000", "key": "BEN", "name": "Ben", "issuetypes": [{"id": "1", "name": "Bug"}]}]});
    documents.transform_cleanly("jira_custom_fields", &meta).await;
    let tables = documents.tables().await;
    assert_eq!(
        tables["projects_wits"],
        [json!({"tenant_id": 1, "integration_id": 10, "project_id": "10000", "wit_id": "1", "active": true})]
    );
}
