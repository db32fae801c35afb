//! `jira_sprint_reports`: how a sprint ended, as one board reports it.
//!
//! The call behind it is not documented, so every key may be missing. The report adds its own columns to a sprint and to the
//! issues in it; the sprint itself is stored only where nobody else has stored it.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use super::opening::{self, refused};
use crate::job::{
    Context,
    batching::{Table, Tables},
    reading::{Element, List, Scalar},
    references::{Reference, References, Target},
    registry::{DataType, PayloadShape, Transformed},
    rows::{Estimate, Key, NewSprint, Outcome, Report, Reported},
    warnings::Warnings,
};

/// The registry's entry.
pub static DATA_TYPE: DataType = DataType {
    name: NAME,
    aliases: &[],
    // Its sprint, too; but only another report of the same sprint or an issue stores that, and both end the batch anyway.
    seeks: Tables::of(&[Table::WorkItems]),
    needs: Tables::NONE,
    stores: Tables::of(&[Table::Sprints]),
    transform,
};

const NAME: &str = "jira_sprint_reports";

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    board_id: Scalar<'a>,
    #[serde(borrow, default)]
    sprint_id: Scalar<'a>,
    #[serde(borrow, default)]
    sprint_report: Scalar<'a>,
}

#[derive(Deserialize)]
struct SprintReport<'a> {
    #[serde(borrow, default)]
    sprint: Element<SprintMeta<'a>>,
    #[serde(borrow, default)]
    contents: Scalar<'a>,
}

#[derive(Deserialize)]
struct SprintMeta<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    state: Scalar<'a>,
    #[serde(borrow, default)]
    goal: Scalar<'a>,
    // The dates without "iso" are texts in the language of whoever asked.
    #[serde(borrow, default, rename = "isoStartDate")]
    start: Scalar<'a>,
    #[serde(borrow, default, rename = "isoEndDate")]
    end: Scalar<'a>,
    #[serde(borrow, default, rename = "isoCompleteDate")]
    complete: Scalar<'a>,
}

#[derive(Deserialize)]
struct Contents<'a> {
    #[serde(borrow, default, rename = "completedIssues")]
    completed: List<Element<IssueMeta<'a>>>,
    #[serde(borrow, default, rename = "issuesNotCompletedInCurrentSprint")]
    not_completed: List<Element<IssueMeta<'a>>>,
    #[serde(borrow, default, rename = "puntedIssues")]
    punted: List<Element<IssueMeta<'a>>>,
    #[serde(borrow, default, rename = "issueKeysAddedDuringSprint")]
    added: Scalar<'a>,
    #[serde(borrow, default, rename = "completedIssuesEstimateSum")]
    completed_sum: Element<Value<'a>>,
    #[serde(borrow, default, rename = "issuesNotCompletedEstimateSum")]
    not_completed_sum: Element<Value<'a>>,
    #[serde(borrow, default, rename = "puntedIssuesEstimateSum")]
    punted_sum: Element<Value<'a>>,
    #[serde(borrow, default, rename = "allIssuesEstimateSum")]
    all_sum: Element<Value<'a>>,
}

#[derive(Deserialize)]
struct IssueMeta<'a> {
    #[serde(borrow, default)]
    key: Scalar<'a>,
    #[serde(borrow, default, rename = "estimateStatistic")]
    estimate: Element<Statistic<'a>>,
}

#[derive(Deserialize)]
struct Statistic<'a> {
    #[serde(borrow, default, rename = "statFieldValue")]
    field: Element<Value<'a>>,
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow, default)]
    value: Scalar<'a>,
}

fn transform(document: &str, context: &Context<'_>) -> Result<Transformed, PayloadShape> {
    let Some(root) = opening::object::<Document<'_>>(NAME, document)? else {
        return Ok(Transformed::default());
    };
    if root.sprint_report.is_null() {
        return Ok(Transformed::default());
    }
    let Some(SprintReport { sprint, contents }) = root.sprint_report.object() else {
        return Err(refused(NAME, "has no object under \"sprint_report\""));
    };
    // A report that says nothing does not clear what an earlier one has said.
    if !contents.is_present() || contents.is_null() || contents.is_empty_object() {
        return Ok(Transformed::default());
    }
    let Some(contents) = contents.object::<Contents<'_>>() else {
        return Err(refused(NAME, "has something else than an object under \"contents\""));
    };
    let sprint = sprint.read();
    let Some(id) = root.sprint_id.id().or_else(|| sprint.as_ref()?.id.id()) else {
        return Err(refused(NAME, "does not say which sprint it is about"));
    };
    let mut result = Transformed::default();
    let mut report = report(&contents, &id, &mut result.warnings)
        .ok_or_else(|| refused(NAME, "lists issues, none of them with a key"))?;
    report.board_id = root.board_id.id().and_then(|id| id.parse().ok());
    if report.board_id.is_none() && root.board_id.is_present() && !root.board_id.is_null() {
        result.warnings.add("bad_number", Some(&id));
    }
    report.sprint = sprint.and_then(|sprint| new_sprint(&sprint, &id, &mut result.warnings));
    let key = Key { scope: context.scope, external_id: id.into_owned() };
    refer(&key, &report, &mut result.references);
    result.rows.reports.reports.insert(key, report);
    Ok(result)
}

