//! Repositories.

use serde::Serialize;

use super::{given::given_columns, versions::Versioned};
use crate::job::{reading::Moment, rows::Given};

/// A row of `repositories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repository {
    /// Owner and name, as in the address.
    pub full_name: String,
    /// A JSON array.
    pub topics: String,
    /// The other columns.
    #[serde(flatten)]
    pub columns: RepositoryColumns,
}

given_columns! {
    /// Columns of `repositories`, named as GitHub does where not said otherwise.
    RepositoryColumns {
        /// The last part of the full name.
        name: String,
        /// `owner.login`
        owner: String,
        /// A line about it.
        description: String,
        /// The language of most of it.
        language: String,
        /// The branch that pull requests go to.
        default_branch: String,
        /// `public`, `private` or `internal`.
        visibility: String,
        /// `private`
        is_private: bool,
        /// Read only.
        archived: bool,
        /// Switched off by GitHub.
        disabled: bool,
        /// A copy of another one.
        fork: bool,
        /// Made to be copied.
        is_template: bool,
        /// Private ones can forbid it.
        allow_forking: bool,
        /// Whether commits by the web have to be signed off.
        web_commit_signoff_required: bool,
        /// Switched on.
        has_issues: bool,
        /// Switched on.
        has_wiki: bool,
        /// Switched on.
        has_discussions: bool,
        /// Switched on.
        has_projects: bool,
        /// Switched on.
        has_downloads: bool,
        /// Switched on.
        has_pages: bool,
        /// `license.name`
        license: String,
        /// How many people starred it.
        stargazers_count: i64,
        /// How many copies there are.
        forks_count: i64,
        /// Issues and pull requests that are open.
        open_issues_count: i64,
        /// In kibibytes.
        size: i64,
        /// `created_at`
        repo_created_at: Moment,
        /// `updated_at`: the version.
        repo_updated_at: Moment,
        /// Of the last push; null for an empty repository.
        pushed_at: Moment,
    }
}

impl Versioned for Repository {
    fn version(&self) -> Given<Moment> {
        self.columns.repo_updated_at
    }

    fn laid_over(self, earlier: Self) -> Self {
        Self { columns: self.columns.laid_over(earlier.columns), ..self }
    }

    fn replaces(&self, earlier: &Self) -> bool {
        self.columns.give_all_of(&earlier.columns)
    }
}
