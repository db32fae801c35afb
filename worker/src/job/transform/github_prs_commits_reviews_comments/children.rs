//! What belongs to a pull request: commits, reviews, comments and threads of comments.

use serde::Deserialize;

use super::{Given, Key, Object, Scalar, Scope, Transformed, int, text};
use crate::job::{
    reading::List,
    rows::github::{Comment, CommentColumns, Commit, CommitColumns, CommitKey, Review, ReviewColumns},
};

/// A list with the place where the next page begins.
#[derive(Deserialize)]
#[serde(bound(deserialize = "N: Deserialize<'de>"))]
pub(super) struct Connection<N> {
    #[serde(default)]
    nodes: List<Object<N>>,
}

/// Somebody with an account.
#[derive(Deserialize)]
pub(super) struct Login<'a> {
    #[serde(borrow, default)]
    login: Scalar<'a>,
}

pub(super) fn login(author: &Object<Login<'_>>) -> Given<String> {
    author.key(|author| text(&author.login))
}

#[derive(Deserialize)]
pub(super) struct CommitNode<'a> {
    #[serde(borrow, default)]
    commit: Object<CommitMeta<'a>>,
}

#[derive(Deserialize)]
struct CommitMeta<'a> {
    #[serde(borrow, default)]
    oid: Scalar<'a>,
    #[serde(borrow, default)]
    message: Scalar<'a>,
    #[serde(borrow, default)]
    author: Object<Signature<'a>>,
    #[serde(borrow, default)]
    committer: Object<Signature<'a>>,
}

/// Somebody who may have no account, and when.
#[derive(Deserialize)]
struct Signature<'a> {
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    email: Scalar<'a>,
    #[serde(borrow, default)]
    date: Scalar<'a>,
}

#[derive(Deserialize)]
pub(super) struct ReviewNode<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    state: Scalar<'a>,
    #[serde(borrow, default)]
    body: Scalar<'a>,
    #[serde(borrow, default)]
    author: Object<Login<'a>>,
    #[serde(borrow, default, rename = "submittedAt")]
    submitted_at: Scalar<'a>,
    #[serde(borrow, default, rename = "createdAt")]
    created_at: Scalar<'a>,
}

#[derive(Deserialize)]
pub(super) struct CommentNode<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    body: Scalar<'a>,
    #[serde(borrow, default)]
    author: Object<Login<'a>>,
    #[serde(borrow, default, rename = "createdAt")]
    created_at: Scalar<'a>,
    #[serde(borrow, default, rename = "updatedAt")]
    updated_at: Scalar<'a>,
    #[serde(borrow, default)]
    path: Scalar<'a>,
    #[serde(borrow, default)]
    position: Scalar<'a>,
    #[serde(borrow, default)]
    line: Scalar<'a>,
}

#[derive(Deserialize)]
pub(super) struct ThreadNode<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    comments: Object<Connection<CommentNode<'a>>>,
}

/// Whether a node could be used; where not, its id, if that can be read.
type Added = Result<(), Option<String>>;

/// Adds what belongs to one pull request.
pub(super) struct Children<'a> {
    scope: Scope,
    pr: &'a str,
    into: &'a mut Transformed,
}

impl<'a> Children<'a> {
    pub(super) const fn new(scope: Scope, pr: &'a str, into: &'a mut Transformed) -> Self {
        Self { scope, pr, into }
    }

    /// Reads a page and adds what is on it: how many nodes there are, and how many of them can be used. `None` where it is no
    /// list.
    pub(super) fn page<'de, N: Deserialize<'de>>(
        &mut self,
        data: &'de str,
        unusable: &'static str,
        add: impl Fn(&mut Self, &N) -> Added,
    ) -> Result<Option<(usize, usize)>, serde_json::Error> {
        Ok(match serde_json::from_str(data)? {
            List::Items(nodes) => Some(self.nodes(&nodes, unusable, add)),
            List::Nothing => Some((0, 0)),
            List::Other => None,
        })
    }

