//! Processes that were there before the supervisor.

use super::*;

#[test]
fn a_found_process_that_nobody_has_decided_about_is_left_alone_however_long_it_takes() {
    let mut scene = Scene::without_keeper(RestartPolicy::default());
    scene.found(&one(), 7, false);
    scene.tell(Event::KeeperUp);
    assert_eq!(orders(&scene.pass(seconds(3600))), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Starting);
    // Once it is wanted it has its own time, from then on.
    scene.want(&one());
    assert_eq!(orders(&scene.pass(TIMING.start_timeout - seconds(1))), [""; 0]);
    assert_eq!(orders(&scene.pass(seconds(1))), ["TERM transform-1-1"]);
}

#[test]
fn a_found_process_that_cannot_say_that_it_is_ready_is_running_once_that_is_known() {
    let mut scene = Scene::without_keeper(RestartPolicy::default());
    scene.found(&one(), 7, false);
    scene.tell(Event::KeeperUp);
    scene.tell(Event::Want { worker: one(), timing: Timing { ready_on_exec: true, ..TIMING }, blocked: None });
    assert_eq!(scene.shown(&one()), WorkerState::Running);
    assert_eq!(orders(&scene.pass(seconds(3600))), [""; 0], "it is healthy and must not be replaced");
}
