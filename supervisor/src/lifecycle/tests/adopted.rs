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
    assert_eq!(orders(&scene.pass(almost(TIMING.start_timeout))), [""; 0]);
    assert_eq!(orders(&scene.pass(Duration::from_millis(1))), ["TERM transform-1-1"]);
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

fn found_at_the_start(ready: bool) -> Scene {
    let mut scene = Scene::without_keeper(RestartPolicy::default());
    assert_eq!(orders(&scene.found(&one(), 7, ready)), [""; 0]);
    scene.tell(Event::KeeperUp);
    scene
}

#[test]
fn a_found_process_that_is_wanted_goes_on_running_undisturbed() {
    let mut scene = found_at_the_start(true);
    assert_eq!(scene.shown(&one()), WorkerState::Running);
    assert_eq!(orders(&scene.want(&one())), [""; 0]);
    assert_eq!(orders(&scene.pass(seconds(7200))), [""; 0]);
    assert_eq!(scene.state(&one()).process().unwrap().0, 7);
    assert_eq!(orders(&scene.exits(&one(), CRASH)), ["spawn transform-1-1"]);
    assert!(scene.incarnation(&one()) > 7);
    assert_eq!(scene.fleet.slot(&one()).unwrap().restarts(), 1);
}

#[test]
fn a_found_process_that_was_not_ready_yet_becomes_ready() {
    let mut scene = found_at_the_start(false);
    scene.want(&one());
    scene.ready(&one());
    assert_eq!(scene.shown(&one()), WorkerState::Running);
}

#[test]
fn a_found_process_that_nobody_wants_is_stopped() {
    let mut stopped = found_at_the_start(true);
    assert_eq!(orders(&stopped.stop(&one())), ["TERM transform-1-1"]);
    stopped.exits(&one(), Exit::Code(0));
    assert_eq!(stopped.shown(&one()), WorkerState::Stopped);

    let mut unlisted = found_at_the_start(true);
    let effects = unlisted.tell(Event::Remove { worker: one(), why: Why::NotListed });
    assert_eq!(orders(&effects), ["TERM transform-1-1"]);
    assert_eq!(orders(&unlisted.exits(&one(), Exit::Code(0))), ["gone transform-1-1"]);
}

#[test]
fn a_process_that_is_found_after_it_was_stopped_is_stopped_again() {
    let mut scene = Scene::running();
    let incarnation = scene.incarnation(&one());
    scene.stop(&one());
    scene.tell(Event::KeeperLost);
    assert_eq!(orders(&scene.found(&one(), incarnation, true)), ["TERM transform-1-1"]);
}

#[test]
fn a_process_that_survived_the_conversation_is_found_and_not_started_twice() {
    let mut scene = Scene::running();
    let incarnation = scene.incarnation(&one());
    scene.tell(Event::KeeperLost);
    scene.found(&one(), incarnation, true);
    assert_eq!(orders(&scene.tell(Event::KeeperUp)), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Running);
}

#[test]
fn an_undecided_worker_that_ends_is_not_started() {
    let mut scene = found_at_the_start(true);
    assert_eq!(orders(&scene.exits(&one(), CRASH)), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Stopped);
    assert_eq!(orders(&scene.pass(seconds(7200))), [""; 0]);
}

#[test]
fn an_exit_that_no_supervisor_saw_is_on_record_and_not_held_against_the_worker() {
    let mut scene = Scene::without_keeper(RestartPolicy::default());
    scene.tell(Event::Exited { worker: one(), incarnation: 7, exit: Exit::Code(70) });
    scene.tell(Event::KeeperUp);
    assert_eq!(scene.last_verdict(&one()), Some(Verdict::Exit(70)));
    assert_eq!(scene.shown(&one()), WorkerState::Stopped);
    assert_eq!(orders(&scene.want(&one())), ["spawn transform-1-1"]);
    assert_eq!(orders(&scene.comes_up_and_crashes(&one())), ["spawn transform-1-1"], "its first failure");
}

#[test]
fn news_about_a_worker_that_nobody_knows_changes_nothing() {
    let mut scene = Scene::new();
    scene.spawned_as(&one(), 1);
    scene.tell(Event::Ready { worker: one(), incarnation: 1 });
    scene.tell(Event::Exited { worker: one(), incarnation: 1, exit: CRASH });
    scene.revive(&one());
    scene.wake(&one());
    scene.replace(&one(), StopCause::Operator);
    scene.tell(Event::Remove { worker: one(), why: Why::NotListed });
    assert!(!scene.is_known(&one()));
}