    /// Adds the nodes of a connection, in the same way.
    pub(super) fn connection<N>(
        &mut self,
        connection: &Object<Connection<N>>,
        unusable: &'static str,
        add: impl Fn(&mut Self, &N) -> Added,
    ) -> (usize, usize) {
        if connection.is_nothing() {
            return (0, 0);
        }
        match connection.as_read().map(|connection| &connection.nodes) {
            Some(List::Items(nodes)) => self.nodes(nodes, unusable, add),
            Some(List::Nothing) => (0, 0),
            Some(List::Other) | None => {
                self.into.warnings.add(unusable, None);
                (1, 0)
            }
        }
    }

    fn nodes<N>(
        &mut self,
        nodes: &[Object<N>],
        unusable: &'static str,
        add: impl Fn(&mut Self, &N) -> Added,
    ) -> (usize, usize) {
        let (mut given, mut usable) = (0, 0);
        for node in nodes.iter().filter(|node| !node.is_nothing()) {
            given += 1;
            match node.as_read().ok_or(None).and_then(|node| add(self, node)) {
                Ok(()) => usable += 1,
                Err(id) => self.into.warnings.add(unusable, id.as_deref()),
            }
        }
        (given, usable)
    }

    pub(super) fn commit(&mut self, node: &CommitNode<'_>) -> Added {
        let commit = node.commit.as_read().ok_or(None)?;
        let oid = commit.oid.id().ok_or(None)?.into_owned();
        let mut date = |key: &Scalar<'_>| key.date(&mut self.into.warnings, Some(&oid));
        let (author, committer) = (&commit.author, &commit.committer);
        let columns = CommitColumns {
            author_name: author.key(|author| text(&author.name)),
            author_email: author.key(|author| text(&author.email)),
            committer_name: committer.key(|committer| text(&committer.name)),
            committer_email: committer.key(|committer| text(&committer.email)),
            message: text(&commit.message),
            authored_date: author.key(|author| date(&author.date)),
            committed_date: committer.key(|committer| date(&committer.date)),
        };
        let key = CommitKey { scope: self.scope, pr: self.pr.to_owned(), external_id: oid };
        self.into.rows.github.add_commit(key, Commit { columns });
        Ok(())
    }

    pub(super) fn review(&mut self, node: &ReviewNode<'_>) -> Added {
        let id = node.id.id().ok_or(None)?.into_owned();
        let mut date = |key: &Scalar<'_>| key.date(&mut self.into.warnings, Some(&id));
        let state = text(&node.state);
        let submitted_at = if matches!(&state, Some(Some(state)) if state == "PENDING") {
            Some(None)
        } else {
            match date(&node.submitted_at) {
                Some(Some(submitted)) => Some(Some(submitted)),
                nothing => date(&node.created_at).filter(Option::is_some).or(nothing),
            }
        };
        let columns = ReviewColumns { author_login: login(&node.author), state, body: text(&node.body), submitted_at };
        let key = Key { scope: self.scope, external_id: id };
        self.into.rows.github.add_review(key, Review { pr: self.pr.to_owned(), columns });
        Ok(())
    }

    /// A comment on the whole.
    pub(super) fn discussed(&mut self, node: &CommentNode<'_>) -> Added {
        self.comment(node, "discussion")
    }

    /// The comments on one line.
    pub(super) fn thread(&mut self, node: &ThreadNode<'_>) -> Added {
        let comments = self.connection(&node.comments, super::COMMENT, |this, node| this.comment(node, "review"));
        match comments {
            (1.., 0) => Err(node.id.id().map(std::borrow::Cow::into_owned)),
            _ => Ok(()),
        }
    }

    fn comment(&mut self, node: &CommentNode<'_>, comment_type: &'static str) -> Added {
        let id = node.id.id().ok_or(None)?.into_owned();
        let mut date = |key: &Scalar<'_>| key.date(&mut self.into.warnings, Some(&id));
        let columns = CommentColumns {
            author_login: login(&node.author),
            body: text(&node.body),
            path: text(&node.path),
            position: int(&node.position),
            line: int(&node.line),
            created_at_github: date(&node.created_at),
            updated_at_github: date(&node.updated_at),
        };
        let key = Key { scope: self.scope, external_id: id };
        self.into.rows.github.add_comment(key, Comment { pr: self.pr.to_owned(), comment_type, columns });
        Ok(())
    }
}
