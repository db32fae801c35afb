//! Pull requests of issues, as Jira knows them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Rows, Scope};

/// The key of a link: a repository's pull request and an issue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LinkKey {
    /// Whose.
    #[serde(flatten)]
    pub scope: Scope,
    /// `owner/name`.
    pub repo_full_name: String,
    /// The number in its repository.
    pub pull_request_number: i32,
    /// The issue.
    #[serde(flatten)]
    pub issue: IssueName,
}

/// How a document names an issue: found by external id, else by key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct IssueName {
    /// By external id.
    pub issue_id: Option<String>,
    /// By key, as in `BEN-12`.
    pub issue_key: Option<String>,
}

impl IssueName {
    /// Whether another name may mean the same issue, as far as names tell. One without an id may mean any.
    fn may_be(&self, other: &Self) -> bool {
        match (&self.issue_id, &other.issue_id) {
            (Some(this), Some(that)) => this == that || (self.issue_key.is_some() && self.issue_key == other.issue_key),
            _ => true,
        }
    }
}

/// A row of `work_items_prs_links`. A null leaves the column as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// How Jira names the repository; its full name stands in where Jira does not say, and never replaces a stored one.
    pub external_repo_id: String,
    /// The branch that is merged.
    pub branch_name: Option<String>,
    /// The newest commit.
    pub commit_sha: Option<String>,
    /// `OPEN`, `MERGED`, `DECLINED`, `UNKNOWN`.
    pub pr_status: Option<String>,
}

impl Link {
    /// Lays this over what is known already.
    #[must_use]
    pub fn over(mut self, earlier: Self, repo_full_name: &str) -> Self {
        if self.external_repo_id == repo_full_name {
            self.external_repo_id = earlier.external_repo_id;
        }
        self.branch_name = self.branch_name.or(earlier.branch_name);
        self.commit_sha = self.commit_sha.or(earlier.commit_sha);
        self.pr_status = self.pr_status.or(earlier.pr_status);
        self
    }
}

/// Pull requests of issues, as Jira knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkRows {
    /// `work_items_prs_links`
    pub links: BTreeMap<LinkKey, Link>,
}

impl LinkRows {
    /// Lays a link over what is there under its key.
    pub fn add(&mut self, key: LinkKey, link: Link) {
        let link = match self.links.remove(&key) {
            Some(earlier) => link.over(earlier, &key.repo_full_name),
            None => link,
        };
        self.links.insert(key, link);
    }

    /// All names of issues that are linked to the same pull request.
    fn issues_of<'a>(&'a self, key: &'a LinkKey) -> impl Iterator<Item = &'a IssueName> {
        let nobody = IssueName { issue_id: None, issue_key: None };
        let first = LinkKey { issue: nobody, ..key.clone() };
        self.links
            .range(first..)
            .map(|(other, _)| other)
            .take_while(|other| {
                (other.scope, &other.repo_full_name, other.pull_request_number)
                    == (key.scope, &key.repo_full_name, key.pull_request_number)
            })
            .map(|other| &other.issue)
    }
}

impl Rows for LinkRows {
    /// Under one name rows are laid over each other; under two names they may meet in one row of the table, where nobody could
    /// tell any more which came later.
    fn clashes_with(&self, later: &Self) -> bool {
        !self.links.is_empty()
            && later
                .links
                .keys()
                .any(|key| self.issues_of(key).any(|earlier| *earlier != key.issue && earlier.may_be(&key.issue)))
    }

    fn merge(&mut self, later: Self) {
        for (key, link) in later.links {
            self.add(key, link);
        }
    }

    fn count(&self) -> usize {
        self.links.len()
    }

    fn lines(&self, out: &mut Vec<String>) {
        super::keyed("work_items_prs_links", &self.links, out);
    }
}
