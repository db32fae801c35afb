//! Many workers that want to start at once.

use super::*;
use crate::lifecycle::state::State;

/// So many places, all taken by workers of other tenants.
fn all_places_taken(places: usize) -> Scene {
    let mut scene = Scene::with(RestartPolicy { max_concurrent_starts: places, ..RestartPolicy::default() });
    for tenant in 0..places {
        scene.want(&name(&format!("other-{}-1", tenant + 1)));
    }
    scene
}

#[test]
fn a_worker_that_is_stopped_and_started_again_goes_to_the_end_of_the_queue() {
    let mut scene = all_places_taken(1);
    for round in 0..5 {
        scene.want(&one());
        assert_eq!(*scene.state(&one()), State::Queued, "round {round}");
        scene.stop(&one());
    }
    let patient = name("transform-2-1");
    scene.want(&patient);
    scene.want(&one());
    assert_eq!(orders(&scene.exits(&name("other-1-1"), Exit::Code(69))), ["spawn transform-2-1"]);
}

#[test]
fn a_worker_that_was_removed_and_comes_back_never_reuses_an_incarnation() {
    let mut scene = Scene::running();
    let before = scene.incarnation(&one());
    scene.tell(Event::Remove { worker: one(), why: Why::NotListed });
    scene.exits(&one(), Exit::Code(0));
    scene.now = scene.now + Duration::from_millis(1);
    scene.want(&one());
    assert!(scene.incarnation(&one()) > before);
}

#[test]
fn no_more_workers_start_at_once_than_there_are_places() {
    let mut scene = all_places_taken(3);
    let waiting: Vec<WorkerName> = (1..=5).map(|tenant| name(&format!("transform-{tenant}-1"))).collect();
    for worker in &waiting {
        assert_eq!(orders(&scene.want(worker)), [""; 0]);
        assert_eq!(
            scene.shown(worker),
            WorkerState::Starting,
            "a worker that waits for its turn is starting to a user"
        );
    }
    // Whatever ends a start gives its place to the next, in the order in which they came.
    assert_eq!(orders(&scene.spawned(&name("other-1-1"))), [""; 0]);
    assert_eq!(orders(&scene.ready(&name("other-1-1"))), ["spawn transform-1-1"]);
    assert_eq!(orders(&scene.exits(&name("other-2-1"), Exit::Code(69))), ["spawn transform-2-1"]);
    let held = SpawnTrouble::LeaseHeld { holder: "pid 77".to_owned() };
    assert_eq!(orders(&scene.spawn_fails(&name("other-3-1"), held)), ["spawn transform-3-1"]);
    scene.spawned(&waiting[0]);
    assert_eq!(orders(&scene.stop(&waiting[0])), ["TERM transform-1-1", "spawn transform-4-1"]);
}

#[test]
fn a_start_that_fails_goes_behind_those_who_wait() {
    let mut scene = all_places_taken(1);
    let other = name("other-1-1");
    scene.want(&one());
    assert_eq!(orders(&scene.exits(&other, CRASH)), ["spawn transform-1-1"]);
    assert_eq!(*scene.state(&other), State::Queued);
    scene.spawned(&one());
    assert_eq!(orders(&scene.ready(&one())), ["spawn other-1-1"]);
}

#[test]
fn a_slow_start_gives_up_its_place_and_goes_on() {
    let mut scene = all_places_taken(1);
    let slow = name("other-1-1");
    scene.want(&one());
    scene.spawned(&slow);
    let hold = RestartPolicy::default().place_hold;
    assert_eq!(orders(&scene.pass(almost(hold))), [""; 0]);
    assert_eq!(orders(&scene.pass(Duration::from_millis(1))), ["spawn transform-1-1"]);
    scene.ready(&slow);
    assert_eq!(scene.shown(&slow), WorkerState::Running);
}

#[test]
fn a_slow_start_still_has_to_be_ready_in_time() {
    let mut scene = all_places_taken(1);
    scene.spawned(&name("other-1-1"));
    let effects = scene.pass(TIMING.start_timeout);
    assert_eq!(orders(&effects), ["TERM other-1-1"]);
    assert_eq!(
        *effects.last().unwrap(),
        Effect::Changed {
            worker: name("other-1-1"),
            from: WorkerState::Starting,
            to: WorkerState::Stopping,
            verdict: None,
        }
    );
}

#[test]
fn a_program_that_cannot_say_that_it_is_ready_takes_its_place_only_until_it_runs() {
    let mut scene = Scene::with(RestartPolicy { max_concurrent_starts: 1, ..RestartPolicy::default() });
    let timing = Timing { ready_on_exec: true, ..TIMING };
    scene.tell(Event::Want { worker: one(), timing, blocked: None });
    scene.want(&name("transform-2-1"));
    assert_eq!(orders(&scene.spawned(&one())), ["spawn transform-2-1"]);
    assert_eq!(scene.shown(&one()), WorkerState::Running);
}

#[test]
fn a_worker_that_is_stopped_while_it_waits_for_its_turn_is_passed_over() {
    let mut scene = all_places_taken(1);
    scene.want(&one());
    scene.want(&name("transform-2-1"));
    scene.stop(&one());
    assert_eq!(scene.shown(&one()), WorkerState::Stopped);
    assert_eq!(orders(&scene.exits(&name("other-1-1"), Exit::Code(69))), ["spawn transform-2-1"]);
}

#[test]
fn no_places_at_all_still_means_one() {
    let mut scene = Scene::with(RestartPolicy { max_concurrent_starts: 0, ..RestartPolicy::default() });
    assert_eq!(orders(&scene.want(&one())), ["spawn transform-1-1"]);
}

#[test]
fn a_deadline_is_never_in_the_past_after_a_tick_however_late_it_comes() {
    let mut scene = Scene::new();
    for tenant in 1..=4 {
        let worker = name(&format!("transform-{tenant}-1"));
        scene.want(&worker);
        scene.spawned(&worker);
    }
    scene.stop(&name("transform-1-1"));
    scene.now = scene.now + seconds(7200);
    scene.tell(Event::Tick);
    assert!(scene.fleet.next_deadline().is_none_or(|next| next > scene.now));
    assert_eq!(scene.tell(Event::Tick), [], "and then there is nothing to do");
}
