//! Fields, projects, types and statuses of Jira.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use system_tests::{
    SOON,
    documents::{Documents, TENANT},
    eventually,
    platform::queue_of,
    worker::WorkerRun,
};

fn status(id: u32, name: &str, category: &str) -> Value {
    json!({"self": "s", "id": id.to_string(), "name": name, "description": "",
        "statusCategory": {"id": 2, "key": category, "colorName": "yellow", "name": "in Arbeit"}})
}

fn createmeta(fields: &Value) -> Value {
    json!({"projects": [{"id": "10000", "key": "BEN", "name": "Ben",
        "issuetypes": [{"id": "1", "name": "Bug", "fields": fields}]}]})
}

fn special() -> Value {
    json!({"maxResults": 50, "startAt": 0, "total": 1, "isLast": true, "values": [{"id": "customfield_10000",
        "name": "development", "schema": {"type": "any", "custom": "devsummarycf", "customId": 10000}}]})
}

/// The columns of a tenant's mapping that are filled, with the field's external id.
async fn mapping(documents: &Documents) -> Value {
    let mut rows = documents.tables().await.remove("custom_fields_mappings").unwrap_or_default();
    assert!(rows.len() <= 1, "{rows:?}");
    let mut row = rows.pop().unwrap_or_default();
    if let Some(columns) = row.as_object_mut() {
        columns.retain(|name, value| name.ends_with("_field_id") && !value.is_null());
    }
    row
}

#[tokio::test]
async fn a_document_becomes_rows_whose_references_can_be_read() {
    let documents = Documents::new().await;
    documents.transform_cleanly("jira_custom_fields", &createmeta(&json!({}))).await;
    let tables = documents.tables().await;
    assert_eq!(
        tables["projects_wits"],
        [json!({"tenant_id": 1, "integration_id": 10, "project_id": "10000", "wit_id": "1", "active": true})]
    );
}

#[tokio::test]
async fn projects_and_types_are_stored_renamed_and_never_lose_what_is_not_said() {
    let documents = Documents::new().await;
    let kind = "jira_projects_and_issue_types";
    let project = |key: &str, more: Value| {
        let mut project = json!({"id": 10000, "key": key, "name": "Ben"});
        project.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        json!({"values": [project]})
    };
    let types = json!({"projectTypeKey": "software", "issueTypes": [
        {"id": "1", "name": "Bug", "description": "d", "subtask": false, "hierarchyLevel": 0},
        {"id": "2", "name": "Epic", "hierarchyLevel": 1}, {"id": "1", "name": "Bug again"}]});
    let raw = documents.add_as("jira_project_search", kind, &project("BEN", types)).await;
    documents.serve(50).await;
    assert_eq!(documents.platform.raw(raw).await.error_details, None);
    documents.transform_cleanly(kind, &project("NEW", json!({}))).await;
    let tables = documents.tables().await;
    let row = json!({"tenant_id": 1, "integration_id": 10, "external_id": "10000", "key": "NEW", "name": "Ben",
        "project_type": "software", "active": true});
    assert_eq!(tables["projects"], [row]);
    assert_eq!((tables["wits"].len(), tables["projects_wits"].len()), (2, 2));

    let before = documents.platform.versions().await;
    documents.transform_cleanly(kind, &project("NEW", json!({"projectTypeKey": "software"}))).await;
    assert_eq!(documents.platform.versions().await, before, "a second identical run changes no row");
    documents.transform_cleanly(kind, &project("NEW", json!({"projectTypeKey": null}))).await;
    assert_eq!(documents.tables().await["projects"][0]["project_type"], Value::Null);
}

#[tokio::test]
async fn projects_are_changed_while_somebody_else_relates_to_them() {
    let documents = Documents::new().await;
    let kind = "jira_projects_and_issue_types";
    let types = json!([{"id": "1", "name": "Bug"}]);
    documents.transform_cleanly(kind, &json!([{"id": 1, "key": "A", "name": "a", "issueTypes": types}])).await;
    let holder = documents.platform.database.connect().await;
    let relate = "BEGIN; INSERT INTO statuses (tenant_id, integration_id, external_id, original_name, category)
                      VALUES (1, 10, '1', 'Open', 'To Do');
                  INSERT INTO projects_statuses (tenant_id, integration_id, project_id, status_id)
                      SELECT 1, 10, p.id, s.id FROM projects p, statuses s";
    holder.batch_execute(relate).await.expect("a relation");
    // Two projects that give different columns are written in turns, so their rows are locked first.
    let both =
        json!([{"id": 1, "key": "B", "name": "b"}, {"id": 2, "key": "C", "name": "c", "projectTypeKey": "software"}]);
    documents.transform_cleanly(kind, &both).await;
    holder.batch_execute("ROLLBACK").await.expect("the end");
    assert_eq!(documents.tables().await["projects"][0]["key"], "B");
}

