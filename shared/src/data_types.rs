//! The data types that workers know, each with the other names that producers use for it. A worker's registry has the same ones; a
//! test of the worker compares them.

/// Name and other names.
pub const DATA_TYPES: [(&str, &[&str]); 9] = [
    ("jira_custom_fields", &[]),
    ("jira_special_fields", &[]),
    ("jira_projects_and_issue_types", &["jira_project_search"]),
    ("jira_statuses_and_relationships", &["jira_statuses_and_project_relationships", "jira_project_statuses"]),
    ("jira_issues_with_changelogs", &["jira_single_issue_changelog", "jira_issues_changelogs"]),
    ("jira_dev_status", &[]),
    ("jira_sprint_reports", &[]),
    ("github_repositories", &[]),
    ("github_prs_commits_reviews_comments", &["github_prs", "github_prs_nested"]),
];

/// The data type that this name, or other name, means.
pub fn name_of(name: &str) -> Option<&'static str> {
    DATA_TYPES.iter().find(|(known, others)| *known == name || others.contains(&name)).map(|(known, _)| *known)
}
