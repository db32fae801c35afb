//! Which tenants of the combined status somebody asks for.

use axum::{extract::FromRequestParts, http::request::Parts};
use etl_shared::{TenantId, api::WorkerState};
use url::form_urlencoded;

use crate::{api::problem::Refusal, runtime::FleetView};

/// Most tenants of a page.
const PAGE: usize = 10_000;
/// Longest text to search for, in characters.
const SEARCH: usize = 100;

/// Everybody, unless something is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::api) struct Chosen {
    /// In lower case.
    pub(super) search: Option<String>,
    /// Empty: any.
    pub(super) states: Vec<WorkerState>,
    /// Tenants of a page; `None`: all.
    pub(super) limit: Option<usize>,
    /// Where the page before ended.
    pub(super) cursor: Option<TenantId>,
}

impl Chosen {
    /// What is only looked up where somebody asks for it matters: the combined status of thousands is written for each request.
    pub(super) fn matches(&self, view: &FleetView, tenant: TenantId) -> bool {
        let searched = self.search.as_deref().is_none_or(|search| {
            let name = view.names.get(&tenant);
            tenant.to_string().contains(search) || name.is_some_and(|name| name.to_lowercase().contains(search))
        });
        let stands = || view.workers_of(tenant).iter().any(|worker| self.states.contains(&worker.state));
        searched && (self.states.is_empty() || stands())
    }

    /// Read by hand, because a parameter may come more than once.
    fn read(query: &str) -> Result<Self, String> {
        let mut chosen = Self::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name != "state" && seen.contains(&name) {
                return Err(format!("{name} is there more than once"));
            }
            match &*name {
                "search" if value.chars().count() > SEARCH => {
                    return Err(format!("search may have at most {SEARCH} characters"));
                }
                "search" => chosen.search = Some(value.to_lowercase()).filter(|search| !search.is_empty()),
                "state" => {
                    for word in value.split(',') {
                        let state =
                            WorkerState::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(word));
                        let known = || WorkerState::ALL.map(WorkerState::as_str).join(", ");
                        chosen
                            .states
                            .push(state.ok_or_else(|| format!("there is no state {word:?}; there are {}", known()))?);
                    }
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE).contains(limit));
                    chosen.limit = Some(limit.ok_or_else(|| format!("limit must be from 1 to {PAGE}"))?);
                }
                "cursor" => {
                    chosen.cursor = Some(value.parse().map_err(|error| format!("cursor: {error}"))?);
                }
                _ => return Err(format!("there is no parameter {name:?}; there are search, state, limit and cursor")),
            }
            seen.push(name);
        }
        Ok(chosen)
    }
}

impl<S: Sync> FromRequestParts<S> for Chosen {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::read(parts.uri.query().unwrap_or_default())
            .map_err(|detail| Refusal::bad_request("invalid_parameter", detail))
    }
}

/// The same for the API's description.
#[allow(dead_code, reason = "only described")]
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ChosenParameters {
    /// Only tenants with this in their number or in what people call them, capitals or not.
    #[param(max_length = 100)]
    search: Option<String>,
    /// Only tenants with a worker in one of these states; may come more than once, and each may name several with commas between them.
    #[param(explode = true)]
    state: Option<Vec<WorkerState>>,
    /// So many tenants at most; everybody where absent.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<TenantId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fleet::{synthetic, tenant};

    #[test]
    fn states_may_be_repeated_or_listed() {
        let states = |query| Chosen::read(query).unwrap().states;
        assert_eq!(states("state=FATAL&state=backoff"), [WorkerState::Fatal, WorkerState::Backoff]);
        assert_eq!(states("state=FATAL%2CBACKOFF&limit=5"), [WorkerState::Fatal, WorkerState::Backoff]);
        assert_eq!(Chosen::read(""), Ok(Chosen::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for query in [
            "state=",
            "state=DEAD",
            "limit=0",
            "limit=10001",
            "limit=-1",
            "limit=x",
            "cursor=0",
            "limit=1&limit=2",
            "page=2",
        ] {
            assert!(Chosen::read(query).is_err(), "{query}");
        }
        assert!(Chosen::read(&format!("search={}", "ä".repeat(101))).is_err());
    }

    #[test]
    fn a_search_finds_numbers_and_names() {
        let mut view = synthetic(20);
        view.names = std::sync::Arc::new([(tenant(3), "Österreich GmbH".to_owned())].into());
        let found = |query| {
            let chosen = Chosen::read(query).unwrap();
            (1..=20).filter(|id| chosen.matches(&view, tenant(*id))).collect::<Vec<_>>()
        };
        assert_eq!(found("search=2"), [2, 12, 20]);
        assert_eq!(found("search=%C3%B6STERR"), [3]);
        assert_eq!(found("state=FATAL"), [] as [i64; 0]);
        assert_eq!(found("state=RUNNING&search=19"), [19]);
    }
}
