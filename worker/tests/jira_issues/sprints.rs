//! Sprints and who is in them.

use serde_json::{Value, json};
use transform_worker::job::{
    reading::moment,
    registry::Transformed,
    rows::{Issue, Number, Rows, Sprint},
};

use super::{key, transform, warnings};

fn document(id: &str, field: &Value, histories: &Value) -> Value {
    json!({"issue": {"id": id, "key": format!("BEN-{id}"), "fields": {"created": "2024-01-01", "customfield_10021": field}, "changelog": {"histories": histories}}})
}

fn read(field: &Value, histories: &Value) -> (Issue, Transformed) {
    let result = transform(&document("1", field, histories));
    (result.rows.issues.issues[&key("1")].clone(), result)
}

fn change(day: u32, item: &Value) -> Value {
    json!({"id": day.to_string(), "created": format!("2024-01-{day:02}"), "items": [item]})
}

fn moved(day: u32, from: &Value, to: &Value) -> Value {
    change(day, &json!({"field": "Sprint", "fieldId": "customfield_10021", "from": from, "to": to}))
}

#[test]
fn a_sprint_has_its_columns() {
    let (issue, result) = read(
        &json!([{"id": 9, "name": "S", "state": "CLOSED", "boardId": 4, "goal": null, "startDate": "2024-01-02T00:00:00.000Z",
        "endDate": "", "completeDate": "soon"}]),
        &json!([]),
    );
    let expected = Sprint {
        name: "S".to_owned(),
        state: "closed".to_owned(),
        goal: Some(None),
        start_date: Some(moment("2024-01-02")),
        end_date: Some(None),
        complete_date: Some(None),
        board_id: Some(Some(4)),
    };
    assert_eq!(result.rows.issues.sprints[&key("9")], expected);
    assert_eq!(issue.memberships.keys().collect::<Vec<_>>(), ["9"]);
    assert_eq!(warnings(&result), [("bad_date".to_owned(), 1)]);
}

#[test]
fn what_is_no_sprint_is_a_warning() {
    for field in
        [json!("text"), json!({"id": 1}), json!(["com.atlassian.greenhopper.service.sprint.Sprint@1a[id=3,name=S]"])]
    {
        let (issue, result) = read(&field, &json!([]));
        assert!(issue.memberships.is_empty() && result.rows.issues.sprints.is_empty());
        assert_eq!(warnings(&result), [("sprint_unreadable".to_owned(), 1)], "{field}");
    }
    let (issue, result) =
        read(&json!([{"id": 1, "state": "active"}, {"id": 2, "name": "n"}, {"name": "n", "state": "s"}]), &json!([]));
    assert!(result.rows.issues.sprints.is_empty());
    assert_eq!(issue.memberships.len(), 2, "they may be stored already");
    assert_eq!(warnings(&result), [("unusable_sprint".to_owned(), 3)]);
    for field in [json!(null), json!([])] {
        assert!(warnings(&read(&field, &json!([])).1).is_empty());
    }
}

#[test]
fn the_history_tells_the_latest_membership() {
    let (issue, _) = read(
        &json!([]),
        &json!([
            moved(9, &json!("12, 15"), &json!(15)),
            moved(3, &json!(null), &json!("12")),
            moved(4, &json!("12"), &json!("")),
            moved(6, &json!(""), &json!(" 12,15 ,"))
        ]),
    );
    let of = |sprint: &str| {
        let row = &issue.memberships[sprint];
        (row.added, row.removed, row.neighbours.clone())
    };
    assert_eq!(issue.memberships.len(), 2);
    assert_eq!(of("12"), (moment("2024-01-06"), moment("2024-01-09"), Some((None, None))));
    assert_eq!(of("15"), (moment("2024-01-06"), None, Some((None, None))));

    let (issue, result) = read(&json!([{"id": 1}]), &json!([moved(4, &json!("1, 2"), &json!("5, 1, 6"))]));
    assert_eq!(issue.memberships["1"].neighbours, Some((Some("5".to_owned()), Some("6".to_owned()))));
    assert_eq!((issue.memberships["2"].added, issue.memberships["2"].removed), (None, moment("2024-01-04")));
    assert_eq!(result.rows.issues.mentioned.len(), 4);

    let (issue, _) = read(&json!([{"id": 1}]), &json!([change(4, &json!({"field": "Sprint", "from": "", "to": "1"}))]));
    assert_eq!(issue.memberships["1"].added, moment("2024-01-04"), "older sites name no field id");
    let (issue, _) = read(
        &json!([{"id": 1}]),
        &json!([change(4, &json!({"field": "Sprint", "fieldId": "customfield_5", "from": "", "to": "1"}))]),
    );
    assert_eq!(
        (issue.memberships["1"].added, issue.memberships["1"].neighbours.clone()),
        (None, None),
        "another field"
    );
}

#[test]
fn changes_of_the_estimate_come_along_in_order() {
    let points = |day: u32, from: &Value, to: &Value| {
        change(
            day,
            &json!({"field": "Story Points", "fieldId": "customfield_10024", "fromString": from, "toString": to}),
        )
    };
    let (issue, result) = read(
        &json!([{"id": 1, "name": "n", "state": "s"}]),
        &json!([
            points(5, &json!("3.0"), &json!("many")),
            points(2, &json!(null), &json!("3.0")),
            points(6, &json!(""), &json!(8))
        ]),
    );
    let number = |text: &str| Number::parse(text);
    assert_eq!(
        issue.memberships["1"].estimates,
        [
            (moment("2024-01-02").unwrap(), None, number("3")),
            (moment("2024-01-05").unwrap(), number("3"), None),
            (moment("2024-01-06").unwrap(), None, number("8"))
        ]
    );
    assert_eq!(warnings(&result), [("bad_number".to_owned(), 1)]);
}

#[test]
fn two_things_about_one_issue_or_a_changed_sprint_do_not_share_a_batch() {
    let sprint = |state: &str| json!([{"id": 9, "name": "S", "state": state}]);
    let rows = |id: &str, field: &Value, histories: &Value| transform(&document(id, field, histories)).rows.issues;
    let first = rows("1", &sprint("active"), &json!([]));
    assert!(!first.clashes_with(&first.clone()), "the same again");
    assert!(!first.clashes_with(&rows("2", &sprint("active"), &json!([]))));
    assert!(first.clashes_with(&rows("2", &sprint("closed"), &json!([]))), "the sprint has changed");
    assert!(
        first.clashes_with(&rows("1", &sprint("active"), &json!([moved(4, &json!(""), &json!("9"))]))),
        "the history has grown"
    );
    let naming = rows("3", &json!([]), &json!([moved(4, &json!("9"), &json!(""))]));
    assert!(naming.clashes_with(&first), "it was not stored when it was named");
    assert!(!first.clashes_with(&naming));
    let mut both = first.clone();
    both.merge(rows("2", &sprint("active"), &json!([])));
    assert_eq!((both.count(), both.issues.len()), (5, 2));
    assert!(both.clashes_with(&rows("4", &sprint("closed"), &json!([]))));
}
