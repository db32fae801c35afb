//! Whom a worker started does not outlive it.

use std::{fs, path::PathBuf, time::Instant};

use etl_supervisor::keeper::protocol::{Report, Scope, SpawnFailure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::harness::{Brain, Place, dies, lives, name, wait_until};

/// A worker whose helper has left its group and session twice and lost its parent, and says its pid.
fn place_with_stray(helper: &str) -> Place {
    let inner = format!("echo stray $$; {helper}");
    let script = format!("setsid sh -c 'setsid sh -c \"$1\" & exit 0' sh '{inner}' & wait; exec sleep 600");
    Place::new(&format!("[queues.family]\ncommand = [\"sh\", \"-c\", {script:?}]\n"))
}

fn stray(place: &Place, brain: &mut Brain) -> (Pid, Pid) {
    let main = brain.spawned("family-1-1", 1);
    let stray = Pid::from_raw(place.printed("family-1-1", "stray ").parse().unwrap());
    assert_ne!(nix::unistd::getsid(Some(stray)).unwrap(), main, "it has left the session");
    (main, stray)
}

#[test]
fn a_tree_is_killed_with_those_who_left_the_session_twice() {
    let place = place_with_stray("exec sleep 600");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (main, stray) = stray(&place, &mut brain);
    brain.signal("family-1-1", 1, Signal::SIGKILL, Scope::Tree);
    brain.exited("family-1-1");
    assert!(!lives(main) && !lives(stray), "an exit is told only when nobody is left");
}

#[test]
fn an_exit_waits_until_whoever_was_left_behind_is_gone() {
    let place = place_with_stray("exec sleep 600");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (main, stray) = stray(&place, &mut brain);
    let killed = Instant::now();
    kill(main, Signal::SIGKILL).unwrap();
    brain.exited("family-1-1");
    assert!(!lives(stray), "whoever holds the lease is gone when the exit is told");
    println!("exit with a left-over descendant told after {:?}", killed.elapsed());
    brain.spawned("family-1-1", 2);
}

#[test]
fn a_stray_that_gave_up_the_lease_is_known_by_its_environment() {
    let place = place_with_stray("exec sleep 600 3>&-");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (main, stray) = stray(&place, &mut brain);
    kill(main, Signal::SIGKILL).unwrap();
    brain.exited("family-1-1");
    dies(stray);
}

#[test]
fn a_stray_of_a_worker_that_lives_is_left_alone() {
    let place = place_with_stray("exec sleep 600");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (main, stray) = stray(&place, &mut brain);
    // Another worker's end makes the keeper look through the orphans.
    for incarnation in 1..=3 {
        let other = brain.spawned("family-2-1", incarnation);
        let others_stray = Pid::from_raw(place.printed("family-2-1", "stray ").parse().unwrap());
        kill(other, Signal::SIGKILL).unwrap();
        brain.exited("family-2-1");
        assert!(!lives(others_stray));
        fs::remove_file(place.path("log/family-2-1.log")).unwrap();
    }
    assert!(lives(main) && lives(stray));
}

#[test]
fn a_family_that_grows_while_it_is_killed_is_gone_in_the_end() {
    // Each leaves the session and starts two more, at most a few hundred at a time.
    let grow = "n=$1; [ $n -gt 0 ] && for i in 1 2; do setsid sh -c \"$0\" \"$0\" $((n-1)) & done; exec sleep 600";
    let script = format!("g={grow:?}; sh -c \"$g\" \"$g\" 7 & echo growing; wait");
    let script = script.replace("g=\"", "g='").replace("exec sleep 600\";", "exec sleep 600';").replace("\\\"", "\"");
    let place = Place::new(&format!("[queues.family]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let _keeper = place.start();
    let mut brain = place.brain();
    brain.spawned("family-1-1", 1);
    place.printed("family-1-1", "growing");
    wait_until(|| "the family grows".to_owned(), || members(&place).len() > 10);
    brain.signal("family-1-1", 1, Signal::SIGKILL, Scope::Tree);
    brain.exited("family-1-1");
    let left = members(&place);
    assert_eq!(left, Vec::<Pid>::new(), "alive after the exit was told");
}

/// Living processes of this place's workers.
fn members(place: &Place) -> Vec<Pid> {
    let mark = format!("NOTIFY_SOCKET={}\0", place.path("run/notify.sock").display());
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.map(Pid::from_raw)
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|window| window == mark.as_bytes()) && lives(*pid)
        })
        .collect()
}

#[test]
fn an_orphan_that_ends_is_reaped_while_its_worker_goes_on() {
    let place = place_with_stray("exec sleep 600");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (main, stray) = stray(&place, &mut brain);
    kill(stray, Signal::SIGKILL).unwrap();
    wait_until(|| "no zombie is left".to_owned(), || !place_of(stray).exists());
    assert!(lives(main));
}

fn place_of(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

#[test]
fn a_keeper_begins_with_those_whom_an_earlier_one_could_not_take_along() {
    let place = place_with_stray("exec sleep 600");
    let mut keeper = place.start();
    let (main, stray) = stray(&place, &mut place.brain());
    keeper.signal(Signal::SIGKILL);
    keeper.ended();
    dies(main);
    assert!(lives(stray), "nobody was there to take it along");
    let _next = place.start();
    dies(stray);
    // Its descriptors are closed a moment after its end has begun.
    let lease = fs::File::open(place.lease("family-1-1")).unwrap();
    wait_until(|| "the lease is free".to_owned(), || lease.try_lock().is_ok());
    drop(lease);
    fs::remove_file(place.path("log/family-1-1.log")).unwrap();
    place.brain().spawned("family-1-1", 2);
}

#[test]
fn the_lease_of_a_family_is_not_given_to_a_second_process() {
    let place = place_with_stray("exec sleep 600");
    let _keeper = place.start();
    let mut brain = place.brain();
    stray(&place, &mut brain);
    brain.spawn("family-1-1", 2);
    let failure = brain.until(|report| match report {
        Report::SpawnFailed { worker, incarnation: 2, failure } if *worker == name("family-1-1") => {
            Some(failure.clone())
        }
        Report::Spawned { .. } => panic!("{report:?}"),
        _ => None,
    });
    assert!(matches!(failure, SpawnFailure::LeaseHeld { .. }), "{failure:?}");
}
