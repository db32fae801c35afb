//! The tables do not depend on batches, nor on the order of messages where nothing else does.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use super::site::{KIND, change, issue, points, site, sprints};

const SEED: u64 = 0x15_5a_e5;

/// An issue at several moments of its life: each document holds the whole history up to then, so their order is free.
fn life(id: u32, random: &mut StdRng) -> Vec<Value> {
    let (mut status, mut sprint, mut estimate) = ("1".to_owned(), String::new(), None::<u32>);
    let (mut histories, mut documents) = (Vec::new(), Vec::new());
    for step in 0..random.random_range(1..9_u32) {
        let at = format!("2024-01-{:02}T{:02}:00:00.000+0000", 2 + step, random.random_range(0..24));
        let entry = (id * 1000 + step).to_string();
        match random.random_range(0..4) {
            0 => {
                let next = ["", "7", "8", "7, 8", "8, 7"][random.random_range(0..5_usize)].to_owned();
                histories.push(sprints(&entry, &at, &sprint, &next));
                sprint = next;
            }
            1 => {
                let next = Some(random.random_range(1..9_u32));
                let [from, to] = [estimate, next].map(|points| points.map(|points| points.to_string()));
                histories.push(points(&entry, &at, from.as_deref(), to.as_deref()));
                estimate = next;
            }
            _ => {
                let next = ["1", "3", "4", "5", "8", "9"][random.random_range(0..6_usize)].to_owned();
                histories.push(change(&entry, &at, &status, &next));
                status = next;
            }
        }
        histories.shuffle(random);
        let field: Vec<Value> = ["7", "8"]
            .into_iter()
            .filter(|id| sprint.contains(id))
            .map(|id| json!({"id": id, "name": "S", "state": "active", "startDate": "2024-01-05T00:00:00Z"}))
            .collect();
        let fields = json!({"summary": format!("step {step}"), "status": {"id": status}, "customfield_10021": field,
            "customfield_10024": estimate});
        documents.push(issue(&id.to_string(), &at, &fields, &histories));
    }
    documents
}

#[tokio::test]
async fn batches_and_order_make_no_difference() {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut issues: Vec<Value> = (1..13).flat_map(|id| life(id, &mut random)).collect();
    let mut expected = None;
    for (batch, workers) in [(1, 1), (7, 1), (50, 1), (3, 2)] {
        let site = site().await;
        // Both are stored beforehand: which memberships there are depends on which sprints are known.
        site.execute(
            "INSERT INTO sprints (tenant_id, integration_id, external_id, name, state, start_date) VALUES
                (1, 10, '7', 'S', 'active', '2024-01-05T00:00:00Z'), (1, 10, '8', 'S', 'active', '2024-01-05T00:00:00Z')",
        )
        .await;
        let mut rest = issues.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(random.random_range(1..4_usize).min(rest.len()));
            site.add_as("jira_issues_changelogs", KIND, &json!({ "issues": some })).await;
            rest = others;
        }
        if workers == 1 {
            site.serve(batch).await;
        } else {
            tokio::join!(site.serve(batch), site.serve(batch));
        }
        let left = "SELECT count(*) FROM raw_extraction_data WHERE status <> 'completed' OR error_details IS NOT NULL";
        assert_eq!(site.rows(left).await, [json!({"count": 0})]);
        let tables = site.tables().await;
        assert!(tables["work_items"].len() == 12 && !tables["work_items_sprints"].is_empty());
        let expected = expected.get_or_insert_with(|| tables.clone());
        assert_eq!(&tables, expected, "batches of {batch}, {workers} workers, seed {SEED}");
        issues.shuffle(&mut random);
    }
}
