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

fn verdict_of(leave: impl FnOnce(&mut Scene), exit: Exit) -> Option<Verdict> {
    let mut scene = Scene::running();
    leave(&mut scene);
    scene.exits(&one(), exit);
    scene.last_verdict(&one())
}

#[test]
fn a_commanded_stop_never_looks_like_a_crash_however_the_process_ends() {
    for exit in [Exit::Code(0), Exit::Code(1), Exit::Code(69), Exit::Code(78), Exit::Signal(9), Exit::Unknown] {
        let stop = |scene: &mut Scene| drop(scene.stop(&one()));
        assert_eq!(verdict_of(stop, exit), Some(Verdict::Operator), "{exit:?}");
        let rest = |scene: &mut Scene| drop(scene.rest(&one()));
        assert_eq!(verdict_of(rest, exit), Some(Verdict::ScaleDown), "{exit:?}");
        let unlisted = |scene: &mut Scene| {
            scene.tell(Event::Unwant { worker: one(), why: Why::NotListed });
        };
        assert_eq!(verdict_of(unlisted, exit), Some(Verdict::ScaleDown), "{exit:?}");
        let causes = [
            (StopCause::Operator, Verdict::Operator),
            (StopCause::Changed, Verdict::Operator),
            (StopCause::ScaleDown, Verdict::ScaleDown),
            (StopCause::Recycle, Verdict::Recycle),
            (StopCause::Hung, Verdict::Hung),
        ];
        for (cause, verdict) in causes {
            let replace = |scene: &mut Scene| drop(scene.replace(&one(), cause));
            assert_eq!(verdict_of(replace, exit), Some(verdict), "{exit:?}");
        }
    }
}

#[test]
fn a_commanded_restart_spends_no_budget() {
    let mut scene = Scene::running();
    for _ in 0..20 {
        assert_eq!(orders(&scene.replace(&one(), StopCause::Operator)), ["TERM transform-1-1"]);
        assert_eq!(orders(&scene.exits(&one(), Exit::Code(0))), ["spawn transform-1-1"]);
        scene.comes_up(&one());
    }
    assert_eq!(orders(&scene.exits(&one(), CRASH)), ["spawn transform-1-1"], "its first failure");
}

#[test]
fn a_stopped_worker_stays_stopped() {
    let mut scene = Scene::running();
    assert_eq!(orders(&scene.stop(&one())), ["TERM transform-1-1"]);
    assert_eq!(orders(&scene.stop(&one())), [""; 0], "it is told once");
    assert_eq!(orders(&scene.exits(&one(), CRASH)), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Stopped);
    scene.wake(&one());
    scene.revive(&one());
    assert_eq!(orders(&scene.pass(seconds(7200))), [""; 0]);
    assert_eq!(scene.shown(&one()), WorkerState::Stopped);
    assert_eq!(orders(&scene.want(&one())), ["spawn transform-1-1"]);
}

#[test]
fn a_stop_before_the_pid_is_known_reaches_the_process_as_soon_as_it_is_there() {
    let mut scene = Scene::new();
    scene.want(&one());
    assert_eq!(orders(&scene.stop(&one())), [""; 0]);
    assert_eq!(orders(&scene.spawned(&one())), ["TERM transform-1-1"]);
    scene.exits(&one(), Exit::Signal(15));
    assert_eq!((scene.shown(&one()), scene.last_verdict(&one())), (WorkerState::Stopped, Some(Verdict::Operator)));
}

#[test]
fn a_start_that_fails_after_the_stop_leaves_the_worker_stopped() {
    for trouble in [
        SpawnTrouble::Failed { detail: "no memory".to_owned() },
        SpawnTrouble::LeaseHeld { holder: "pid 77".to_owned() },
    ] {
        let mut scene = Scene::new();
        scene.want(&one());
        scene.stop(&one());
        scene.spawn_fails(&one(), trouble);
        assert_eq!(scene.shown(&one()), WorkerState::Stopped);
    }
}

#[test]
fn a_start_while_it_is_leaving_is_followed_by_a_new_process_after_the_exit() {
    let mut scene = Scene::running();
    let before = scene.incarnation(&one());
    scene.stop(&one());
    assert_eq!(orders(&scene.want(&one())), [""; 0], "there is never a second process");
    scene.now = scene.now + seconds(1);
    assert_eq!(orders(&scene.exits(&one(), Exit::Code(0))), ["spawn transform-1-1"]);
    assert!(scene.incarnation(&one()) > before);
}

#[test]
fn a_process_that_is_replaced_before_its_pid_is_known_leaves_as_soon_as_it_is_there() {
    let mut scene = Scene::new();
    scene.want(&one());
    assert_eq!(orders(&scene.replace(&one(), StopCause::Changed)), [""; 0]);
    assert_eq!(orders(&scene.spawned(&one())), ["TERM transform-1-1"]);
    assert_eq!(orders(&scene.exits(&one(), Exit::Signal(15))), ["spawn transform-1-1"]);
    scene.comes_up(&one());
    assert_eq!(scene.shown(&one()), WorkerState::Running, "and the one after it stays");
}

