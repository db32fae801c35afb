//! `github_prs_commits_reviews_comments`: a pull request with the first pages of what belongs to it, or one further page.
//!
//! Which of the two a document is shows in its shape: a page has a `nested_type`. What is null where GitHub may write null is
//! nothing; what is of another type than GitHub promises is skipped and counted.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::github_keys::{Object, int, text};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{self, Element, Scalar},
    references::Target,
    registry::{DataType, PayloadShape, Transformed},
    rows::{
        Given, Key, Scope,
        github::{PullRequestColumns, WholePullRequest},
    },
    warnings::Warnings,
};

mod children;

use children::{Children, CommentNode, CommitNode, Connection, Login, ReviewNode, ThreadNode, login};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "github_prs_commits_reviews_comments",
    aliases: &["github_prs", "github_prs_nested"],
    seeks: Tables::of(&[Table::Repositories]),
    needs: Tables::NONE,
    stores: Tables::of(&[Table::PullRequests]),
    transform,
};

// What is counted where a node cannot be used.
const COMMIT: &str = "unusable_commit";
const REVIEW: &str = "unusable_review";
const COMMENT: &str = "unusable_comment";
const THREAD: &str = "unusable_thread";

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    pr_id: Scalar<'a>,
    #[serde(borrow, default)]
    owner: Scalar<'a>,
    #[serde(borrow, default)]
    repo_name: Scalar<'a>,
    #[serde(borrow, default)]
    full_name: Scalar<'a>,
    #[serde(borrow, default)]
    nested_type: Scalar<'a>,
    #[serde(borrow, default)]
    pr_data: Object<PullRequestNode<'a>>,
    /// Read once it is known what is in it.
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PullRequestNode<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    number: Scalar<'a>,
    #[serde(borrow, default)]
    title: Scalar<'a>,
    #[serde(borrow, default)]
    body: Scalar<'a>,
    #[serde(borrow, default)]
    state: Scalar<'a>,
    #[serde(borrow, default, rename = "createdAt")]
    created_at: Scalar<'a>,
    #[serde(borrow, default, rename = "updatedAt")]
    updated_at: Scalar<'a>,
    #[serde(borrow, default, rename = "closedAt")]
    closed_at: Scalar<'a>,
    #[serde(borrow, default, rename = "mergedAt")]
    merged_at: Scalar<'a>,
    #[serde(borrow, default)]
    author: Object<Login<'a>>,
    #[serde(borrow, default)]
    additions: Scalar<'a>,
    #[serde(borrow, default)]
    deletions: Scalar<'a>,
    #[serde(borrow, default, rename = "changedFiles")]
    changed_files: Scalar<'a>,
    #[serde(borrow, default, rename = "headRefName")]
    head_ref_name: Scalar<'a>,
    #[serde(borrow, default, rename = "baseRefName")]
    base_ref_name: Scalar<'a>,
    #[serde(borrow, default)]
    commits: Object<Connection<CommitNode<'a>>>,
    #[serde(borrow, default)]
    reviews: Object<Connection<ReviewNode<'a>>>,
    #[serde(borrow, default)]
    comments: Object<Connection<CommentNode<'a>>>,
    #[serde(borrow, default, rename = "reviewThreads")]
    review_threads: Object<Connection<ThreadNode<'a>>>,
}

fn wrong(what: &str) -> PayloadShape {
    PayloadShape(format!("the document of github_prs_commits_reviews_comments {what}"))
}

fn unreadable(error: &serde_json::Error) -> PayloadShape {
    wrong(&format!("cannot be read (column {})", error.column()))
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    if reading::is_empty(document) {
        return Ok(Transformed::default());
    }
    if reading::is_too_deep(document) {
        return Err(wrong("is nested deeper than 128 levels"));
    }
    let root: Element<Document<'_>> = serde_json::from_str(document).map_err(|error| unreadable(&error))?;
    let root = root.read().ok_or_else(|| wrong("is not an object"))?;
    if root.nested_type.is_present() && !root.nested_type.is_null() {
        page(&root, context.scope)
    } else {
        whole(root, document, context.scope)
    }
}

/// The repository's full name, which every pull request has to have.
fn full_name(root: &Document<'_>) -> Result<String, PayloadShape> {
    let parts = || Some(format!("{}/{}", root.owner.filled_text()?, root.repo_name.filled_text()?));
    let name = root.full_name.filled_text().map(std::borrow::Cow::into_owned).or_else(parts);
    name.ok_or_else(|| wrong("names no repository: no \"full_name\", and no \"owner\" with \"repo_name\""))
}

