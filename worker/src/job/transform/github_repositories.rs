//! `github_repositories`: what GitHub says about repositories.
//!
//! A list, bare or under `repositories`, or one repository alone.

use serde::Deserialize;

use super::github_keys::{Object, count, flag, text};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{self, Element, List, Scalar},
    registry::{DataType, PayloadShape, Transformed},
    rows::{
        Key, Scope,
        github::{Repository, RepositoryColumns},
    },
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: "github_repositories",
    aliases: &[],
    seeks: Tables::NONE,
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Repositories]),
    transform,
};

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    repositories: List<Element<Meta<'a>>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    full_name: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    owner: Object<Owner<'a>>,
    #[serde(borrow, default)]
    description: Scalar<'a>,
    #[serde(borrow, default)]
    language: Scalar<'a>,
    #[serde(borrow, default)]
    default_branch: Scalar<'a>,
    #[serde(borrow, default)]
    visibility: Scalar<'a>,
    #[serde(borrow, default)]
    topics: List<Scalar<'a>>,
    #[serde(borrow, default)]
    private: Scalar<'a>,
    #[serde(borrow, default)]
    archived: Scalar<'a>,
    #[serde(borrow, default)]
    disabled: Scalar<'a>,
    #[serde(borrow, default)]
    fork: Scalar<'a>,
    #[serde(borrow, default)]
    is_template: Scalar<'a>,
    #[serde(borrow, default)]
    allow_forking: Scalar<'a>,
    #[serde(borrow, default)]
    web_commit_signoff_required: Scalar<'a>,
    #[serde(borrow, default)]
    has_issues: Scalar<'a>,
    #[serde(borrow, default)]
    has_wiki: Scalar<'a>,
    #[serde(borrow, default)]
    has_discussions: Scalar<'a>,
    #[serde(borrow, default)]
    has_projects: Scalar<'a>,
    #[serde(borrow, default)]
    has_downloads: Scalar<'a>,
    #[serde(borrow, default)]
    has_pages: Scalar<'a>,
    #[serde(borrow, default)]
    license: Object<License<'a>>,
    #[serde(borrow, default)]
    stargazers_count: Scalar<'a>,
    #[serde(borrow, default)]
    forks_count: Scalar<'a>,
    #[serde(borrow, default)]
    open_issues_count: Scalar<'a>,
    #[serde(borrow, default)]
    size: Scalar<'a>,
    #[serde(borrow, default)]
    created_at: Scalar<'a>,
    #[serde(borrow, default)]
    updated_at: Scalar<'a>,
    #[serde(borrow, default)]
    pushed_at: Scalar<'a>,
}

#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow, default)]
    login: Scalar<'a>,
}

#[derive(Deserialize)]
struct License<'a> {
    #[serde(borrow, default)]
    name: Scalar<'a>,
}

fn wrong(what: &str) -> PayloadShape {
    PayloadShape(format!("the document of github_repositories {what}"))
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let mut result = Transformed::default();
    if reading::is_empty(document) {
        return Ok(result);
    }
    if reading::is_too_deep(document) {
        return Err(wrong("is nested deeper than 128 levels"));
    }
    let repositories = list(document)?;
    let (given, mut usable) = (repositories.len(), 0);
    for repository in repositories {
        usable += usize::from(add(repository.read(), context.scope, &mut result));
    }
    if given > 0 && usable == 0 {
        return Err(wrong(&format!("lists {given} repositories, none of them with id and full_name")));
    }
    Ok(result)
}

fn list(document: &str) -> Result<Vec<Element<Meta<'_>>>, PayloadShape> {
    let unreadable = |error: serde_json::Error| wrong(&format!("cannot be read (column {})", error.column()));
    if let List::Items(repositories) = serde_json::from_str(document).map_err(unreadable)? {
        return Ok(repositories);
    }
    let root: Element<Document<'_>> = serde_json::from_str(document).map_err(unreadable)?;
    match root.read().map(|root| root.repositories) {
        None => Err(wrong("is neither an object nor a list")),
        Some(List::Items(repositories)) => Ok(repositories),
        Some(List::Nothing) if names_the_list(document) => Ok(Vec::new()),
        Some(List::Nothing) => match serde_json::from_str(document).map_err(unreadable)? {
            Element::Read(Meta { id, full_name, .. }) if !id.is_present() && !full_name.is_present() => {
                Err(wrong("has no list under \"repositories\" and is no repository itself"))
            }
            alone => Ok(vec![alone]),
        },
        Some(List::Other) => Err(wrong("has something under \"repositories\" that is no list")),
    }
}

/// Whether the list is there with `null`, which says that there are no repositories.
fn names_the_list(document: &str) -> bool {
    #[derive(Deserialize)]
    struct Lists<'a> {
        #[serde(borrow, default)]
        repositories: Scalar<'a>,
    }
    serde_json::from_str::<Lists<'_>>(document).is_ok_and(|lists| lists.repositories.is_present())
}

/// Adds a repository; `false` where it cannot be used.
fn add(repository: Option<Meta<'_>>, scope: Scope, into: &mut Transformed) -> bool {
    let Some(repository) = repository else {
        into.warnings.add("unusable_repository", None);
        return false;
    };
    let id = repository.id.id();
    let (Some(id), Some(full_name)) = (&id, repository.full_name.filled_text()) else {
        into.warnings.add("unusable_repository", id.as_deref());
        return false;
    };
    let mut date = |key: &Scalar<'_>| key.date(&mut into.warnings, Some(id));
    let columns = RepositoryColumns {
        name: text(&repository.name),
        owner: repository.owner.key(|owner| text(&owner.login)),
        description: text(&repository.description),
        language: text(&repository.language),
        default_branch: text(&repository.default_branch),
        visibility: text(&repository.visibility),
        is_private: flag(&repository.private),
        archived: flag(&repository.archived),
        disabled: flag(&repository.disabled),
        fork: flag(&repository.fork),
        is_template: flag(&repository.is_template),
        allow_forking: flag(&repository.allow_forking),
        web_commit_signoff_required: flag(&repository.web_commit_signoff_required),
        has_issues: flag(&repository.has_issues),
        has_wiki: flag(&repository.has_wiki),
        has_discussions: flag(&repository.has_discussions),
        has_projects: flag(&repository.has_projects),
        has_downloads: flag(&repository.has_downloads),
        has_pages: flag(&repository.has_pages),
        license: repository.license.key(|license| text(&license.name)),
        stargazers_count: count(&repository.stargazers_count),
        forks_count: count(&repository.forks_count),
        open_issues_count: count(&repository.open_issues_count),
        size: count(&repository.size),
        repo_created_at: date(&repository.created_at),
        repo_updated_at: date(&repository.updated_at),
        pushed_at: date(&repository.pushed_at),
    };
    let topics: Vec<_> = match &repository.topics {
        List::Items(topics) => topics.iter().filter_map(Scalar::text).collect(),
        List::Nothing | List::Other => Vec::new(),
    };
    let topics = serde_json::to_string(&topics).unwrap_or_else(|_| "[]".to_owned());
    let row = Repository { full_name: full_name.into_owned(), topics, columns };
    into.rows.github.add_repository(Key { scope, external_id: id.to_string() }, row);
    true
}
