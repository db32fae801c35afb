//! Which issue is or was in which sprint.

use serde::Serialize;

use super::Number;
use crate::job::reading::Moment;

/// The external ids of the sprints before and after one.
pub type Neighbours = (Option<String>, Option<String>);

/// A row of `work_items_sprints`, as far as a document knows it: the rest depends on stored rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Membership {
    /// When the history says that the issue came in, the last time.
    pub added: Option<Moment>,
    /// When the history says that it went out after that; where it does not say when it came in, the last time.
    pub removed: Option<Moment>,
    /// Every change of the estimate, in order: when, from what, to what.
    pub estimates: Vec<(Moment, Option<Number>, Option<Number>)>,
    /// The sprints before and after this one; `None` where the history tells of no sprints at all.
    pub neighbours: Option<Neighbours>,
}
