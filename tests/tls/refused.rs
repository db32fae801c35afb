//! Servers that are not trusted: nothing is said to them, the worker leaves with 69 and its log says what to do.

use system_tests::{
    Platform,
    platform::queue_of,
    tls::{self, Authority, Front, Speaks},
    worker::WorkerRun,
};

const UNAVAILABLE: i32 = 69;

/// Starts a worker, with a row to look for where the database is what is refused; returns its log.
async fn leaves_with_69(run: WorkerRun) -> String {
    let mut worker = run.start();
    let status = worker.wait().await;
    let log = worker.log();
    assert_eq!(status.code(), Some(UNAVAILABLE), "{log}");
    log
}

fn says(log: &str, words: &[&str]) {
    for word in words {
        assert!(log.contains(word), "{word:?} is not in {log}");
    }
}

/// The secret between the colon and the at sign.
fn password(url: &str) -> &str {
    let (account, _) = url.split_once('@').expect("a URL with an account");
    account.rsplit(':').next().expect("a URL with a password")
}

fn keeps_its_secret(platform: &Platform, log: &str) {
    for url in [platform.broker.url(), platform.database.url()] {
        assert!(!log.contains(password(url)), "a password is in {log}");
    }
}

async fn broker_behind(platform: &Platform, front: &Front, host: &str, authority: &Authority) -> String {
    let url = tls::amqps(platform, &format!("{host}:{}", front.port()));
    let run = WorkerRun::on(platform)
        .broker(Some(format!("{url}?cacertfile={}", authority.file().display())))
        .arguments(&["--queue", &queue_of(1), "--connect-timeout", "1s"]);
    let log = leaves_with_69(run).await;
    assert_eq!(front.trusting_clients(), 0, "something was said to a server that is not trusted");
    keeps_its_secret(platform, &log);
    log
}

async fn database_behind(platform: &Platform, front: &Front, host: &str, authority: &Authority) -> String {
    let url = tls::verified(platform, &format!("{host}:{}", front.port()), &authority.file());
    let run = WorkerRun::on(platform).broker(None).database(Some(url));
    let log = leaves_with_69(run.arguments(&["--raw-data-id", "1", "--tenant", "1"])).await;
    assert_eq!(front.trusting_clients(), 0, "something was said to a server that is not trusted");
    keeps_its_secret(platform, &log);
    log
}

#[tokio::test]
async fn a_broker_that_another_authority_vouches_for() {
    let (platform, known, unknown) = (Platform::with_tenants(&[1]).await, Authority::new(), Authority::new());
    let front = Front::of(&platform.broker.address(), Speaks::TlsAtOnce, unknown.signs(&["localhost"])).await;
    let log = broker_behind(&platform, &front, "localhost", &known).await;
    says(&log, &["not trusted here", "[broker] ca_file", "cacertfile=FILE"]);
}

#[tokio::test]
async fn a_broker_with_the_certificate_of_another_name() {
    let (platform, authority) = (Platform::with_tenants(&[1]).await, Authority::new());
    let front = Front::of(&platform.broker.address(), Speaks::TlsAtOnce, authority.signs(&["mq.example"])).await;
    says(&broker_behind(&platform, &front, "localhost", &authority).await, &["not for localhost", "mq.example"]);
    says(&broker_behind(&platform, &front, "127.0.0.1", &authority).await, &["not for 127.0.0.1", "mq.example"]);
}

#[tokio::test]
async fn a_broker_with_a_certificate_that_has_expired() {
    let (platform, authority) = (Platform::with_tenants(&[1]).await, Authority::new());
    let identity = authority.signs_expired(&["localhost"]);
    let front = Front::of(&platform.broker.address(), Speaks::TlsAtOnce, identity).await;
    says(&broker_behind(&platform, &front, "localhost", &authority).await, &["localhost has expired"]);
}

