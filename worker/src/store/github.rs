//! Repositories and pull requests.
//!
//! Two workers may be at the same pull request, or one at a pull request and the other at its repository. So locks come first:
//! one for the links of an integration, then the pull requests in the order of their keys. Under them what is stored can be
//! read before it is written, and what is counted afterwards is all there is.

use super::write::Write;
use crate::job::rows::GithubRows;

mod comments;
mod commits;
mod given;
mod links;
mod metrics;
mod pull_requests;
mod repositories;
mod reviews;

pub(super) fn write(rows: &GithubRows) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(links::lock(rows));
    writes.extend(repositories::write(&rows.repositories));
    writes.extend(links::write(&rows.repositories));
    writes.extend(pull_requests::write(&rows.prs));
    writes.extend(commits::write(&rows.prs_commits));
    writes.extend(reviews::write(&rows.prs_reviews));
    writes.extend(comments::write(&rows.prs_comments));
    writes.extend(metrics::write(&rows.prs));
    writes
}
