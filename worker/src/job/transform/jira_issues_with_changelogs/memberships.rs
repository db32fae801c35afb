//! In which sprints an issue is or was, as far as its field and its history tell.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Entry, Place};
use crate::job::{
    reading::Moment,
    rows::{Membership, Neighbours},
};

type Change<'a> = (Moment, &'a (Vec<String>, Vec<String>));

/// One for every sprint of the field and for every sprint that the history names.
pub(super) fn of(field: &BTreeSet<String>, history: &BTreeMap<Place, Entry>) -> BTreeMap<String, Membership> {
    let changes: Vec<Change<'_>> =
        history.iter().flat_map(|(place, entry)| entry.sprints.iter().map(|change| (place.at, change))).collect();
    let named = changes.iter().flat_map(|(_, (from, to))| from.iter().chain(to));
    let sprints: BTreeSet<&String> = field.iter().chain(named).collect();
    if sprints.is_empty() {
        return BTreeMap::new();
    }
    let estimates: Vec<_> = history
        .iter()
        .flat_map(|(place, entry)| entry.estimates.iter().map(|(from, to)| (place.at, *from, *to)))
        .collect();
    sprints
        .into_iter()
        .map(|sprint| {
            let (added, removed) = latest(sprint, &changes);
            let neighbours = changes.last().map(|(_, (_, to))| neighbours(sprint, to));
            (sprint.clone(), Membership { added, removed, estimates: estimates.clone(), neighbours })
        })
        .collect()
}

/// When the issue came in last, and when it went out after that.
fn latest(sprint: &String, changes: &[Change<'_>]) -> (Option<Moment>, Option<Moment>) {
    let (mut added, mut removed) = (None, None);
    for (at, (from, to)) in changes {
        match (from.contains(sprint), to.contains(sprint)) {
            (false, true) => (added, removed) = (Some(*at), None),
            (true, false) => removed = Some(*at),
            _ => {}
        }
    }
    (added, removed)
}

fn neighbours(sprint: &String, list: &[String]) -> Neighbours {
    let Some(place) = list.iter().position(|id| id == sprint) else { return (None, None) };
    (place.checked_sub(1).map(|before| list[before].clone()), list.get(place + 1).cloned())
}
