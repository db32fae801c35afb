//! `jira_dev_status`: which pull requests belong to an issue, as Jira's development panel knows it.
//!
//! A document is about one issue (`dev_status` is its details) or about several (`dev_status` is a list of issues with
//! `dev_details`). The call behind it is not documented, so every key may be missing.

use serde::Deserialize;

use super::{
    jira_pull_requests::{self, PullRequest},
    opening::{self, refused},
};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{Element, List, Scalar},
    references::{Reference, Target},
    registry::{DataType, PayloadShape, Transformed},
    rows::{IssueName, Key, Scope},
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: NAME,
    aliases: &[],
    seeks: Tables::of(&[Table::WorkItems]),
    needs: Tables::NONE,
    stores: Tables::NONE,
    transform,
};

const NAME: &str = "jira_dev_status";

#[derive(Deserialize)]
struct IssueMeta<'a> {
    #[serde(borrow, default)]
    issue_id: Scalar<'a>,
    #[serde(borrow, default)]
    issue_key: Scalar<'a>,
    /// Of one issue: its details. Of the document: perhaps a list of issues.
    #[serde(borrow, default)]
    dev_status: Scalar<'a>,
    #[serde(borrow, default)]
    dev_details: Scalar<'a>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    errors: List<Scalar<'a>>,
    #[serde(borrow, default)]
    detail: List<Element<Detail<'a>>>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default, rename = "pullRequests")]
    pull_requests: List<Element<PullRequest<'a>>>,
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let Some(root) = opening::object::<IssueMeta<'_>>(NAME, document)? else {
        return Ok(Transformed::default());
    };
    if !root.dev_status.is_present() && !root.dev_details.is_present() {
        return Err(refused(NAME, "has neither \"dev_status\" nor \"dev_details\""));
    }
    let mut result = Transformed::default();
    let says_nothing = root.dev_status.is_null() || root.dev_status.is_empty_object();
    if says_nothing && !root.issue_id.is_present() && !root.issue_key.is_present() {
        return Ok(result);
    }
    let issues = match root.dev_status.read_as() {
        Some(List::Items(issues)) => issues.into_iter().map(Element::read).collect(),
        _ => vec![Some(root)],
    };
    let (given, mut usable) = (issues.len(), 0);
    for issue in issues {
        usable += usize::from(add_issue(issue, context.scope, &mut result));
    }
    if given > 0 && usable == 0 {
        return Err(refused(NAME, "is about no issue that is named and has details that can be read"));
    }
    // Without pull requests there is nothing that would have to wait for its issue.
    if result.rows.links.links.is_empty() {
        result.references.parents.clear();
    }
    Ok(result)
}

/// Adds the pull requests of an issue; `false` where it cannot be used.
fn add_issue(issue: Option<IssueMeta<'_>>, scope: Scope, into: &mut Transformed) -> bool {
    let Some(issue) = issue else {
        into.warnings.add("unusable_issue", None);
        return false;
    };
    let text = |id: Option<std::borrow::Cow<'_, str>>| id.map(std::borrow::Cow::into_owned);
    let name = IssueName { issue_id: text(issue.issue_id.id()), issue_key: text(issue.issue_key.filled_text()) };
    let Some(shown) = name.issue_id.clone().or_else(|| name.issue_key.clone()) else {
        into.warnings.add("unusable_issue", None);
        return false;
    };
    let given = if issue.dev_details.is_present() { issue.dev_details } else { issue.dev_status };
    let details = match given.object::<Details<'_>>() {
        Some(Details { detail: List::Other, .. }) => None,
        None if given.is_present() && !given.is_null() => None,
        details => Some(details),
    };
    let Some(details) = details else {
        into.warnings.add("unusable_issue", Some(&shown));
        return false;
    };
    into.references.parents.push(parent(&name, &shown, scope));
    let Some(details) = details else { return true };
    if matches!(&details.errors, List::Items(errors) if !errors.is_empty()) {
        into.warnings.add("upstream_errors", Some(&shown));
    }
    let List::Items(detail) = details.detail else { return true };
    let mut found = Vec::new();
    for one in detail {
        match one.read().map(|one| one.pull_requests) {
            Some(List::Items(requests)) => found.extend(requests.into_iter().map(Element::read)),
            Some(List::Nothing) => {}
            Some(List::Other) | None => into.warnings.add("unusable_pull_request", Some(&shown)),
        }
    }
    jira_pull_requests::add_all(found, &name, &shown, scope, into);
    true
}

fn parent(name: &IssueName, shown: &str, scope: Scope) -> Reference {
    let named =
        |target: Target, id: &Option<String>| id.clone().map(|external_id| (target, Key { scope, external_id }));
    let any_of = [named(Target::WorkItem, &name.issue_id), named(Target::WorkItemByKey, &name.issue_key)];
    let any_of = any_of.into_iter().flatten().collect();
    Reference { any_of, warning: "unresolved_issue", name: shown.to_owned() }
}
