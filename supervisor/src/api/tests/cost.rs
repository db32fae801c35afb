//! What a combined status costs. Run by hand in release mode, because a debug build says nothing about it:
//! `cargo test --release -p etl-supervisor --lib cost -- --ignored --nocapture`

use std::time::{Duration, Instant};

use etl_shared::flight::FlightRecord;
use hyper::Method;

use super::{fleet::synthetic, server::Server};

const ROUNDS: usize = 200;

#[tokio::test]
#[ignore = "a measurement"]
async fn combined_status_of_many_workers() {
    for (workers, limit) in [(1000, Duration::from_millis(10)), (5000, Duration::from_millis(50))] {
        let server = Server::start(synthetic(workers));
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            bytes = server.local(Method::GET, "/api/v1/admin/workers/status", "").await.body.len();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let (median, p99) = (times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
        println!("{workers} workers: median {median:?}, p99 {p99:?}, {bytes} bytes");
        assert!(median < limit, "{median:?}");
    }
}

#[test]
#[ignore = "a measurement"]
fn flight_records_of_many_workers() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let paths: Vec<_> = (0..1000).map(|worker| directory.path().join(worker.to_string())).collect();
    for path in &paths {
        let file = std::fs::File::create(path).unwrap();
        etl_shared::flight::FlightRecorder::over(Some(file.into())).write(&FlightRecord::default());
    }
    let began = Instant::now();
    for _ in 0..20 {
        for path in &paths {
            FlightRecord::read(path).unwrap();
        }
    }
    println!("1000 flight records: {:?}", began.elapsed() / 20);
}