#[tokio::test]
async fn statuses_are_related_to_projects_by_key_and_by_id() {
    let documents = Documents::new().await;
    let client = documents.platform.database.client();
    client
        .batch_execute(
            "INSERT INTO statuses_mappings (tenant_id, status_from, status_to, active)
                 VALUES (1, 'Open', 'To Do', true), (1, 'open', 'x', true), (1, 'Old', 'x', false);
             INSERT INTO projects (tenant_id, integration_id, external_id, key, name)
                 VALUES (1, 10, '999', 'BEN', 'has left the key'), (1, 10, '1000', 'BEN', 'has taken it'), (1, 10, '7', 'OPS', '')",
        )
        .await
        .expect("rows");
    let kind = "jira_statuses_and_relationships";
    let first = json!({"project_key": "BEN", "statuses": [
        {"id": "1", "name": "Story", "subtask": false, "statuses": [status(1, "Open", "new"), status(2, "Old", "done")]},
        {"id": "2", "name": "Bug", "subtask": false, "statuses": [status(2, "Old", "done"), status(3, "Open", "new")]}]});
    let raw = documents.add_as("jira_project_statuses", kind, &first).await;
    let second = json!({"statuses": [status(4, "Open", "indeterminate")], "project_statuses": [
        {"project_id": "7", "statuses": ["4", "1", "77"]}, {"project_id": "404", "statuses": ["4"]}]});
    let other = documents.add("jira_statuses_and_project_relationships", &second).await;
    documents.serve(50).await;
    assert_eq!(documents.platform.raw(raw).await.error_details, None);
    let warnings = documents.platform.raw(other).await.error_details.expect("warnings");
    assert_eq!(
        warnings["warnings"],
        json!([{"reason": "unresolved_project", "count": 1, "ids": ["404"]},
            {"reason": "unresolved_status", "count": 1, "ids": ["77"]}])
    );
    let select = "SELECT external_id AS id, original_name AS name, category, m.status_from AS mapped
                  FROM statuses s LEFT JOIN statuses_mappings m ON m.id = s.status_mapping_id ORDER BY 1";
    assert_eq!(
        documents.rows(select).await,
        [
            json!({"id": "1", "name": "Open", "category": "To Do", "mapped": "Open"}),
            json!({"id": "2", "name": "Old", "category": "Done", "mapped": null}),
            json!({"id": "3", "name": "Open", "category": "To Do", "mapped": "Open"}),
            json!({"id": "4", "name": "Open", "category": "In Progress", "mapped": "Open"}),
        ]
    );
    let mut pairs: Vec<String> = (documents.tables().await["projects_statuses"].iter())
        .map(|row| format!("{} {}", row["project_id"], row["status_id"]).replace('"', ""))
        .collect();
    pairs.sort_unstable();
    assert_eq!(pairs, ["1000 1", "1000 2", "1000 3", "7 1", "7 4"]);

    let before = documents.platform.versions().await;
    documents.transform_cleanly(kind, &first).await;
    assert_eq!(documents.platform.versions().await, before, "a second identical run changes no row");
    documents.transform_cleanly(kind, &json!({"statuses": [{"id": "1", "name": "Offen", "description": null}]})).await;
    let rows = documents
        .rows("SELECT original_name, category, description, status_mapping_id FROM statuses WHERE external_id = '1'");
    let renamed =
        json!({"original_name": "Offen", "category": "To Do", "description": null, "status_mapping_id": null});
    assert_eq!(rows.await, [renamed]);
}

#[tokio::test]
async fn eighty_statuses_stay_eighty_though_their_names_are_few() {
    let documents = Documents::new().await;
    let names = ["Open", "In Progress", "Done"];
    let all: Vec<Value> = (0..80).map(|id| status(id, names[id as usize % 3], "new")).collect();
    let projects: Vec<Value> =
        (0..10).map(|id| json!({"id": id, "key": format!("P{id}"), "name": "p", "issueTypes": []})).collect();
    documents.transform_cleanly("jira_projects_and_issue_types", &json!(projects)).await;
    for (number, statuses) in all.chunks(8).enumerate() {
        // Each project also has four statuses of the next one.
        let shared: Vec<Value> = all.iter().cycle().skip(8 * number + 8).take(4).cloned().collect();
        let types = json!([{"id": "1", "name": "Story", "subtask": false, "statuses": statuses},
            {"id": "2", "name": "Bug", "subtask": false, "statuses": shared}]);
        documents
            .add("jira_statuses_and_relationships", &json!({"project_key": format!("P{number}"), "statuses": types}))
            .await;
    }
    documents.serve(50).await;
    let tables = documents.tables().await;
    assert_eq!((tables["statuses"].len(), tables["projects_statuses"].len()), (80, 120));
}

