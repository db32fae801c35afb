//! Documents of Jira: a ground of projects, types, statuses, fields and issues, and messages whose order makes no difference.

use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};

use super::world::{Document, IDS};

const PROJECTS: i64 = 3;
const TYPES: i64 = 4;
const STATUSES: i64 = 6;
const SPRINTS: i64 = 10;
/// Issues of the ground, and later versions of each.
const OLD_ISSUES: i64 = 300;
const VERSIONS: i64 = 3;
const NEW_ISSUES: i64 = 1_540;
/// Messages with several issues.
const BATCHES: i64 = 50;
const ISSUES_OF_A_BATCH: i64 = 5;
const DEV_STATUS: i64 = 900;
/// How often each sprint's report comes.
const REPORTS: i64 = 5;

/// In the order in which it has to be transformed.
pub(super) fn ground(tenant: i64) -> Vec<Document> {
    let mut documents = vec![
        Document { kind: "jira_custom_fields", payload: createmeta(tenant) },
        Document { kind: "jira_special_fields", payload: development_field() },
        Document { kind: "jira_projects_and_issue_types", payload: projects(tenant) },
        Document { kind: "jira_statuses_and_relationships", payload: statuses(tenant) },
    ];
    let issues: Vec<Value> = (0..OLD_ISSUES).map(|number| issue(tenant, number, 0)).collect();
    documents.extend(
        issues.chunks(100).map(|some| Document { kind: "jira_issues_changelogs", payload: json!({ "issues": some }) }),
    );
    documents
}

/// To come in any order.
pub(super) fn documents(tenant: i64, dice: &mut StdRng) -> Vec<Document> {
    let single = |number, version| Document {
        kind: "jira_issues_with_changelogs",
        payload: json!({ "issue": issue(tenant, number, version) }),
    };
    let mut documents: Vec<Document> = (0..OLD_ISSUES)
        .flat_map(|number| (1..=VERSIONS).map(move |version| (number, version)))
        .map(|(number, version)| single(number, version))
        .collect();
    let first_new = OLD_ISSUES;
    documents.extend((first_new..first_new + NEW_ISSUES).map(|number| single(number, dice.random_range(0..4))));
    let first_of_batches = first_new + NEW_ISSUES;
    documents.extend((0..BATCHES).map(|batch| {
        let first = first_of_batches + batch * ISSUES_OF_A_BATCH;
        let issues: Vec<Value> = (first..first + ISSUES_OF_A_BATCH).map(|number| issue(tenant, number, 1)).collect();
        Document { kind: "jira_issues_changelogs", payload: json!({ "issues": issues }) }
    }));
    documents.extend((0..DEV_STATUS).map(|number| dev_status(tenant, number)));
    for _ in 0..REPORTS {
        documents.extend((0..SPRINTS).map(|sprint| sprint_report(tenant, sprint)));
    }
    // What changes nothing, from an API that had nothing to say.
    documents.extend((0..5).map(|_| Document { kind: "jira_dev_status", payload: json!({}) }));
    documents
}

fn id(tenant: i64, number: i64) -> String {
    (tenant * IDS + number).to_string()
}

fn project_id(tenant: i64, number: i64) -> String {
    id(tenant, 1_000 + number % PROJECTS)
}

fn type_id(tenant: i64, number: i64) -> String {
    id(tenant, 1_100 + number % TYPES)
}

fn status_id(tenant: i64, number: i64) -> String {
    id(tenant, 1_200 + number % STATUSES)
}

fn issue_id(tenant: i64, number: i64) -> String {
    id(tenant, 100_000 + number)
}

fn types(tenant: i64) -> Vec<Value> {
    (0..TYPES)
        .map(|number| {
            json!({"id": type_id(tenant, number), "name": format!("Type {number}"), "description": "",
                             "subtask": false, "hierarchyLevel": 0})
        })
        .collect()
}

fn projects(tenant: i64) -> Value {
    let projects = (0..PROJECTS).map(|number| {
        json!({"id": project_id(tenant, number), "key": format!("P{number}"), "name": format!("Project {number} of {tenant}"),
               "projectTypeKey": "software", "issueTypes": types(tenant)})
    });
    projects.collect()
}

fn createmeta(tenant: i64) -> Value {
    let field = |name: &str, kind: &str| json!({"name": name, "schema": {"type": kind}, "operations": ["set"]});
    let fields = json!({"customfield_10001": field("Team", "team"), "customfield_10021": field("Sprint", "array"),
                        "customfield_10024": field("Story Points", "number")});
    let mut projects = projects(tenant);
    for project in projects.as_array_mut().into_iter().flatten() {
        for kind in project["issueTypes"].as_array_mut().into_iter().flatten() {
            kind["fields"] = fields.clone();
        }
        project["issuetypes"] = project["issueTypes"].take();
    }
    json!({ "projects": projects })
}

fn development_field() -> Value {
    json!({"maxResults": 50, "startAt": 0, "total": 1, "isLast": true, "values": [
        {"id": "customfield_10000", "name": "development", "schema": {"type": "any", "customId": 10000}}]})
}

