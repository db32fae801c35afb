//! Never two processes of one worker, whoever dies.

use std::{fs::File, process::Command};

use etl_supervisor::keeper::protocol::{Report, SpawnFailure};
use nix::sys::signal::Signal;

use crate::harness::{Place, dies, lives, name, wait_until};

const SLEEP: &str = "[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n";

fn failure(report: &Report) -> Option<SpawnFailure> {
    match report {
        Report::SpawnFailed { failure, .. } => Some(failure.clone()),
        Report::Spawned { .. } => panic!("{report:?}"),
        _ => None,
    }
}

#[test]
fn workers_die_with_a_keeper_that_is_killed_and_the_next_one_starts_each_once() {
    let place = Place::new(SLEEP);
    let mut keeper = place.start();
    let mut brain = place.brain();
    let workers: Vec<String> = (1..=20).map(|tenant| format!("sleep-{tenant}-1")).collect();
    let first: Vec<_> = workers.iter().map(|worker| brain.spawned(worker, 1)).collect();
    keeper.signal(Signal::SIGKILL);
    keeper.ended();
    let next = place.start();
    let mut brain = place.brain();
    assert_eq!(brain.listing(), [], "a new keeper has no processes");
    for (worker, before) in workers.iter().zip(&first) {
        // A worker that is still on its way out holds its lease: then the answer is no, and the brain asks again.
        wait_until(
            || format!("{worker} is started again"),
            || {
                brain.spawn(worker, 2);
                brain.until(|report| match report {
                    Report::Spawned { .. } => Some(true),
                    Report::SpawnFailed { failure: SpawnFailure::LeaseHeld { .. }, .. } => Some(false),
                    _ => None,
                })
            },
        );
        assert!(!lives(*before), "two processes of {worker}");
    }
    drop(next);
}

#[test]
fn a_worker_dies_with_its_keeper_though_nobody_is_left_to_see_to_it() {
    let place = Place::new(SLEEP);
    let mut keeper = place.start();
    let mut brain = place.brain();
    let workers: Vec<_> = (1..=5).map(|tenant| brain.spawned(&format!("sleep-{tenant}-1"), 1)).collect();
    keeper.signal(Signal::SIGKILL);
    keeper.ended();
    workers.into_iter().for_each(dies);
}

#[test]
fn a_worker_is_not_started_twice() {
    let place = Place::new(SLEEP);
    let _keeper = place.start();
    let mut brain = place.brain();
    let pid = brain.spawned("sleep-1-1", 1);
    brain.spawn("sleep-1-1", 2);
    let SpawnFailure::LeaseHeld { holder } = brain.until(failure) else { panic!() };
    assert_eq!(holder, format!("process {pid} of incarnation 1"));
    assert!(lives(pid));
}

#[test]
fn a_lease_in_foreign_hands_is_respected_and_its_holder_named() {
    let place = Place::new(SLEEP);
    let _keeper = place.start();
    let mut brain = place.brain();
    let lease = File::create(place.lease("sleep-1-1")).unwrap();
    lease.lock().unwrap();
    brain.spawn("sleep-1-1", 1);
    let SpawnFailure::LeaseHeld { holder } = brain.until(failure) else { panic!() };
    assert!(holder.starts_with(&format!("process {} (", std::process::id())), "{holder}");
    drop(lease);
    brain.spawned("sleep-1-1", 2);
}

#[test]
fn a_second_keeper_in_the_same_place_is_refused() {
    let place = Place::new(SLEEP);
    let keeper = place.start();
    let mut brain = place.brain();
    let worker = brain.spawned("sleep-1-1", 1);
    let second = place.keeper_command().output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&format!("a keeper (process {}) works in", keeper.pid())), "{said}");
    assert!(lives(worker));
    brain.spawned("sleep-2-1", 1);
}

#[test]
fn a_process_that_was_started_by_nobody_we_know_is_none_of_our_business() {
    let place = Place::new(SLEEP);
    let keeper = place.start();
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let mut brain = place.brain();
    let worker = brain.spawned("sleep-1-1", 1);
    keeper.signal(Signal::SIGTERM);
    dies(worker);
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(
        brain
            .heard()
            .iter()
            .any(|report| matches!(report, Report::Spawned { worker, .. } if *worker == name("sleep-1-1")))
    );
}
