//! Random documents: the same tables whatever the size of the batches and, where the order is free, whatever the order.

use std::{collections::BTreeMap, time::Duration};

use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Value, json};
use system_tests::{
    documents::{Documents, TENANT},
    platform::queue_of,
    worker::Worker,
};

use super::{PULL_REQUESTS, REPOSITORIES, comment, commit, nodes, page, pull_request, repository, review};

type Tables = BTreeMap<&'static str, Vec<Value>>;

fn day(day: u32) -> String {
    format!("2024-03-{day:02}T00:00:00Z")
}

/// Documents about a few repositories and pull requests. In a free order, what has a version has all its columns, what has none
/// never changes, and no repository changes its name.
struct Dice {
    dice: StdRng,
    free_order: bool,
}

impl Dice {
    fn new(seed: u64, free_order: bool) -> Self {
        Self { dice: StdRng::seed_from_u64(seed), free_order }
    }

    fn below(&mut self, most: u32) -> u32 {
        self.dice.random_range(0..most)
    }

    fn document(&mut self) -> (&'static str, Value) {
        match self.below(16) {
            0 => {
                let some = self.below(3);
                (REPOSITORIES, (0..some).map(|_| self.repository()).collect())
            }
            1..8 => (PULL_REQUESTS, self.whole()),
            _ => (PULL_REQUESTS, self.page()),
        }
    }

    fn repository(&mut self) -> Value {
        let id = self.below(4);
        let name = if self.free_order { id } else { self.below(3) };
        let mut one = repository(&json!(id), &format!("o/r{name}"));
        // One version of one repository is one state.
        let version = self.below(28);
        one["updated_at"] = json!(day(version + 1));
        one["size"] = json!(version);
        self.sparse(&mut one, &["updated_at", "size", "license", "owner"]);
        one
    }

    fn pr(&mut self) -> (String, String) {
        let pr = self.below(if self.free_order { 6 } else { 3 });
        let name = if self.free_order { pr % 4 } else { self.below(3) };
        (format!("PR_{pr}"), format!("O/R{name}"))
    }

    fn whole(&mut self) -> Value {
        let ((id, name), version) = (self.pr(), self.below(28));
        let state = ["OPEN", "CLOSED"][version as usize % 2];
        let mut document = pull_request(&id, state, &day(version + 1));
        document["full_name"] = json!(name);
        document["pr_data"]["title"] = json!(format!("title {version}"));
        if state == "CLOSED" {
            document["pr_data"]["closedAt"] = json!(day(version + 1));
        }
        if self.free_order {
            // Nothing is kept from an older state.
            document["pr_data"]["state"] = json!("OPEN");
        }
        self.sparse(&mut document["pr_data"], &["updatedAt", "closedAt", "additions", "author", "title"]);
        for (connection, kind) in [
            ("commits", "commits"),
            ("reviews", "reviews"),
            ("comments", "comments"),
            ("reviewThreads", "review_threads"),
        ] {
            document["pr_data"][connection] = nodes(&self.nodes(kind, &id));
        }
        document
    }

    fn page(&mut self) -> Value {
        let (id, name) = self.pr();
        let kind = ["commits", "reviews", "comments", "review_threads"].choose(&mut self.dice).expect("there are some");
        let mut document = page(&id, kind, &self.nodes(kind, &id));
        document["full_name"] = json!(name);
        document
    }

    fn nodes(&mut self, kind: &str, pr: &str) -> Value {
        let some = self.below(4);
        (0..some).map(|_| self.node(kind, pr)).collect()
    }

    fn node(&mut self, kind: &str, pr: &str) -> Value {
        let id = self.below(6);
        let mut node = match kind {
            "commits" => commit(&format!("c{id}"), &day(id + 1)),
            "reviews" => {
                let author = [json!(null), json!({"login": "ann"}), json!({"login": "bob"})][id as usize % 3].clone();
                let state = ["APPROVED", "CHANGES_REQUESTED", "PENDING"][id as usize / 2];
                review(&format!("{pr} r{id}"), state, &author, &day(id + 1))
            }
            "comments" => comment(&format!("{pr} k{id}"), &day(self.below(28) + 1)),
            _ => {
                let comments = self.below(3);
                let comments: Value =
                    (0..comments).map(|n| comment(&format!("{pr} t{id} {n}"), &day(self.below(28) + 1))).collect();
                json!({"id": format!("{pr} t{id}"), "comments": {"nodes": comments}})
            }
        };
        self.sparse(&mut node, &["updatedAt", "body", "author", "line", "submittedAt", "state"]);
        node
    }

    /// Leaves out some of these keys, or makes them null.
    fn sparse(&mut self, object: &mut Value, keys: &[&str]) {
        let object = object.as_object_mut().expect("an object");
        for key in keys.iter().filter(|_| !self.free_order) {
            match self.dice.random_range(0..6) {
                0 => drop(object.remove(*key)),
                1 if object.contains_key(*key) => drop(object.insert((*key).to_owned(), Value::Null)),
                _ => {}
            }
        }
    }
}

async fn served(given: &[(&str, Value)], batch: u16) -> Tables {
    let documents = Documents::new().await;
    for (kind, document) in given {
        documents.add(kind, document).await;
    }
    documents.serve(batch).await;
    documents.tables().await
}

/// The same by two workers at once.
async fn served_by_two(given: &[(&str, Value)]) -> Tables {
    let documents = Documents::new().await;
    let mut raws = Vec::new();
    for (kind, document) in given {
        raws.push(documents.add(kind, document).await);
    }
    let workers = [(); 2].map(|()| Worker::on_queue(&documents.platform, &queue_of(TENANT)));
    documents.platform.completed_within(&raws, Duration::from_mins(1)).await;
    for worker in workers {
        worker.drain().await;
    }
    documents.tables().await
}

fn seed() -> u64 {
    std::env::var("ETL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random)
}

#[tokio::test]
async fn batches_of_any_size_give_the_same_tables() {
    let seed = seed();
    let mut dice = Dice::new(seed, false);
    // Of a hundred and twenty none may be about a repository.
    let mut given = vec![(REPOSITORIES, json!([dice.repository()]))];
    given.extend((0..120).map(|_| dice.document()));
    let expected = served(&given, 1).await;
    for table in ["prs", "prs_comments", "repositories"] {
        assert!(!expected[table].is_empty(), "{table} is empty, ETL_TEST_SEED={seed}");
    }
    for batch in [7, 50] {
        assert_eq!(served(&given, batch).await, expected, "batches of {batch}, ETL_TEST_SEED={seed}");
    }
}

#[tokio::test]
async fn an_order_that_is_free_makes_no_difference_and_neither_do_two_workers() {
    let seed = seed();
    let mut dice = Dice::new(seed, true);
    let mut given: Vec<_> = (0..120).map(|_| dice.document()).collect();
    let expected = served(&given, 1).await;
    given.shuffle(&mut dice.dice);
    assert_eq!(served(&given, 50).await, expected, "shuffled, ETL_TEST_SEED={seed}");
    given.shuffle(&mut dice.dice);
    assert_eq!(served_by_two(&given).await, expected, "by two workers, ETL_TEST_SEED={seed}");
}
