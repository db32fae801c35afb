//! A worker that signals whoever is of its user, again and again: the keeper itself becomes that user for moments, when it starts
//! another worker of the tenant and when it kills all of them.

use std::time::{Duration, Instant};

use etl_supervisor::keeper::protocol::Scope;
use nix::sys::signal::Signal;

use crate::harness::{Place, wait_until};

/// Restarts beside each storm, as many as there is time for.
const RESTARTS: u64 = 100;
const BESIDE_ONE: Duration = Duration::from_secs(4);
/// Storms that are ended while they rage.
const STORMS: u64 = 30;

/// Only users are between the workers: with Landlock, signals do not reach the keeper's processes. Nobody is of any help but
/// the killer of users.
fn place(signal: i32) -> Place {
    let storm = format!(
        "import os\nprint('storm', flush=True)\nwhile True:\n try: os.kill(-1, {signal})\n except OSError: pass\n"
    );
    Place::new(&format!(
        "[isolation]\nfilesystem = \"off\"\ncgroups = \"off\"\n[queues.storm]\ncommand = [\"python3\", \"-c\", {storm:?}]\n\
         [queues.sleep]\ncommand = [\"sleep\", \"600\"]\n"
    ))
}

/// So many of them have begun.
fn rages(place: &Place, storms: u64) {
    let begun = || place.log("storm-1-1").lines().filter(|line| *line == "storm").count() as u64;
    wait_until(|| format!("storm {storms}; {} have begun", begun()), || begun() >= storms);
}

fn goes_on_beside(signal: Signal) {
    let place = place(signal as i32);
    let _keeper = place.start();
    let mut brain = place.brain();
    brain.spawned("storm-1-1", 1);
    rages(&place, 1);
    let until = Instant::now() + BESIDE_ONE;
    for restart in 1..=RESTARTS {
        brain.spawned("sleep-1-2", restart);
        brain.signal("sleep-1-2", restart, Signal::SIGKILL, Scope::Tree);
        brain.exited("sleep-1-2");
        if Instant::now() >= until {
            break;
        }
    }
    brain.signal("storm-1-1", 1, Signal::SIGKILL, Scope::Tree);
    brain.exited("storm-1-1");
    for storm in 2..=STORMS {
        brain.spawned("storm-1-1", storm);
        rages(&place, storm);
        brain.signal("storm-1-1", storm, Signal::SIGKILL, Scope::Tree);
        brain.exited("storm-1-1");
    }
}

#[test]
fn a_worker_that_stops_whoever_is_its_user_does_not_stop_the_keeper() {
    goes_on_beside(Signal::SIGSTOP);
}

#[test]
fn a_worker_that_kills_whoever_is_its_user_does_not_kill_the_keeper() {
    goes_on_beside(Signal::SIGKILL);
}
