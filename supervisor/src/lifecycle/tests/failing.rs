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

#[test]
fn the_first_restart_is_immediate_and_the_next_ones_wait() {
    let mut scene = Scene::running();
    let effects = scene.exits(&one(), CRASH);
    assert_eq!(orders(&effects), ["spawn transform-1-1"]);
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::Changed {
            from: WorkerState::Running,
            to: WorkerState::Starting,
            verdict: Some(Verdict::Crash(11)),
            ..
        }
    )));
    let mut longest = Duration::from_secs(1);
    for attempt in 1..=4 {
        assert_eq!(orders(&scene.comes_up_and_crashes(&one())), [""; 0]);
        let State::Backoff { until, attempt: shown } = *scene.state(&one()) else {
            panic!("{:?}", scene.state(&one()))
        };
        assert_eq!(shown, attempt);
        let wait = until.since(scene.now);
        assert!(wait <= longest, "{wait:?} is more than {longest:?}");
        assert_eq!(orders(&scene.pass(wait)), ["spawn transform-1-1"]);
        longest *= 2;
    }
    assert_eq!(scene.fleet.slot(&one()).unwrap().restarts(), 5);
}

/// Crashes until it is given up.
fn given_up() -> Scene {
    let mut scene = Scene::running();
    scene.exits(&one(), CRASH);
    for _ in 0..4 {
        scene.comes_up_and_crashes(&one());
        scene.pass(seconds(60));
    }
    assert_eq!(orders(&scene.comes_up_and_crashes(&one())), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Fatal);
    scene
}

#[test]
fn a_spent_budget_is_fatal_and_the_deaths_are_on_record() {
    let scene = given_up();
    let tally: Vec<_> = scene.fleet.slot(&one()).unwrap().tally().map(|death| death.verdict.clone()).collect();
    assert_eq!(tally, vec![Verdict::Crash(11); 6]);
}

#[test]
fn the_tally_of_deaths_keeps_the_newest_eight() {
    let mut scene = Scene::with(RestartPolicy { max_restarts: 100, ..RestartPolicy::default() });
    scene.want(&one());
    for code in 1..=11 {
        scene.comes_up(&one());
        scene.exits(&one(), Exit::Code(code));
        scene.pass(seconds(60));
    }
    let tally: Vec<_> = scene.fleet.slot(&one()).unwrap().tally().map(|death| death.verdict.clone()).collect();
    assert_eq!(tally, (4..=11).map(Verdict::Exit).collect::<Vec<_>>());
}

#[test]
fn an_operators_start_revives_a_fatal_worker_and_forgives_everything() {
    let mut scene = given_up();
    assert_eq!(orders(&scene.want(&one())), [""; 0], "being wanted is not enough");
    assert_eq!(orders(&scene.revive(&one())), ["spawn transform-1-1"]);
    assert_eq!(orders(&scene.comes_up_and_crashes(&one())), ["spawn transform-1-1"], "as if it were the first");
}

#[test]
fn an_operators_start_ends_a_backoff() {
    let mut scene = Scene::running();
    scene.exits(&one(), CRASH);
    scene.comes_up_and_crashes(&one());
    assert_eq!(scene.shown(&one()), WorkerState::Backoff);
    assert_eq!(orders(&scene.revive(&one())), ["spawn transform-1-1"]);
}

#[test]
fn a_fatal_worker_gets_one_try_after_a_while_and_goes_back_when_it_fails() {
    let mut scene = given_up();
    assert_eq!(orders(&scene.pass(almost(seconds(15 * 60)))), [""; 0]);
    assert_eq!(orders(&scene.pass(Duration::from_millis(1))), ["spawn transform-1-1"]);
    assert_eq!(orders(&scene.comes_up_and_crashes(&one())), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Fatal);
    // The next try succeeds, and a healthy run makes it a worker like any other.
    scene.pass(seconds(15 * 60));
    scene.comes_up(&one());
    scene.pass(seconds(60));
    assert_eq!(orders(&scene.exits(&one(), CRASH)), ["spawn transform-1-1"]);
}

#[test]
fn a_wrong_configuration_is_fatal_at_once() {
    let mut scene = Scene::new();
    scene.want(&one());
    scene.spawned(&one());
    assert_eq!(orders(&scene.exits(&one(), Exit::Code(78))), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Fatal);
    assert_eq!(scene.last_verdict(&one()), Some(Verdict::Exit(78)));
}

#[test]
fn a_process_that_cannot_be_started_goes_through_the_same_backoff() {
    let mut scene = Scene::new();
    scene.want(&one());
    let failed = || SpawnTrouble::Failed { detail: "execute: no such file".to_owned() };
    assert_eq!(orders(&scene.spawn_fails(&one(), failed())), ["spawn transform-1-1"]);
    for _ in 0..4 {
        scene.spawn_fails(&one(), failed());
        assert_eq!(scene.shown(&one()), WorkerState::Backoff);
        scene.pass(seconds(60));
    }
    scene.spawn_fails(&one(), failed());
    assert_eq!(scene.shown(&one()), WorkerState::Fatal);
    let death = scene.fleet.slot(&one()).unwrap().tally().next_back().unwrap().clone();
    assert_eq!((death.verdict, death.detail.as_deref()), (Verdict::SpawnFailed, Some("execute: no such file")));
}

#[test]
fn a_worker_that_leaves_by_itself_with_code_0_is_drained_and_started_again() {
    let mut scene = Scene::running();
    assert_eq!(orders(&scene.exits(&one(), Exit::Code(0))), ["spawn transform-1-1"]);
    assert_eq!(scene.last_verdict(&one()), Some(Verdict::Drained));
}

#[test]
fn late_news_of_an_earlier_incarnation_changes_nothing() {
    let mut scene = Scene::running();
    let earlier = scene.incarnation(&one());
    scene.exits(&one(), CRASH);
    let late = |scene: &mut Scene| {
        let before = scene.state(&one()).clone();
        let worker = one;
        assert_eq!(scene.spawned_as(&one(), earlier), []);
        assert_eq!(scene.tell(Event::Ready { worker: worker(), incarnation: earlier }), []);
        assert_eq!(scene.tell(Event::Exited { worker: worker(), incarnation: earlier, exit: CRASH }), []);
        let trouble = SpawnTrouble::Failed { detail: String::new() };
        assert_eq!(scene.tell(Event::SpawnFailed { worker: worker(), incarnation: earlier, trouble }), []);
        assert_eq!(*scene.state(&one()), before);
    };
    late(&mut scene);
    scene.spawned(&one());
    late(&mut scene);
    scene.ready(&one());
    late(&mut scene);
    scene.replace(&one(), StopCause::Operator);
    late(&mut scene);
    scene.stop(&one());
    scene.exits(&one(), Exit::Code(0));
    late(&mut scene);
    assert_eq!(scene.fleet.slot(&one()).unwrap().tally().count(), 2);
}