fn refer_to_repository(scope: Scope, full_name: &str, into: &mut Transformed) {
    let external_id = full_name.to_lowercase();
    into.references.add(Target::Repository, Key { scope, external_id }, "unresolved_repository");
}

fn whole(root: Document<'_>, document: &str, scope: Scope) -> Result<Transformed, PayloadShape> {
    let mut result = Transformed::default();
    let full_name = full_name(&root);
    let node = match root.pr_data {
        Object::Null => return Ok(result),
        Object::Absent => return Err(wrong("has neither \"pr_data\" nor \"nested_type\"")),
        Object::Other => return Err(wrong("has something under \"pr_data\" that is no object")),
        Object::Read(node) => node,
    };
    if !node.id.is_present() && says_nothing(document) {
        return Ok(result);
    }
    let id = node.id.id().or_else(|| root.pr_id.id()).ok_or_else(|| wrong("has a pull request without id"))?;
    let repo_full_name = full_name?;
    refer_to_repository(scope, &repo_full_name, &mut result);
    let columns = columns(&node, &id, &mut result.warnings);
    let key = Key { scope, external_id: id.to_string() };
    result.rows.github.add_whole(key, WholePullRequest { repo_full_name, columns });

    let mut children = Children::new(scope, &id, &mut result);
    children.connection(&node.commits, COMMIT, Children::commit);
    children.connection(&node.reviews, REVIEW, Children::review);
    children.connection(&node.comments, COMMENT, Children::discussed);
    children.connection(&node.review_threads, THREAD, Children::thread);
    Ok(result)
}

/// Whether the pull request is there as `{}`.
fn says_nothing(document: &str) -> bool {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        pr_data: &'a RawValue,
    }
    serde_json::from_str::<Whole<'_>>(document).is_ok_and(|whole| reading::is_empty(whole.pr_data.get()))
}

fn columns(node: &PullRequestNode<'_>, id: &str, warnings: &mut Warnings) -> PullRequestColumns {
    let mut date = |key: &Scalar<'_>| key.date(warnings, Some(id));
    let status = text(&node.state);
    let open = status.as_ref().is_some_and(|status| status.as_deref() == Some("OPEN"));
    // A reopened pull request is neither closed nor merged; otherwise null says only that this query did not see the end.
    let mut end = |key: &Scalar<'_>| if open { Some(None) } else { date(key).filter(Option::is_some) };
    let (closed_at, merged_at) = (end(&node.closed_at), end(&node.merged_at));
    PullRequestColumns {
        number: int(&node.number),
        name: text(&node.title),
        user_name: login(&node.author),
        body: text(&node.body),
        source: text(&node.head_ref_name),
        destination: text(&node.base_ref_name),
        status,
        pr_created_at: date(&node.created_at),
        pr_updated_at: date(&node.updated_at),
        closed_at,
        merged_at,
        additions: int(&node.additions),
        deletions: int(&node.deletions),
        changed_files: int(&node.changed_files),
    }
}

/// A further page. One with nothing in it does not even make its pull request known.
fn page(root: &Document<'_>, scope: Scope) -> Result<Transformed, PayloadShape> {
    let mut result = Transformed::default();
    let data = root.data.map_or("null", RawValue::get);
    let id = root.pr_id.id();
    let mut children = Children::new(scope, id.as_deref().unwrap_or_default(), &mut result);
    let kind = root.nested_type.text();
    let counted = match kind.as_deref() {
        Some("commits") => children.page(data, COMMIT, Children::commit),
        Some("reviews") => children.page(data, REVIEW, Children::review),
        Some("comments") => children.page(data, COMMENT, Children::discussed),
        Some("review_threads") => children.page(data, THREAD, Children::thread),
        _ => return Err(wrong("has a \"nested_type\" that is not one of commits, reviews, comments, review_threads")),
    };
    let counted = counted.map_err(|error| unreadable(&error))?;
    let (nodes, usable) = counted.ok_or_else(|| wrong("has something under \"data\" that is no list"))?;
    if nodes == 0 {
        return Ok(result);
    }
    if usable == 0 {
        return Err(wrong(&format!("is a page of {nodes} nodes, none of which can be used")));
    }
    let external_id = id.ok_or_else(|| wrong("is a page without \"pr_id\""))?.into_owned();
    let repo_full_name = full_name(root)?;
    refer_to_repository(scope, &repo_full_name, &mut result);
    result.rows.github.add_placeholder(Key { scope, external_id }, repo_full_name);
    Ok(result)
}
