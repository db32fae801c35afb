//! The metrics as somebody else's program reads them.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;
use system_tests::{
    Supervisor,
    http::Call,
    stack::{blocking, checkout},
};

const MISSING: &str = "this test needs python3 with prometheus_client (Debian: apt-get install python3-prometheus-client; \
                       scripts/test installs it)";

/// A family of metrics.
#[derive(Debug, Deserialize)]
pub(crate) struct Family {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// One scrape, read.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) Vec<Family>);

impl Metrics {
    /// The sum of all samples of this name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| found.get(*key).is_some_and(|found| found == value))
        };
        let samples = self.0.iter().flat_map(|family| &family.samples);
        samples.filter(|(found, with, _)| found == name && has(with)).map(|(_, _, value)| value).sum()
    }
}

/// Scrapes and parses.
pub(crate) async fn scrape(supervisor: &Supervisor) -> Metrics {
    let reply = supervisor.tcp(Call::get("/metrics")).await;
    reply.expect_status(200);
    parse(reply.body).await
}

async fn parse(text: String) -> Metrics {
    let script = checkout().join("tests/observability/read_metrics.py");
    let output = blocking(move || {
        // Debian's own has Debian's packages, whatever else is called python3 here.
        let debian = Path::new("/usr/bin/python3");
        let mut python = Command::new(if debian.exists() { debian } else { Path::new("python3") });
        let python = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = python.spawn().unwrap_or_else(|error| panic!("{error}: {MISSING}"));
        // It reads everything before it writes anything.
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("the parser reads");
        child.wait_with_output().expect("the parser ends")
    })
    .await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{MISSING}");
    Metrics(serde_json::from_slice(&output.stdout).expect("what the script writes is JSON"))
}

#[tokio::test]
async fn the_reference_parser_reads_every_metric_with_its_type_and_its_meaning() {
    let platform = system_tests::Platform::with_tenants(&[1, 2]).await;
    let supervisor = Supervisor::start(&system_tests::Setup::on(&platform)).await;
    supervisor.until_running(&[1, 2]).await;
    let metrics = scrape(&supervisor).await;
    for family in &metrics.0 {
        assert!(family.name.starts_with("etl_") && !family.help.is_empty(), "{family:?}");
        assert!(matches!(family.kind.as_str(), "gauge" | "counter" | "histogram" | "info"), "{family:?}");
        for (_, labels, _) in &family.samples {
            let unknown = |label: &&String| {
                ![
                    "tenant",
                    "queue_type",
                    "state",
                    "kind",
                    "reason",
                    "outcome",
                    "direction",
                    "clamp",
                    "le",
                    "part",
                    "process",
                    "status",
                    "version",
                    "wanted",
                ]
                .contains(&label.as_str())
            };
            assert_eq!(labels.keys().find(unknown), None, "{family:?}");
        }
    }
    assert!((metrics.sum("etl_worker_state", &[("state", "RUNNING")]) - 2.0).abs() < 1e-9, "{metrics:?}");
    assert!((metrics.sum("etl_supervisor_keeper_up", &[]) - 1.0).abs() < 1e-9);
}
