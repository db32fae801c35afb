//! A worker that has to leave.

use super::*;

#[test]
fn an_exit_that_is_told_twice_does_not_bring_a_removed_worker_back() {
    let mut scene = Scene::running();
    let incarnation = scene.incarnation(&one());
    scene.tell(Event::Remove { worker: one(), why: Why::NotListed });
    assert_eq!(orders(&scene.exits(&one(), Exit::Code(0))), ["gone transform-1-1"]);
    scene.tell(Event::Exited { worker: one(), incarnation, exit: Exit::Code(0) });
    assert!(!scene.is_known(&one()));
}

#[test]
fn a_worker_that_was_stopped_before_the_supervisor_came_is_known_and_not_started() {
    let mut scene = Scene::new();
    assert_eq!(orders(&scene.stop(&one())), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Stopped);
}
