//! The documents and messages of three tenants, the same for the same seed.
//!
//! First the ground: what the others refer to, in order. Then everything else, in an order of chance: its outcome does not
//! depend on that order.

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use system_tests::{
    Platform,
    platform::{integration_of, queue_of},
};

use super::{github, jira};

/// Whose documents they are.
pub(super) const TENANTS: [i64; 3] = [1, 2, 3];
/// External ids of a tenant begin at its number times this.
pub(super) const IDS: i64 = 10_000_000;
/// Documents that are stored by one statement.
const PIECE: usize = 1_000;
/// Of each kind of message that is given up, and of completions.
const BAD: usize = 10;
const COMPLETIONS: usize = 150;
/// Malformed messages, messages of another tenant, of an unknown type, and documents of another shape.
pub(super) const DEAD_LETTERS: usize = TENANTS.len() * 4 * BAD;

/// A document with the type that its row and its message name.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) kind: &'static str,
    pub(super) payload: Value,
}

pub(super) struct World {
    ground: Vec<(i64, Vec<Document>)>,
    documents: Vec<(i64, Document)>,
    seed: u64,
}

/// A message for a queue.
pub(super) struct Message {
    queue: String,
    body: String,
}

impl Message {
    pub(super) async fn publish(&self, platform: &Platform) {
        platform.broker.publish(&self.queue, self.body.as_bytes()).await;
    }

    /// Its queue and its body.
    pub(super) fn parts(&self) -> (&str, &[u8]) {
        (&self.queue, self.body.as_bytes())
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let ground = TENANTS
            .map(|tenant| {
                let mut documents = jira::ground(tenant);
                documents.extend(github::ground(tenant));
                (tenant, documents)
            })
            .into();
        let mut documents = Vec::new();
        for tenant in TENANTS {
            let mut own = jira::documents(tenant, &mut dice);
            own.extend(github::documents(tenant, &mut dice));
            // No document of its type: failed.
            own.extend(
                (0..BAD).map(|n| Document { kind: "github_repositories", payload: json!({"n": n, "a": [tenant]}) }),
            );
            documents.extend(own.into_iter().map(|document| (tenant, document)));
        }
        documents.shuffle(&mut dice);
        Self { ground, documents, seed }
    }

    /// Messages after the ground.
    pub(super) fn messages(&self) -> usize {
        self.documents.len() + TENANTS.len() * (COMPLETIONS + 3 * BAD)
    }

    /// Stores and transforms what all the others refer to.
    pub(super) async fn lay_the_ground(&self, platform: &Platform) {
        for (tenant, documents) in &self.ground {
            for document in documents {
                let raw = platform.add_raw(*tenant, document.kind, &document.payload).await;
                message(*tenant, raw, document.kind).publish(platform).await;
                platform.completed(&[raw]).await;
            }
        }
    }

    /// Stores the documents and makes the messages, in their order of chance.
    pub(super) async fn store(&self, platform: &Platform) -> Vec<Message> {
        let mut messages = Vec::new();
        for piece in self.documents.chunks(PIECE) {
            let raws = store(platform, piece).await;
            messages
                .extend(piece.iter().zip(raws).map(|((tenant, document), raw)| message(*tenant, raw, document.kind)));
        }
        for tenant in TENANTS {
            let queue = queue_of(tenant);
            let other = if tenant == 1 { 2 } else { 1 };
            for n in 0..COMPLETIONS {
                let body = json!({"tenant_id": tenant, "integration_id": integration_of(tenant), "raw_data_id": null,
                                  "type": "jira_issues_with_changelogs", "job_id": n});
                messages.push(Message { queue: queue.clone(), body: body.to_string() });
            }
            for n in 0..BAD {
                messages.push(Message { queue: queue.clone(), body: format!("not JSON {tenant} {n}") });
                messages.push(Message {
                    queue: queue.clone(),
                    body: message(other, 1, "jira_custom_fields").with(tenant, n),
                });
                // The row that it names does not exist; the type is looked at first.
                messages.push(Message {
                    queue: queue.clone(),
                    body: message(tenant, 900_000_000, "unheard_of").with(tenant, n),
                });
            }
        }
        messages.shuffle(&mut StdRng::seed_from_u64(self.seed ^ 1));
        messages
    }
}

impl Message {
    /// The body, unlike any other.
    fn with(self, tenant: i64, n: usize) -> String {
        let mut body: Value = serde_json::from_str(&self.body).expect("our own JSON");
        body["job_id"] = json!(format!("{tenant} {n}"));
        body.to_string()
    }
}

fn message(tenant: i64, raw: i64, kind: &str) -> Message {
    let body = json!({"tenant_id": tenant, "integration_id": integration_of(tenant), "raw_data_id": raw, "type": kind});
    Message { queue: queue_of(tenant), body: body.to_string() }
}

async fn store(platform: &Platform, documents: &[(i64, Document)]) -> Vec<i64> {
    let tenants: Vec<i64> = documents.iter().map(|(tenant, _)| *tenant).collect();
    let integrations: Vec<i64> = tenants.iter().map(|tenant| integration_of(*tenant)).collect();
    let kinds: Vec<&str> = documents.iter().map(|(_, document)| document.kind).collect();
    let payloads: Vec<String> = documents.iter().map(|(_, document)| document.payload.to_string()).collect();
    let insert = "INSERT INTO raw_extraction_data (tenant_id, integration_id, type, raw_data)
                  SELECT t, i, k, p::jsonb FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS n (t, i, k, p)
                  RETURNING id";
    let rows = platform.database.client().query(insert, &[&tenants, &integrations, &kinds, &payloads]).await;
    rows.expect("documents can be stored").iter().map(|row| row.get(0)).collect()
}

/// Whether every external id in a row is one of its tenant's. Fields have the same ids on every site of Jira.
pub(super) fn belongs(row: &Value) -> bool {
    let tenant = row["tenant_id"].as_i64().expect("every table names the tenant");
    let own = tenant * IDS..(tenant + 1) * IDS;
    let numbers = ["external_id", "project_id", "work_item_id", "sprint_id", "pr_id", "repository_id"];
    let mut ids = numbers.iter().filter_map(|name| row[name].as_str()).filter(|id| !id.starts_with("customfield_"));
    ids.all(|id| {
        let digits: String = id.chars().filter(char::is_ascii_digit).collect();
        digits.parse().is_ok_and(|id| own.contains(&id))
    })
}