/// The report's own columns; `None` where it lists issues and none can be used.
fn report(contents: &Contents<'_>, sprint: &str, warnings: &mut Warnings) -> Option<Report> {
    let added: BTreeMap<String, Scalar<'_>> = contents.added.read_as().unwrap_or_default();
    let mut issues = BTreeMap::new();
    let mut unusable = false;
    // A key in several lists: the first of them counts.
    for (list, sprint_outcome) in [
        (&contents.punted, Outcome::Punted),
        (&contents.completed, Outcome::Completed),
        (&contents.not_completed, Outcome::NotCompleted),
    ] {
        let List::Items(list) = list else { continue };
        for issue in list {
            let key = issue.as_read().and_then(|issue| issue.key.filled_text());
            let (Some(issue), Some(key)) = (issue.as_read(), key) else {
                warnings.add("unusable_issue", None);
                unusable = true;
                continue;
            };
            let estimate_at_end =
                issue.estimate.as_read().and_then(|statistic| estimate(&statistic.field, &key, warnings));
            let added_during_sprint = added.get(key.as_ref()).is_some_and(Scalar::is_true);
            let membership = Reported { sprint_outcome, added_during_sprint, estimate_at_end };
            issues.entry(key.into_owned()).or_insert(membership);
        }
    }
    let mut sum = |of: &Element<Value<'_>>| estimate(of, sprint, warnings);
    (!unusable || !issues.is_empty()).then(|| Report {
        board_id: None,
        sprint: None,
        completed_estimate: sum(&contents.completed_sum),
        not_completed_estimate: sum(&contents.not_completed_sum),
        punted_estimate: sum(&contents.punted_sum),
        total_estimate: sum(&contents.all_sum),
        scope_change_count: added.values().filter(|value| value.is_true()).count().try_into().unwrap_or(i32::MAX),
        issues,
    })
}

/// A number, or nothing; what is neither is nothing, with a warning.
fn estimate(of: &Element<Value<'_>>, id: &str, warnings: &mut Warnings) -> Option<Estimate> {
    let value = &of.as_read()?.value;
    let number = value.id().and_then(|text| text.trim().parse().ok()).and_then(Estimate::new);
    if number.is_none() && value.is_present() && !value.is_null() {
        warnings.add("bad_number", Some(id));
    }
    number
}

fn new_sprint(sprint: &SprintMeta<'_>, id: &str, warnings: &mut Warnings) -> Option<NewSprint> {
    Some(NewSprint {
        name: sprint.name.filled_text()?.into_owned(),
        state: sprint.state.filled_text()?.to_lowercase(),
        goal: sprint.goal.text().map(Cow::into_owned),
        start_date: sprint.start.date(warnings, Some(id)).flatten(),
        end_date: sprint.end.date(warnings, Some(id)).flatten(),
        complete_date: sprint.complete.date(warnings, Some(id)).flatten(),
    })
}

/// The issues have to be stored, the sprint only where the report cannot store it; and on this board.
fn refer(sprint: &Key, report: &Report, references: &mut References) {
    let scope = sprint.scope;
    let one = |target: Target, external_id: String, warning: &'static str, name: &str| Reference {
        any_of: vec![(target, Key { scope, external_id })],
        warning,
        name: name.to_owned(),
    };
    let id = &sprint.external_id;
    if report.sprint.is_none() {
        references.parents.push(one(Target::Sprint, id.clone(), "unresolved_sprint", id));
    }
    if let Some(board) = report.board_id {
        references.optional.push(one(Target::SprintOnBoard, format!("{id}/{board}"), "other_board", id));
    }
    let issues = report.issues.keys();
    references.optional.extend(issues.map(|key| one(Target::WorkItemByKey, key.clone(), "unresolved_issue", key)));
}
