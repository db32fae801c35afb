//! A worker that fails: when it is tried again, and when it is given up.

use super::*;
use crate::lifecycle::state::State;

fn hung(scene: &mut Scene) {
    scene.replace(&one(), StopCause::Hung);
    scene.exits(&one(), Exit::Code(0));
}

#[test]
fn a_worker_that_is_never_ready_is_hung_and_given_up_however_long_it_was_waited_for() {
    let mut scene = Scene::new();
    let patient = Timing { start_timeout: seconds(90), ..TIMING };
    scene.tell(Event::Want { worker: one(), timing: patient, blocked: None });
    let mut starts = 0;
    while scene.shown(&one()) != WorkerState::Fatal {
        starts += 1;
        assert!(starts < 20, "a worker that is never ready starts for ever");
        scene.spawned(&one());
        let effects = scene.pass(seconds(90));
        assert_eq!(orders(&effects), ["TERM transform-1-1"]);
        scene.exits(&one(), Exit::Code(0));
        assert_eq!(scene.last_verdict(&one()), Some(Verdict::Hung));
        if let State::Backoff { until, .. } = *scene.state(&one()) {
            scene.pass(until.since(scene.now));
        }
        // The rules for FATAL are about five minutes, in which it cannot fail often: let more failures count.
        scene.fleet.set_policy(RestartPolicy { window: seconds(3600), ..RestartPolicy::default() });
    }
    assert_eq!(starts, 6);
}

#[test]
fn the_time_that_a_hung_worker_takes_to_leave_is_no_healthy_running() {
    let mut scene = Scene::running();
    scene.exits(&one(), CRASH);
    scene.comes_up(&one());
    scene.pass(seconds(40));
    scene.replace(&one(), StopCause::Hung);
    scene.pass(seconds(40));
    scene.exits(&one(), CRASH);
    assert_eq!(scene.shown(&one()), WorkerState::Backoff);
}

#[test]
fn a_healthy_run_is_forgiven_for_however_it_ends() {
    let leave: [fn(&mut Scene); 3] = [
        |scene| {
            scene.exits(&one(), CRASH);
        },
        hung,
        |scene| {
            scene.replace(&one(), StopCause::Operator);
            scene.exits(&one(), Exit::Code(0));
            scene.comes_up_and_crashes(&one());
        },
    ];
    for leave in leave {
        let mut scene = Scene::running();
        scene.exits(&one(), CRASH);
        scene.comes_up(&one());
        scene.pass(seconds(60));
        leave(&mut scene);
        assert_eq!(scene.shown(&one()), WorkerState::Starting, "its first failure in a row is followed at once");
    }
}
