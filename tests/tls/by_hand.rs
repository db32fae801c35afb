//! A worker that somebody starts by hand, with everything about TLS in its URLs.

use system_tests::{
    Platform,
    createmeta::{Shape, createmeta},
    platform::queue_of,
    tls,
    worker::WorkerRun,
};

#[tokio::test]
async fn the_parameters_of_the_urls_are_understood() {
    let platform = Platform::with_tenants(&[1]).await;
    let raw = platform.submit(1, &createmeta(1, Shape::SMALL).document).await;
    let ca = tls::endpoints().ca_file.display();
    // By name and by address: the certificate has both.
    for (host, more, raw) in [("localhost", "", Some(raw)), ("127.0.0.1", "&channel_binding=require", None)] {
        let raw = match raw {
            Some(raw) => raw,
            None => platform.submit(1, &createmeta(2, Shape::SMALL).document).await,
        };
        let broker = tls::amqps(&platform, &format!("{host}:{}", tls::endpoints().amqps_port));
        let port = platform.database.address().rsplit(':').next().map(str::to_owned).expect("an address has a port");
        let database = tls::verified(&platform, &format!("{host}:{port}"), &tls::endpoints().ca_file);
        let run = WorkerRun::on(&platform)
            .broker(Some(format!("{broker}?cacertfile={ca}")))
            .database(Some(format!("{database}{more}")))
            .arguments(&["--queue", &queue_of(1), "--once"]);
        let mut worker = run.start();
        let status = worker.wait().await;
        assert_eq!(status.code(), Some(0), "{}", worker.log());
        assert_eq!(platform.raw(raw).await.status, "completed");
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_not_there_is_a_mistake_in_the_configuration() {
    let platform = Platform::with_tenants(&[1]).await;
    let broker = format!("{}?cacertfile=/nonexistent/ca.pem", tls::broker_url(&platform));
    let run = WorkerRun::on(&platform).broker(Some(broker)).arguments(&["--queue", &queue_of(1)]);
    let mut worker = run.start();
    let status = worker.wait().await;
    assert_eq!(status.code(), Some(78), "{}", worker.log());
    assert!(worker.log().contains("/nonexistent/ca.pem"), "{}", worker.log());
}