fn statuses(tenant: i64) -> Value {
    let keys = ["new", "indeterminate", "done"];
    let statuses: Vec<Value> = (0..STATUSES)
        .map(|number| {
            let key = keys[usize::try_from(number % 3).expect("0 to 2")];
            json!({"id": status_id(tenant, number), "name": format!("Status {number}"), "description": "",
                   "statusCategory": {"id": number, "key": key, "name": key}})
        })
        .collect();
    let of_projects: Vec<Value> =
        (0..PROJECTS).map(|number| json!({"project_id": project_id(tenant, number), "statuses": statuses})).collect();
    json!({"statuses": statuses, "project_statuses": of_projects})
}

/// The first so many changes of an issue, one each hour; a later version has more of them.
fn issue(tenant: i64, number: i64, version: i64) -> Value {
    let changes = 2 * version + number % 3;
    let histories: Vec<Value> = (0..changes)
        .rev()
        .map(|change| {
            let (from, to) = (number + change, number + change + 1);
            json!({"id": id(tenant, 1_000_000 + number * 20 + change), "created": hour(number, change + 1),
                   "author": if change % 4 == 3 { Value::Null } else { json!({"displayName": format!("Person {}", change % 5)}) },
                   "items": [{"field": "status", "fieldId": "status", "from": status_id(tenant, from),
                              "fromString": "a", "to": status_id(tenant, to), "toString": "b"}]})
        })
        .collect();
    let sprints: Vec<Value> = (0..=number % 2).map(|offset| sprint(tenant, number + offset)).collect();
    json!({"id": issue_id(tenant, number), "key": format!("P{}-{number}", number % PROJECTS),
           "fields": {
               "project": {"id": project_id(tenant, number), "key": format!("P{}", number % PROJECTS)},
               "issuetype": {"id": type_id(tenant, number)},
               "status": {"id": status_id(tenant, number + changes)},
               "created": hour(number, 0), "updated": hour(number, changes + version + 1),
               "summary": format!("Issue {number}, version {version}: ä \" ' \\ 漢"),
               "description": {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [
                   {"type": "text", "text": format!("Version {version} of {number}")}]}]},
               "priority": if number % 7 == 0 { Value::Null } else { json!({"name": "High"}) },
               "resolution": null,
               "assignee": if number % 5 == 0 { Value::Null } else { json!({"displayName": format!("Person {}", number % 9)}) },
               "labels": (0..number % 3).map(|label| format!("label{label}")).collect::<Vec<_>>(),
               "customfield_10001": {"id": "t", "name": format!("Team {}", number % 4)},
               "customfield_10000": if number % 2 == 0 { "{}" } else { "{pullrequest={dataType=pullrequest}}" },
               "customfield_10021": sprints,
               "customfield_10024": number % 8,
           },
           "changelog": {"startAt": 0, "maxResults": 100, "total": changes, "histories": histories}})
}

fn sprint(tenant: i64, number: i64) -> Value {
    let number = number % SPRINTS;
    json!({"id": tenant * IDS + 2_000 + number, "name": format!("Sprint {number}"), "state": "closed", "boardId": 1,
           "goal": "", "startDate": format!("2024-0{}-01T09:00:00.000Z", 1 + number % 9),
           "endDate": format!("2024-0{}-14T09:00:00.000Z", 1 + number % 9)})
}

fn dev_status(tenant: i64, number: i64) -> Document {
    let issue = number % OLD_ISSUES;
    let url = format!("https://github.com/org{tenant}/repo{}/pull/{}", number % 7, 1 + number);
    let payload = json!({"issue_id": issue_id(tenant, issue), "issue_key": format!("P{}-{issue}", issue % PROJECTS),
        "dev_status": {"errors": [], "detail": [{"pullRequests": [
            {"id": format!("#{}", 1 + number), "name": "A change", "url": url, "status": "OPEN",
             "source": {"branch": format!("feature/{number}")}, "lastUpdate": "2024-03-01T10:00:00.000+0000"}]}]}});
    Document { kind: "jira_dev_status", payload }
}

fn sprint_report(tenant: i64, number: i64) -> Document {
    // Issues of the ground whose first sprint it is.
    let issues: Vec<Value> = (0..5)
        .map(|n| number + n * SPRINTS)
        .map(|issue| {
            json!({"key": format!("P{}-{issue}", issue % PROJECTS),
                            "estimateStatistic": {"statFieldValue": {"value": issue % 8}}})
        })
        .collect();
    let sum = |value: i64| json!({ "value": value });
    let payload = json!({"board_id": 1, "sprint_id": tenant * IDS + 2_000 + number, "sprint_report": {
        "sprint": {"id": tenant * IDS + 2_000 + number, "name": format!("Sprint {number}"), "state": "CLOSED"},
        "contents": {"completedIssues": issues[..3], "issuesNotCompletedInCurrentSprint": issues[3..], "puntedIssues": [],
                     "issueKeysAddedDuringSprint": {}, "completedIssuesEstimateSum": sum(10),
                     "issuesNotCompletedEstimateSum": sum(5), "puntedIssuesEstimateSum": sum(0),
                     "allIssuesEstimateSum": sum(15)}}});
    Document { kind: "jira_sprint_reports", payload }
}

/// The n-th hour of an issue.
fn hour(issue: i64, n: i64) -> String {
    format!("2024-{:02}-{:02}T{n:02}:{:02}:00.000+0000", 1 + issue % 12, 1 + issue % 28, issue % 60)
}
