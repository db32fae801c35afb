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