#[tokio::test]
async fn the_special_field_before_and_after_createmeta_gives_the_same_tables() {
    let fields = json!({"customfield_10000": {"name": "development", "schema": {"type": "any"}},
        "customfield_10024": {"name": "Story Points", "schema": {"type": "number"}, "operations": ["set"]}});
    let mut ends = Vec::new();
    for (order, batch) in [([true, false], 1), ([false, true], 1), ([true, false], 50), ([false, true], 50)] {
        let documents = Documents::new().await;
        for special_now in order {
            let (kind, document) = if special_now {
                ("jira_special_fields", special())
            } else {
                ("jira_custom_fields", createmeta(&fields))
            };
            documents.add(kind, &document).await;
        }
        documents.serve(batch).await;
        let mapped = json!({"development_field_id": "customfield_10000", "story_points_field_id": "customfield_10024"});
        assert_eq!(mapping(&documents).await, mapped, "{order:?} in batches of {batch}");
        ends.push(documents.tables().await);
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:#?}");
    assert_eq!(ends[0]["custom_fields"][0]["name"], "Development");
}

#[tokio::test]
async fn the_special_field_during_createmeta_gives_the_same_mapping() {
    let fields = json!({"customfield_10024": {"name": "Story Points", "schema": {"type": "number"}}});
    let both = [("jira_special_fields", special()), ("jira_custom_fields", createmeta(&fields))];
    // The mapping that somebody else has begun is there in the end, or is not.
    for end in ["COMMIT", "ROLLBACK"] {
        at_once(&both, end).await;
    }
}

/// Both workers have stored their field, neither has committed, and both come to the mapping.
async fn at_once(both: &[(&str, Value)], end: &str) {
    let documents = Documents::new().await;
    let platform = &documents.platform;
    let holder = platform.database.connect().await;
    let mapping_row = "BEGIN; INSERT INTO custom_fields_mappings (tenant_id, integration_id) VALUES (1, 10)";
    holder.batch_execute(mapping_row).await.expect("a row");
    let (mut raws, mut workers) = (Vec::new(), Vec::new());
    for (kind, document) in both {
        let waiting = workers.len() + 1;
        // Whoever takes one message leaves the other one to the other.
        let arguments = ["--queue", &queue_of(TENANT), "--prefetch", "1", "--batch", "1"];
        workers.push(WorkerRun::on(platform).arguments(&arguments).start());
        raws.push(documents.add(kind, document).await);
        eventually(format!("{waiting} workers wait"), SOON, async || {
            let select = "SELECT count(*) FROM pg_stat_activity
                          WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let row = platform.database.client().query_one(select, &[]).await.map_err(|error| error.to_string())?;
            let seen = usize::try_from(row.get::<_, i64>(0)).unwrap_or_default();
            if seen == waiting { Ok(()) } else { Err(format!("{seen}")) }
        })
        .await;
    }
    holder.batch_execute(end).await.expect("the lock ends");
    platform.completed(&raws).await;
    let expected = json!({"development_field_id": "customfield_10000", "story_points_field_id": "customfield_10024"});
    assert_eq!(mapping(&documents).await, expected, "after {end}");
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_mapping_chosen_by_hand_stands_whatever_comes_later() {
    let documents = Documents::new().await;
    let fields = json!({"customfield_77": {"name": "Our points"}, "customfield_10001": {"name": "Team"}});
    documents.transform_cleanly("jira_custom_fields", &createmeta(&fields)).await;
    let choose = "UPDATE custom_fields_mappings SET development_field_id =
        (SELECT id FROM custom_fields WHERE external_id = 'customfield_77')";
    documents.platform.database.client().execute(choose, &[]).await.expect("a choice");
    documents.transform_cleanly("jira_special_fields", &special()).await;
    let expected = json!({"development_field_id": "customfield_77", "team_field_id": "customfield_10001"});
    assert_eq!(mapping(&documents).await, expected);
}

/// Random but consistent documents about the same few projects, types, fields and statuses.
fn random(dice: &mut StdRng) -> (&'static str, Value) {
    let project = |dice: &mut StdRng| {
        let id: u32 = dice.random_range(1..4);
        let types: Vec<Value> = (0..dice.random_range(0..4))
            .map(|_| {
                let kind: u32 = dice.random_range(1..5);
                let mut meta = json!({"id": kind.to_string(), "name": format!("Type {}", dice.random_range(0..2))});
                if dice.random_bool(0.5) {
                    meta["description"] = if dice.random_bool(0.5) { json!("d") } else { json!(null) };
                }
                if dice.random_bool(0.5) {
                    meta["hierarchyLevel"] = json!(dice.random_range(-1..2));
                }
                let field = format!("customfield_{}", 10000 + dice.random_range(0..3));
                meta["fields"] = json!({field: {"name": format!("Field {}", dice.random_range(0..2)),
                    "schema": {"type": "string"}}});
                meta
            })
            .collect();
        let mut meta = json!({"id": id, "key": format!("P{id}"), "name": format!("Name {}", dice.random_range(0..2)),
            "issueTypes": types});
        if dice.random_bool(0.5) {
            meta["projectTypeKey"] = if dice.random_bool(0.7) { json!("software") } else { json!(null) };
        }
        meta
    };
    let some_status = |dice: &mut StdRng| {
        let id: u32 = dice.random_range(1..6);
        let mut meta = json!({"id": id.to_string(), "name": format!("Status {}", dice.random_range(0..2))});
        if dice.random_bool(0.7) {
            meta["statusCategory"] = json!({"key": if dice.random_bool(0.5) { "new" } else { "done" }});
        }
        if dice.random_bool(0.5) {
            meta["description"] = if dice.random_bool(0.5) { json!("d") } else { json!(null) };
        }
        meta
    };
    match dice.random_range(0..5) {
        0 => ("jira_custom_fields", json!({"projects": [project(dice), project(dice)]})),
        1 => ("jira_projects_and_issue_types", json!([project(dice), project(dice)])),
        2 => {
            let field = format!("customfield_{}", 10000 + dice.random_range(0..3));
            let meta =
                json!({"id": field, "name": format!("Field {}", dice.random_range(0..2)), "schema": {"type": "any"}});
            ("jira_special_fields", json!({"values": [meta]}))
        }
        3 => {
            let statuses: Vec<Value> = (0..3).map(|_| some_status(dice)).collect();
            let types = json!([{"id": "1", "name": "Story", "subtask": false, "statuses": statuses}]);
            let key = format!("P{}", dice.random_range(1..5));
            ("jira_statuses_and_relationships", json!({"project_key": key, "statuses": types}))
        }
        _ => {
            let named: Vec<Value> = (0..3).map(|_| json!(dice.random_range(1..7).to_string())).collect();
            let projects = json!([{"project_id": dice.random_range(1..4), "statuses": named}]);
            let statuses = [some_status(dice)];
            ("jira_statuses_and_relationships", json!({"statuses": statuses, "project_statuses": projects}))
        }
    }
}

#[tokio::test]
async fn however_the_queue_is_cut_into_batches_the_tables_are_the_same() {
    let seed = 1;
    let mut dice = StdRng::seed_from_u64(seed);
    let all: Vec<(&str, Value)> = (0..60).map(|_| random(&mut dice)).collect();
    let mut ends = Vec::new();
    for batch in [1, 7, 50] {
        let documents = Documents::new().await;
        for (kind, document) in &all {
            documents.add(kind, document).await;
        }
        documents.serve(batch).await;
        let select = "SELECT id, status, error_details FROM raw_extraction_data ORDER BY id";
        ends.push((batch, documents.tables().await, documents.rows(select).await));
    }
    for (batch, tables, rows) in &ends[1..] {
        assert_eq!(tables, &ends[0].1, "seed {seed}, batches of {batch}");
        assert_eq!(rows, &ends[0].2, "seed {seed}, batches of {batch}");
    }
}

#[tokio::test]
async fn statuses_in_any_order_give_the_same_tables() {
    let mut ends = Vec::new();
    for seed in [3_u64, 4, 5] {
        let documents = Documents::new().await;
        let projects: Vec<Value> = (0..6).map(|id| json!({"id": id, "key": format!("P{id}"), "name": "p"})).collect();
        documents.transform_cleanly("jira_project_search", &json!(projects)).await;
        let mut all: Vec<Value> = (0..6)
            .map(|number| {
                let statuses: Vec<Value> =
                    (0..4).map(|n| (number * 3 + n) % 18).map(|id| status(id, "Open", "new")).collect();
                json!({"project_key": format!("P{number}"),
                    "statuses": [{"id": "1", "name": "Story", "subtask": false, "statuses": statuses}]})
            })
            .collect();
        all.shuffle(&mut StdRng::seed_from_u64(seed));
        for document in &all {
            documents.add("jira_statuses_and_relationships", document).await;
        }
        documents.serve(4).await;
        ends.push(documents.tables().await);
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:#?}");
    assert_eq!(ends[0]["statuses"].len(), 18);
}
