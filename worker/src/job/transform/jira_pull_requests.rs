//! One pull request in Jira's development panel, and the link to an issue that it becomes.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use crate::job::{
    reading::{Element, Moment, Scalar},
    registry::Transformed,
    rows::{IssueName, Link, LinkKey, Scope},
};

#[derive(Deserialize)]
pub(super) struct PullRequest<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    url: Scalar<'a>,
    #[serde(borrow, default)]
    status: Scalar<'a>,
    #[serde(borrow, default)]
    source: Element<Source<'a>>,
    #[serde(borrow, default, rename = "lastCommit")]
    last_commit: Element<Commit<'a>>,
    #[serde(borrow, default, rename = "repositoryId")]
    repository_id: Scalar<'a>,
    #[serde(borrow, default, rename = "lastUpdate")]
    last_update: Scalar<'a>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    branch: Scalar<'a>,
}

#[derive(Deserialize)]
struct Commit<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
}

/// Adds the pull requests of one issue. Where one comes several times, the later update counts, or else the later element.
pub(super) fn add_all(
    found: Vec<Option<PullRequest<'_>>>,
    issue: &IssueName,
    shown: &str,
    scope: Scope,
    into: &mut Transformed,
) {
    let mut links: BTreeMap<LinkKey, (Option<Moment>, Link)> = BTreeMap::new();
    for request in found {
        let Some((repo_full_name, pull_request_number, link)) = request.as_ref().and_then(read) else {
            into.warnings.add("unusable_pull_request", Some(shown));
            continue;
        };
        let updated = request.and_then(|request| request.last_update.date(&mut into.warnings, Some(shown)).flatten());
        let key = LinkKey { scope, repo_full_name, pull_request_number, issue: issue.clone() };
        let merged = match links.remove(&key) {
            Some((before, earlier)) if updated.is_some() && before > updated => {
                (before, earlier.over(link, &key.repo_full_name))
            }
            Some((before, earlier)) => (updated.max(before), link.over(earlier, &key.repo_full_name)),
            None => (updated, link),
        };
        links.insert(key, merged);
    }
    for (key, (_, link)) in links {
        into.rows.links.add(key, link);
    }
}

/// Repository, number and the rest; `None` where one of the first two cannot be told.
fn read(request: &PullRequest<'_>) -> Option<(String, i32, Link)> {
    let url = request.url.text();
    let path = url.as_deref().map(path).unwrap_or_default();
    let number = (path.last().filter(|last| last.bytes().all(|byte| byte.is_ascii_digit())))
        .and_then(|last| last.parse().ok())
        .or_else(|| number_in(request.id.id()?.as_ref()))
        .or_else(|| number_in(request.name.text()?.as_ref()))?;
    let in_url = match path.as_slice() {
        [owner, name, ..] => Some(format!("{owner}/{name}")),
        _ => None,
    };
    let external_repo_id = (request.repository_id.id().map(Cow::into_owned))
        .or_else(|| in_url.clone())
        .or_else(|| request.id.id().map(Cow::into_owned))?;
    let repo_full_name = in_url.unwrap_or_else(|| external_repo_id.clone());
    let filled = |scalar: &Scalar<'_>| scalar.filled_text().map(Cow::into_owned);
    let link = Link {
        external_repo_id,
        branch_name: request.source.as_read().and_then(|source| filled(&source.branch)),
        commit_sha: request.last_commit.as_read().and_then(|commit| filled(&commit.id)),
        pr_status: filled(&request.status),
    };
    Some((repo_full_name, number, link))
}

/// The segments of a URL's path.
fn path(url: &str) -> Vec<&str> {
    let Some((_, rest)) = url.trim().split_once("://") else { return Vec::new() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.split('/').skip(1).filter(|segment| !segment.is_empty()).collect()
}

/// The number after a `#`, or else the first one.
fn number_in(text: &str) -> Option<i32> {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<i32>().ok()
    };
    let after_hash = text.match_indices('#').find_map(|(at, _)| digits(&text[at + 1..]));
    after_hash.or_else(|| digits(&text[text.find(|c: char| c.is_ascii_digit())?..]))
}