#[tokio::test]
async fn a_broker_that_speaks_no_tls_at_this_port() {
    let (platform, authority) = (Platform::with_tenants(&[1]).await, Authority::new());
    let url = tls::amqps(&platform, &platform.broker.address());
    let run = WorkerRun::on(&platform)
        .broker(Some(format!("{url}?cacertfile={}", authority.file().display())))
        .arguments(&["--queue", &queue_of(1), "--connect-timeout", "1s"]);
    let log = leaves_with_69(run).await;
    says(&log, &["answers without TLS", "5671"]);
    keeps_its_secret(&platform, &log);
}

#[tokio::test]
async fn a_broker_that_only_an_authority_of_ours_vouches_for_is_not_trusted_by_the_systems() {
    let platform = Platform::with_tenants(&[1]).await;
    let run = WorkerRun::on(&platform).broker(Some(tls::broker_url(&platform))).arguments(&[
        "--queue",
        &queue_of(1),
        "--connect-timeout",
        "1s",
    ]);
    let log = leaves_with_69(run).await;
    // Without the package of authorities there is nobody to ask; either way it is not trusted.
    assert!(log.contains("not trusted here") || log.contains("ca-certificates"), "{log}");
}

#[tokio::test]
async fn a_database_that_another_authority_vouches_for() {
    let (platform, known, unknown) = (Platform::with_tenants(&[1]).await, Authority::new(), Authority::new());
    let front = Front::of(&platform.database.address(), Speaks::Postgres, unknown.signs(&["localhost"])).await;
    let log = database_behind(&platform, &front, "localhost", &known).await;
    says(&log, &["not trusted here", "[database] ca_file", "sslrootcert=FILE"]);
}

#[tokio::test]
async fn a_database_with_the_certificate_of_another_name() {
    let (platform, authority) = (Platform::with_tenants(&[1]).await, Authority::new());
    let front = Front::of(&platform.database.address(), Speaks::Postgres, authority.signs(&["db.example"])).await;
    says(&database_behind(&platform, &front, "localhost", &authority).await, &["not for localhost", "db.example"]);
}

#[tokio::test]
async fn a_database_with_a_certificate_that_has_expired() {
    let (platform, authority) = (Platform::with_tenants(&[1]).await, Authority::new());
    let identity = authority.signs_expired(&["localhost"]);
    let front = Front::of(&platform.database.address(), Speaks::Postgres, identity).await;
    says(&database_behind(&platform, &front, "localhost", &authority).await, &["localhost has expired"]);
}

#[tokio::test]
async fn a_database_without_tls_where_the_url_requires_it() {
    let (platform, authority) = (Platform::with_tenants(&[1]).await, Authority::new());
    let identity = authority.signs(&["localhost"]);
    let front = Front::of(&platform.database.address(), Speaks::PostgresWithoutTls, identity).await;
    says(&database_behind(&platform, &front, "localhost", &authority).await, &["offers no TLS", "ssl = on"]);
}

#[tokio::test]
async fn the_right_certificate_is_trusted_by_the_same_way() {
    let (platform, authority) = (Platform::with_tenants(&[1]).await, Authority::new());
    let names = ["localhost"];
    let broker = Front::of(&platform.broker.address(), Speaks::TlsAtOnce, authority.signs(&names)).await;
    let database = Front::of(&platform.database.address(), Speaks::Postgres, authority.signs(&names)).await;
    let url = tls::amqps(&platform, &format!("localhost:{}", broker.port()));
    let run = WorkerRun::on(&platform)
        .broker(Some(format!("{url}?cacertfile={}", authority.file().display())))
        .database(Some(tls::verified(&platform, &format!("localhost:{}", database.port()), &authority.file())))
        .arguments(&["--queue", &queue_of(1), "--once"]);
    let mut worker = run.start();
    let status = worker.wait().await;
    assert_eq!(status.code(), Some(0), "{}", worker.log());
    assert!(broker.trusting_clients() > 0);
}