#[test]
fn the_restart_of_one_tenant_touches_no_other() {
    let mut scene = Scene::running();
    let other = name("transform-2-1");
    scene.want(&other);
    scene.comes_up(&other);
    let before = scene.state(&other).clone();
    let mut effects = scene.replace(&one(), StopCause::Operator);
    effects.extend(scene.exits(&one(), Exit::Code(0)));
    effects.extend(scene.spawned(&one()));
    effects.extend(scene.ready(&one()));
    assert_eq!(*scene.state(&other), before);
    assert!(!format!("{effects:?}").contains(&format!("{other:?}")), "{effects:?}");
}

#[test]
fn a_process_that_ignores_term_is_killed_after_its_grace_and_again_while_it_lives() {
    let mut scene = Scene::running();
    scene.stop(&one());
    assert_eq!(orders(&scene.pass(almost(TIMING.grace))), [""; 0]);
    assert_eq!(orders(&scene.pass(Duration::from_millis(1))), ["KILL transform-1-1"]);
    assert_eq!(orders(&scene.pass(seconds(4))), [""; 0]);
    assert_eq!(orders(&scene.pass(seconds(11))), ["KILL transform-1-1"; 3]);
    scene.exits(&one(), Exit::Signal(9));
    assert_eq!((scene.shown(&one()), scene.last_verdict(&one())), (WorkerState::Stopped, Some(Verdict::Operator)));
}

#[test]
fn a_hurried_stop_kills_at_once_and_only_once() {
    let mut scene = Scene::running();
    let hurry = |scene: &mut Scene| orders(&scene.tell(Event::Hurry { worker: one() }));
    assert_eq!(hurry(&mut scene), [""; 0], "nobody has told it to leave");
    scene.stop(&one());
    assert_eq!(hurry(&mut scene), ["KILL transform-1-1"]);
    assert_eq!(hurry(&mut scene), [""; 0]);
    assert_eq!(orders(&scene.pass(seconds(5))), ["KILL transform-1-1"]);
}

#[test]
fn a_removed_worker_disappears_only_when_its_process_is_gone() {
    let mut scene = Scene::running();
    let remove = |scene: &mut Scene| orders(&scene.tell(Event::Remove { worker: one(), why: Why::NotListed }));
    assert_eq!(remove(&mut scene), ["TERM transform-1-1"]);
    scene.pass(seconds(3600));
    assert_eq!(scene.shown(&one()), WorkerState::Stopping);
    assert_eq!(orders(&scene.exits(&one(), Exit::Signal(9))), ["gone transform-1-1"]);
    assert!(!scene.is_known(&one()));

    scene.want(&one());
    assert_eq!(remove(&mut scene), [""; 0], "it is being started");
    assert_eq!(orders(&scene.spawned(&one())), ["TERM transform-1-1"]);
    assert_eq!(orders(&scene.exits(&one(), Exit::Code(0))), ["gone transform-1-1"]);

    scene.stop(&one());
    assert_eq!(remove(&mut scene), ["gone transform-1-1"], "it had no process");
}

#[test]
fn a_worker_rests_while_there_is_no_work_and_wakes_when_there_is() {
    let mut scene = Scene::running();
    assert_eq!(orders(&scene.rest(&one())), ["TERM transform-1-1"]);
    scene.exits(&one(), Exit::Code(0));
    assert_eq!(scene.shown(&one()), WorkerState::Idle);
    assert_eq!(orders(&scene.pass(seconds(7200))), [""; 0]);
    assert_eq!(orders(&scene.wake(&one())), ["spawn transform-1-1"]);
}

#[test]
fn work_that_comes_while_a_worker_goes_to_rest_brings_it_back_after_the_exit() {
    let mut scene = Scene::running();
    scene.rest(&one());
    scene.wake(&one());
    assert_eq!(orders(&scene.exits(&one(), Exit::Code(0))), ["spawn transform-1-1"]);
}

#[test]
fn a_worker_that_failed_rests_too_but_a_fatal_one_stays_in_sight() {
    let mut scene = Scene::running();
    scene.exits(&one(), CRASH);
    scene.comes_up_and_crashes(&one());
    scene.rest(&one());
    assert_eq!(scene.shown(&one()), WorkerState::Idle);
    scene.wake(&one());
    scene.spawned(&one());
    scene.exits(&one(), Exit::Code(78));
    scene.rest(&one());
    assert_eq!(scene.shown(&one()), WorkerState::Fatal);
}

#[test]
fn a_hurried_stop_before_the_pid_is_known_kills_the_process_as_soon_as_it_is_there() {
    let mut scene = Scene::new();
    scene.want(&one());
    scene.stop(&one());
    scene.tell(Event::Hurry { worker: one() });
    assert_eq!(orders(&scene.spawned(&one())), ["TERM transform-1-1", "KILL transform-1-1"]);

    let mut wanted = Scene::new();
    wanted.want(&one());
    wanted.tell(Event::Hurry { worker: one() });
    wanted.stop(&one());
    assert_eq!(orders(&wanted.spawned(&one())), ["TERM transform-1-1"], "nobody had told it to leave");
}
