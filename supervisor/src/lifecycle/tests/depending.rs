//! A worker whose surroundings are not there: nothing of it is held against the worker.

use super::*;
use crate::lifecycle::{Dependency, state::State};

fn wanted_but_without(scene: &mut Scene, on: Option<&str>) -> Vec<Effect> {
    scene.tell(Event::Want { worker: one(), timing: TIMING, blocked: on.map(str::to_owned) })
}

fn waits_for(scene: &Scene) -> &Dependency {
    match scene.state(&one()) {
        State::Waiting { on, .. } => on,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_queue_that_is_missing_when_the_worker_is_wanted_again_holds_its_start_back() {
    let mut scene = Scene::with(RestartPolicy { max_concurrent_starts: 1, ..RestartPolicy::default() });
    scene.want(&name("transform-9-1"));
    scene.want(&one());
    assert_eq!(*scene.state(&one()), State::Queued);
    wanted_but_without(&mut scene, Some("its queue"));
    assert_eq!(*waits_for(&scene), Dependency::Provision("its queue".to_owned()));
    scene.comes_up(&name("transform-9-1"));
    assert_eq!(scene.shown(&one()), WorkerState::Waiting, "it must not start without its queue");
}

#[test]
fn a_worker_that_is_wanted_again_with_nothing_missing_starts() {
    let mut scene = Scene::new();
    wanted_but_without(&mut scene, Some("its queue"));
    wanted_but_without(&mut scene, Some("its credentials"));
    assert_eq!(*waits_for(&scene), Dependency::Provision("its credentials".to_owned()));
    assert_eq!(orders(&wanted_but_without(&mut scene, None)), ["spawn transform-1-1"]);
}

fn lease_is_held(scene: &mut Scene) -> Duration {
    scene.spawn_fails(&one(), SpawnTrouble::LeaseHeld { holder: "pid 77".to_owned() });
    until_it_is_tried(scene)
}

/// How long it waits for now; then it is tried.
fn until_it_is_tried(scene: &mut Scene) -> Duration {
    let wait = scene.fleet.next_deadline().expect("a wait that ends").since(scene.now);
    assert_eq!(scene.shown(&one()), WorkerState::Waiting);
    assert_eq!(orders(&scene.pass(wait)), ["spawn transform-1-1"]);
    wait
}

#[test]
fn a_lease_that_was_held_for_long_does_not_make_later_waits_longer() {
    let mut scene = Scene::new();
    scene.want(&one());
    let waits: Vec<u128> = (0..8).map(|_| lease_is_held(&mut scene).as_millis()).collect();
    assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    scene.spawned(&one());
    scene.exits(&one(), Exit::Code(69));
    assert!(until_it_is_tried(&mut scene) <= seconds(5), "its first wait for a dependency");
    assert_eq!(lease_is_held(&mut scene), Duration::from_millis(200));
}
