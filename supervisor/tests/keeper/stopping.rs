//! Stopping the keeper stops what it keeps.

use std::time::{Duration, Instant};

use etl_supervisor::keeper::protocol::{ExitStatus, Report};
use nix::{libc, sys::signal::Signal, unistd::Pid};

use crate::harness::{Place, lives, wait_until};

/// Starts a process without lease, session and environment of its worker, and says its pid.
const NAMELESS_STRAY: &str =
    "setsid sh -c 'env -i PATH=$PATH setsid sh -c \"echo stray \\$\\$; exec sleep 600 3>&-\" & exit 0' &";

const DEAF: &str = "trap '' TERM; echo deaf; while :; do sleep 1; done";

#[test]
fn term_lets_every_worker_finish_and_their_exits_are_still_told() {
    let script = "trap 'exit 42' TERM; echo waiting; while :; do sleep 600 & wait; done";
    let place = Place::new(&format!("[queues.polite]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let mut keeper = place.start();
    let mut brain = place.brain();
    for worker in ["polite-1-1", "polite-2-1", "polite-3-1"] {
        brain.spawned(worker, 1);
        place.printed(worker, "waiting");
    }
    keeper.signal(Signal::SIGTERM);
    for _ in 0..3 {
        let status = brain.until(|report| match report {
            Report::Exited { status, .. } => Some(*status),
            _ => None,
        });
        assert_eq!(status, ExitStatus::Code(42));
    }
    assert!(keeper.ended().success());
}

#[test]
fn whoever_does_not_leave_in_time_is_killed_with_everybody_it_started() {
    let script = format!("{NAMELESS_STRAY} {DEAF}");
    let place = Place::new(&format!("[queues.deaf]\ncommand = [\"sh\", \"-c\", {script:?}]\ngrace = \"300ms\"\n"));
    let mut keeper = place.start();
    let mut brain = place.brain();
    let pid = brain.spawned("deaf-1-1", 1);
    place.printed("deaf-1-1", "deaf");
    // Without lease and environment it is a stranger to everybody but the keeper that ends.
    let stray = Pid::from_raw(place.printed("deaf-1-1", "stray ").parse().unwrap());
    let asked = Instant::now();
    keeper.signal(Signal::SIGTERM);
    assert!(keeper.ended().success());
    assert!(asked.elapsed() >= Duration::from_millis(300), "its time to leave was cut short: {:?}", asked.elapsed());
    assert!(!lives(pid) && !lives(stray));
}

#[test]
fn a_second_signal_does_not_wait_for_anybody() {
    let place = Place::new(&format!("[queues.deaf]\ncommand = [\"sh\", \"-c\", {DEAF:?}]\ngrace = \"1h\"\n"));
    let mut keeper = place.start();
    let mut brain = place.brain();
    brain.spawned("deaf-1-1", 1);
    place.printed("deaf-1-1", "deaf");
    keeper.signal(Signal::SIGTERM);
    wait_until(|| place.keeper_log(), || place.keeper_log().contains("stopping"));
    // No new process is started meanwhile, and that is said.
    brain.spawn("deaf-2-1", 1);
    brain.until(|report| match report {
        Report::SpawnFailed { .. } => Some(()),
        Report::Spawned { .. } => panic!("{report:?}"),
        _ => None,
    });
    keeper.signal(Signal::SIGINT);
    let Report::Exited { status, .. } = brain.exited("deaf-1-1") else { unreachable!() };
    assert_eq!(status, ExitStatus::Signal(libc::SIGKILL));
    assert!(keeper.ended().success());
}

#[test]
fn a_worker_that_stands_still_is_woken_to_leave() {
    // Without a way to hear TERM, a process that stands still would end from it at once.
    let script = "trap 'exit 0' TERM; echo waiting; while :; do sleep 600 & wait; done";
    let place = Place::new(&format!("[queues.polite]\ncommand = [\"sh\", \"-c\", {script:?}]\ngrace = \"1h\"\n"));
    let mut keeper = place.start();
    let mut brain = place.brain();
    let pid = brain.spawned("polite-1-1", 1);
    place.printed("polite-1-1", "waiting");
    nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    keeper.signal(Signal::SIGTERM);
    assert!(keeper.ended().success());
    assert!(!lives(pid));
}

#[test]
fn the_end_of_the_keeper_is_the_end_of_those_who_carry_no_mark() {
    let script = format!("{NAMELESS_STRAY} trap 'exit 0' TERM; while :; do sleep 600 & wait; done");
    let place = Place::new(&format!("[queues.polite]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let mut keeper = place.start();
    place.brain().spawned("polite-1-1", 1);
    let stray = Pid::from_raw(place.printed("polite-1-1", "stray ").parse().unwrap());
    keeper.signal(Signal::SIGTERM);
    assert!(keeper.ended().success());
    assert!(!lives(stray));
}
