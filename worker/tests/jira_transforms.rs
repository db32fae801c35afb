//! Jira's smaller data types, from documents to rows: one file each.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

#[path = "jira_transforms/batches.rs"]
mod batches;
#[path = "jira_transforms/dev_status.rs"]
mod dev_status;
#[path = "jira_transforms/projects_and_issue_types.rs"]
mod projects_and_issue_types;
#[path = "jira_transforms/special_fields.rs"]
mod special_fields;
#[path = "jira_transforms/sprint_reports.rs"]
mod sprint_reports;
#[path = "jira_transforms/statuses_and_relationships.rs"]
mod statuses_and_relationships;
#[path = "jira_transforms/transforming.rs"]
mod transforming;
