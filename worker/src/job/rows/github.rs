//! Repositories and pull requests with their commits, reviews and comments.

use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Rows, Scope, keyed};

mod given;
mod pull_requests;
mod repositories;
mod versions;

pub use pull_requests::{
    Comment, CommentColumns, Commit, CommitColumns, CommitKey, PullRequest, PullRequestColumns, Review, ReviewColumns,
    WholePullRequest,
};
pub use repositories::{Repository, RepositoryColumns};
use versions::{clash, overlay};

/// Repositories and pull requests with their commits, reviews and comments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GithubRows {
    /// `repositories`
    pub repositories: BTreeMap<Key, Repository>,
    /// `prs`
    pub prs: BTreeMap<Key, PullRequest>,
    /// `prs_commits`
    pub prs_commits: BTreeMap<CommitKey, Commit>,
    /// `prs_reviews`
    pub prs_reviews: BTreeMap<Key, Review>,
    /// `prs_comments`
    pub prs_comments: BTreeMap<Key, Comment>,
    /// What the repositories are called, also before one of these documents renamed one.
    names: BTreeSet<Name>,
}

impl GithubRows {
    /// Adds a repository, over an earlier row of the same document where there is one.
    pub fn add_repository(&mut self, key: Key, row: Repository) {
        self.names.insert(Name::of(&key, &row));
        lay(&mut self.repositories, key, row, overlay);
    }

    /// Adds what a pull request's own document says of it.
    pub fn add_whole(&mut self, key: Key, row: WholePullRequest) {
        let row = PullRequest { repo_full_name: row.repo_full_name.clone(), whole: Some(row) };
        lay(&mut self.prs, key, row, PullRequest::overlay);
    }

    /// Adds a pull request of which only a page is there.
    pub fn add_placeholder(&mut self, key: Key, repo_full_name: String) {
        lay(&mut self.prs, key, PullRequest { repo_full_name, whole: None }, PullRequest::overlay);
    }

    /// Adds a commit.
    pub fn add_commit(&mut self, key: CommitKey, row: Commit) {
        lay(&mut self.prs_commits, key, row, |earlier, later| later.laid_over(earlier));
    }

    /// Adds a review.
    pub fn add_review(&mut self, key: Key, row: Review) {
        lay(&mut self.prs_reviews, key, row, |earlier, later| later.laid_over(earlier));
    }

    /// Adds a comment.
    pub fn add_comment(&mut self, key: Key, row: Comment) {
        lay(&mut self.prs_comments, key, row, overlay);
    }

    /// Pull requests are linked by the names of the repositories that a batch brings. Doing so once for several documents
    /// does what doing it after each would only where no two repositories have one name and none changes its own.
    fn names_clash(&self, key: &Key, row: &Repository) -> bool {
        let name = Name::of(key, row);
        let first = Name { external_id: String::new(), ..name.clone() };
        let mut bearers = self
            .names
            .range(first..)
            .take_while(|other| (other.scope, &other.lower_case) == (name.scope, &name.lower_case));
        bearers.any(|other| other.external_id != name.external_id)
            || (self.repositories.contains_key(key) && !self.names.contains(&name))
    }
}

/// A repository's name without regard to case, and the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    scope: Scope,
    lower_case: String,
    external_id: String,
}

impl Name {
    fn of(key: &Key, row: &Repository) -> Self {
        Self { scope: key.scope, lower_case: row.full_name.to_lowercase(), external_id: key.external_id.clone() }
    }
}

fn lay<K: Ord, R>(rows: &mut BTreeMap<K, R>, key: K, row: R, overlay: impl Fn(R, R) -> R) {
    let row = match rows.remove(&key) {
        Some(earlier) => overlay(earlier, row),
        None => row,
    };
    rows.insert(key, row);
}

impl Rows for GithubRows {
    fn clashes_with(&self, later: &Self) -> bool {
        later.repositories.iter().any(|(key, row)| {
            self.names_clash(key, row) || self.repositories.get(key).is_some_and(|earlier| clash(earlier, row))
        }) || later.prs.iter().any(|(key, row)| self.prs.get(key).is_some_and(|earlier| earlier.clashes_with(row)))
            || later
                .prs_comments
                .iter()
                .any(|(key, row)| self.prs_comments.get(key).is_some_and(|earlier| clash(earlier, row)))
    }

    fn merge(&mut self, later: Self) {
        for (key, row) in later.repositories {
            self.add_repository(key, row);
        }
        for (key, row) in later.prs {
            lay(&mut self.prs, key, row, PullRequest::overlay);
        }
        for (key, row) in later.prs_commits {
            self.add_commit(key, row);
        }
        for (key, row) in later.prs_reviews {
            self.add_review(key, row);
        }
        for (key, row) in later.prs_comments {
            self.add_comment(key, row);
        }
    }

    fn count(&self) -> usize {
        self.repositories.len()
            + self.prs.len()
            + self.prs_commits.len()
            + self.prs_reviews.len()
            + self.prs_comments.len()
    }

    fn lines(&self, out: &mut Vec<String>) {
        keyed("repositories", &self.repositories, out);
        keyed("prs", &self.prs, out);
        keyed("prs_commits", &self.prs_commits, out);
        keyed("prs_reviews", &self.prs_reviews, out);
        keyed("prs_comments", &self.prs_comments, out);
    }
}
