//! What a transform knows besides its document.

use super::rows::Scope;

/// How many columns of a work item an administrator can map.
pub const MAPPED_COLUMNS: usize = 20;

/// Which of Jira's custom fields fill which columns of a work item, by external id (`customfield_10024`); the stored choice
/// of one integration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldMapping {
    /// The team.
    pub team: Option<String>,
    /// The sprints.
    pub sprints: Option<String>,
    /// Pull requests and builds.
    pub development: Option<String>,
    /// The estimate.
    pub story_points: Option<String>,
    /// `custom_field_01` to `custom_field_20`.
    pub custom: [Option<String>; MAPPED_COLUMNS],
}

/// What a transform knows besides its document.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Whose document it is.
    pub scope: Scope,
    /// `None` where nothing is mapped yet: the columns that depend on it are left alone.
    pub mapping: Option<&'a FieldMapping>,
}

impl From<Scope> for Context<'_> {
    fn from(scope: Scope) -> Self {
        Self { scope, mapping: None }
    }
}
