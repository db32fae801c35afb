//! How fast and how small; printed, not judged, because the machine is shared.

use std::{
    env, fs,
    time::{Duration, Instant},
};

use etl_supervisor::keeper::protocol::Report;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::harness::Place;

/// Unless `ETL_TIMED_WORKERS` says otherwise.
const WORKERS: u64 = 1000;

#[test]
fn a_thousand_workers_are_started_and_one_that_dies_is_replaced() {
    let workers = env::var("ETL_TIMED_WORKERS").map_or(WORKERS, |number| number.parse().unwrap());
    let place = Place::in_memory("[queues.sleep]\ncommand = [\"/bin/sleep\", \"600\"]\nready = \"exec\"\n");
    let keeper = place.start();
    let mut brain = place.brain();
    brain.listing();
    let began = Instant::now();
    for tenant in 1..=workers {
        brain.spawn(&format!("sleep-{tenant}-1"), 1);
    }
    let mut pids = Vec::new();
    brain.until(|report| {
        match report {
            Report::Spawned { pid, .. } => pids.push(Pid::from_raw(*pid)),
            Report::Ready { .. } => {}
            other => panic!("{other:?}"),
        }
        (pids.len() as u64 == workers).then_some(())
    });
    println!("{workers} workers spawned in {:?}", began.elapsed());
    let stat = fs::read_to_string(format!("/proc/{}/stat", keeper.pid())).unwrap();
    let ticks: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    println!("keeper used {}0 ms in user and {}0 ms in system mode", ticks[11], ticks[12]);
    let status = fs::read_to_string(format!("/proc/{}/status", keeper.pid())).unwrap();
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon")) {
        println!("keeper {line}");
    }

    let (mut to_exit, mut to_successor) = (Vec::new(), Vec::new());
    for (tenant, pid) in pids.iter().enumerate().take(200) {
        let worker = format!("sleep-{}-1", tenant + 1);
        let killed = Instant::now();
        kill(*pid, Signal::SIGKILL).unwrap();
        brain.exited(&worker);
        to_exit.push(killed.elapsed());
        brain.spawned(&worker, 2);
        to_successor.push(killed.elapsed());
    }
    println!("SIGKILL until exit told: {}", quantiles(to_exit));
    println!("SIGKILL until successor executed: {}", quantiles(to_successor));

    let began = Instant::now();
    let mut left = pids.len();
    drop(brain);
    let mut keeper = keeper;
    keeper.signal(Signal::SIGTERM);
    keeper.ended();
    left -= pids.iter().filter(|pid| !crate::harness::lives(**pid)).count();
    println!("all stopped in {:?}", began.elapsed());
    assert_eq!(left, 0);
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("median {:?}, 90 % {:?}, most {:?}", at(50), at(90), at(100))
}
