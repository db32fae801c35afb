//! One file a data type: from the document's text to rows.

mod github_keys;
pub mod github_prs_commits_reviews_comments;
pub mod github_repositories;
pub mod jira_custom_fields;
pub mod jira_dev_status;
pub mod jira_issues_with_changelogs;
pub mod jira_projects_and_issue_types;
pub mod jira_special_fields;
pub mod jira_sprint_reports;
pub mod jira_statuses_and_relationships;

mod jira_fields;
mod jira_projects;
mod jira_pull_requests;
mod opening;

/// Which of Jira's custom fields have a meaning of their own, by external id. They differ between Jira sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialFields {
    /// The team.
    pub team: String,
    /// Pull requests and builds.
    pub development: String,
    /// The sprints.
    pub sprints: String,
    /// The estimate.
    pub story_points: String,
}

impl Default for SpecialFields {
    fn default() -> Self {
        let field = |number: u32| format!("customfield_{number}");
        Self { team: field(10001), development: field(10000), sprints: field(10021), story_points: field(10024) }
    }
}
