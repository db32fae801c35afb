//! Supervisor and workers with TLS to everything.

use std::fs;

use etl_shared::api::WorkerState;
use system_tests::{
    Platform, SOON, Setup, Supervisor,
    createmeta::{Shape, createmeta},
    eventually, fleet,
    platform::queue_of,
    supervisor_setup::{HERE, quoted},
    tls::{self, Authority},
};

/// Everything with TLS, checked with `ca.pem` in the supervisor's own directory.
fn setup(platform: &Platform) -> Setup {
    let ca = format!("\"{HERE}/ca.pem\"");
    Setup::on(platform)
        .set("broker", "url", &quoted(tls::broker_url(platform)))
        .set("broker", "management_url", &quoted(tls::management_url()))
        .set("broker", "ca_file", &ca)
        .set("database", "url", &quoted(format!("{}?sslmode=verify-full", platform.database.url())))
        .set("database", "ca_file", &ca)
}

fn prepared(setup: &Setup) -> Supervisor {
    let supervisor = Supervisor::prepare(setup);
    fs::copy(&tls::endpoints().ca_file, supervisor.directory().join("ca.pem")).expect("a copy of the certificate");
    supervisor
}

/// Connections to the platform's database: with TLS and without, the test's own left out.
async fn connections(platform: &Platform) -> (i64, i64) {
    let query = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
                 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let row = platform.database.client().query_one(query, &[]).await.expect("the database tells");
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn a_message_goes_all_the_way() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let mut supervisor = prepared(&setup(&platform));
    supervisor.start_brain().await;
    supervisor.until_running(&[1]).await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    platform.completed(&[raw]).await;
    let (with, without) = connections(&platform).await;
    assert!(with >= 2, "supervisor and worker: {with}");
    assert_eq!(without, 0, "connections without TLS");
    supervisor.until("every part is well", |status| fleet::well(status, &["broker", "database"])).await;

    let raw = platform.add_raw(1, system_tests::platform::KIND, &createmeta(2, Shape::SMALL).document).await;
    let integration = system_tests::platform::integration_of(1).to_string();
    let row = raw.to_string();
    let arguments = [
        "publish",
        "--tenant",
        "1",
        "--integration",
        &integration,
        "--raw-data-id",
        &row,
        "--type",
        "jira_custom_fields",
    ];
    supervisor.cli_ok(&arguments).await;
    platform.completed(&[raw]).await;
    assert!(supervisor.cli_ok(&["migrate"]).await.contains("up to date"));
    let seen = supervisor.cli(&["doctor"]).await.stdout;
    for expected in ["ok    broker ", "ok    database ", "ok    management API", "ok    broker.ca_file"] {
        assert!(seen.contains(expected), "{expected:?} is not in {seen}");
    }
}

#[tokio::test]
async fn a_worker_needs_no_file_of_authorities() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let mut supervisor = prepared(&setup(&platform));
    supervisor.start_brain().await;
    let first = fleet::pid(&supervisor.until_running(&[1]).await, 1);
    // What a worker that runs as another user and in a sandbox of its own sees.
    fs::remove_file(supervisor.directory().join("ca.pem")).expect("the file is there");
    supervisor.control("restart", Some(1)).await;
    supervisor
        .until("another process runs", |status| fleet::running(status, &[1]) && fleet::pid(status, 1) != first)
        .await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    platform.completed(&[raw]).await;
    let seen = supervisor.cli(&["check"]).await;
    assert_ne!(seen.code, 0, "{seen:?}");
    assert!(seen.stdout.contains("broker.ca_file") && seen.stdout.contains("cannot be read"), "{seen:?}");
}

#[tokio::test]
async fn the_wrong_authority_is_a_dependency_that_is_away() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    platform.broker.declare(&queue_of(1)).await;
    let authority = Authority::new();
    // The supervisor's own way is trusted, the worker's is not.
    let worker_url = format!("{}?cacertfile={}", tls::broker_url(&platform), authority.file().display());
    let setup = setup(&platform).set("broker", "worker_url", &quoted(worker_url));
    let mut supervisor = prepared(&setup);
    supervisor.start_brain().await;
    let waits = |status: &etl_shared::api::FleetStatus| fleet::state(status, 1) == Some(WorkerState::Waiting);
    supervisor.until("the worker waits for the broker", waits).await;
    let log = eventually("its log says why", SOON, async || {
        let log = supervisor.cli(&["logs", "1"]).await.stdout;
        if log.contains("not trusted here") { Ok(log) } else { Err(log) }
    })
    .await;
    let secret =
        platform.broker.url().split('@').next().and_then(|account| account.rsplit(':').next()).expect("a password");
    assert!(!log.contains(secret), "{log}");
    assert!(!supervisor.log().contains(secret), "{}", supervisor.log());
}

#[tokio::test]
async fn a_supervisor_that_trusts_nobody_says_so() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let mut supervisor = Supervisor::prepare(&setup(&platform));
    fs::copy(Authority::new().file(), supervisor.directory().join("ca.pem")).expect("a copy of the certificate");
    supervisor.start_brain().await;
    let said = |status: &etl_shared::api::FleetStatus, part: &str, words: &str| {
        status.supervisor.parts.get(part).is_some_and(|part| !part.ok && part.detail.contains(words))
    };
    supervisor
        .until("both parts say why they are away", |status| {
            said(status, "broker", "[broker] ca_file") && said(status, "database", "[database] ca_file")
        })
        .await;
    let seen = supervisor.cli(&["doctor"]).await;
    assert_ne!(seen.code, 0, "{seen:?}");
    for subject in ["FAIL  broker ", "FAIL  database "] {
        let line = seen.stdout.lines().find(|line| line.starts_with(subject)).unwrap_or_default();
        assert!(line.contains("not trusted here"), "{subject}: {}", seen.stdout);
    }
    let migrated = supervisor.cli(&["migrate"]).await;
    assert_ne!(migrated.code, 0, "{migrated:?}");
    assert!(migrated.stderr.contains("[database] ca_file"), "{migrated:?}");
}

#[tokio::test]
async fn what_a_url_names_goes_before_the_configured_file() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let known = tls::endpoints().ca_file.display();
    let broker = format!("{}?cacertfile={known}", tls::broker_url(&platform));
    let database = format!("{}?sslmode=verify-ca&sslrootcert={known}", platform.database.url());
    let setup = setup(&platform).set("broker", "url", &quoted(broker)).set("database", "url", &quoted(database));
    let mut supervisor = Supervisor::prepare(&setup);
    fs::copy(Authority::new().file(), supervisor.directory().join("ca.pem")).expect("a copy of the certificate");
    supervisor.start_brain().await;
    supervisor.until_running(&[1]).await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    platform.completed(&[raw]).await;
    // The management API's URL names nothing, so the file counts, which is another authority's.
    let seen = supervisor.cli(&["doctor"]).await.stdout;
    let line = seen.lines().find(|line| line.starts_with("FAIL  management API")).unwrap_or_default();
    assert!(line.contains("not trusted here"), "{seen}");
}
