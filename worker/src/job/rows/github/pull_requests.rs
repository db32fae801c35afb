//! Pull requests with their commits, reviews and comments.

use serde::Serialize;

use super::{
    given::given_columns,
    versions::{Versioned, clash, overlay},
};
use crate::job::{
    reading::Moment,
    rows::{Given, Scope},
};

/// A row of `prs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullRequest {
    /// The repository's full name as the first document had it: all that is known where only pages have come.
    pub repo_full_name: String,
    /// What the pull request's own document says; `None` where there are only pages.
    #[serde(flatten)]
    pub whole: Option<WholePullRequest>,
}

impl PullRequest {
    pub(super) fn clashes_with(&self, later: &Self) -> bool {
        // A link to a repository that is stored stays where the next document names one that is not: each has to be looked for.
        let moves = |earlier: &WholePullRequest, later: &WholePullRequest| {
            earlier.repo_full_name.to_lowercase() != later.repo_full_name.to_lowercase()
        };
        matches!((&self.whole, &later.whole), (Some(earlier), Some(later)) if moves(earlier, later) || clash(earlier, later))
    }

    pub(super) fn overlay(earlier: Self, later: Self) -> Self {
        let whole = match (earlier.whole, later.whole) {
            (Some(earlier), Some(later)) => Some(overlay(earlier, later)),
            (earlier, later) => earlier.or(later),
        };
        Self { repo_full_name: earlier.repo_full_name, whole }
    }
}

/// What a pull request's own document says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WholePullRequest {
    /// The repository's full name.
    pub repo_full_name: String,
    /// The other columns.
    #[serde(flatten)]
    pub columns: PullRequestColumns,
}

given_columns! {
    /// Columns of `prs`.
    PullRequestColumns {
        /// Unique in the repository.
        number: i32,
        /// The title.
        name: String,
        /// Who opened it; null for a deleted account.
        user_name: String,
        /// The text, in Markdown.
        body: String,
        /// The branch it comes from.
        source: String,
        /// The branch it goes to.
        destination: String,
        /// `OPEN`, `CLOSED` or `MERGED`.
        status: String,
        /// When it was opened.
        pr_created_at: Moment,
        /// The version.
        pr_updated_at: Moment,
        /// Null while it is open.
        closed_at: Moment,
        /// Null unless it is merged.
        merged_at: Moment,
        /// Lines.
        additions: i32,
        /// Lines.
        deletions: i32,
        /// Files.
        changed_files: i32,
    }
}

impl Versioned for WholePullRequest {
    fn version(&self) -> Given<Moment> {
        self.columns.pr_updated_at
    }

    fn laid_over(self, earlier: Self) -> Self {
        Self { columns: self.columns.laid_over(earlier.columns), ..self }
    }

    fn replaces(&self, earlier: &Self) -> bool {
        self.columns.give_all_of(&earlier.columns)
    }
}

/// The key of a commit: one may be in several pull requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CommitKey {
    /// Whose.
    #[serde(flatten)]
    pub scope: Scope,
    /// The pull request, by external id.
    pub pr: String,
    /// The hash.
    pub external_id: String,
}

/// A row of `prs_commits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// All of it.
    #[serde(flatten)]
    pub columns: CommitColumns,
}

given_columns! {
    /// Columns of `prs_commits`.
    CommitColumns {
        /// `author.name`
        author_name: String,
        /// `author.email`
        author_email: String,
        /// `committer.name`
        committer_name: String,
        /// `committer.email`
        committer_email: String,
        /// The message.
        message: String,
        /// `author.date`
        authored_date: Moment,
        /// `committer.date`
        committed_date: Moment,
    }
}

impl Commit {
    pub(super) fn laid_over(self, earlier: Self) -> Self {
        Self { columns: self.columns.laid_over(earlier.columns) }
    }
}

/// A row of `prs_reviews`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Review {
    /// The pull request, by external id: that of the first document that had it.
    pub pr: String,
    /// The other columns.
    #[serde(flatten)]
    pub columns: ReviewColumns,
}

given_columns! {
    /// Columns of `prs_reviews`.
    ReviewColumns {
        /// Null for a deleted account.
        author_login: String,
        /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`, `DISMISSED` or `PENDING`.
        state: String,
        /// The text, in Markdown.
        body: String,
        /// Null while it is pending.
        submitted_at: Moment,
    }
}

impl Review {
    pub(super) fn laid_over(self, earlier: Self) -> Self {
        Self { pr: earlier.pr, columns: self.columns.laid_over(earlier.columns) }
    }
}

/// A row of `prs_comments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comment {
    /// The pull request, by external id: that of the first document that had it.
    pub pr: String,
    /// `discussion`, or `review` for one about a line.
    pub comment_type: &'static str,
    /// The other columns.
    #[serde(flatten)]
    pub columns: CommentColumns,
}

given_columns! {
    /// Columns of `prs_comments`.
    CommentColumns {
        /// Null for a deleted account.
        author_login: String,
        /// The text, in Markdown.
        body: String,
        /// The file that it is about.
        path: String,
        /// The place in the difference; null where that has changed since.
        position: i32,
        /// The line of the file; null where that has changed since.
        line: i32,
        /// `createdAt`
        created_at_github: Moment,
        /// `updatedAt`: the version.
        updated_at_github: Moment,
    }
}

impl Versioned for Comment {
    fn version(&self) -> Given<Moment> {
        self.columns.updated_at_github
    }

    fn laid_over(self, earlier: Self) -> Self {
        Self { pr: earlier.pr, columns: self.columns.laid_over(earlier.columns), ..self }
    }

    fn replaces(&self, earlier: &Self) -> bool {
        self.columns.give_all_of(&earlier.columns)
    }
}
