//! Every data type, from its document to its tables: the real worker on a real broker and a real database.

#[path = "transforms/github.rs"]
mod github;
#[path = "transforms/jira_issues.rs"]
mod jira_issues;
#[path = "transforms/jira_links_and_reports.rs"]
mod jira_links_and_reports;
#[path = "transforms/jira_setup.rs"]
mod jira_setup;
