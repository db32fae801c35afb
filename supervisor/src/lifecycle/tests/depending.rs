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

#[test]
fn a_dependency_that_is_down_is_waited_for_and_spends_no_budget() {
    let mut scene = Scene::running();
    for code in [69, 75].into_iter().cycle().take(30) {
        assert_eq!(orders(&scene.exits(&one(), Exit::Code(code))), [""; 0]);
        assert_eq!(*waits_for(&scene), Dependency::Named);
        assert_eq!(scene.last_verdict(&one()), Some(Verdict::Dependency));
        let wait = until_it_is_tried(&mut scene);
        assert!((Duration::from_millis(2_500)..=seconds(60)).contains(&wait), "{wait:?}");
        scene.spawned(&one());
    }
    scene.ready(&one());
    assert_eq!(orders(&scene.exits(&one(), CRASH)), ["spawn transform-1-1"], "its first failure");
}

#[test]
fn the_waits_for_a_dependency_become_longer_and_start_anew_after_a_healthy_run() {
    let mut scene = Scene::running();
    let wait = |scene: &mut Scene| {
        scene.exits(&one(), Exit::Code(69));
        let wait = until_it_is_tried(scene);
        scene.comes_up(&one());
        wait
    };
    for longest in [5, 10, 20, 40, 60, 60] {
        let waited = wait(&mut scene);
        assert!((seconds(longest) / 2..=seconds(longest)).contains(&waited), "{waited:?} of {longest} s");
    }
    scene.pass(seconds(60));
    assert!(wait(&mut scene) <= seconds(5));
}

#[test]
fn workers_that_waited_for_a_dependency_come_back_spread_over_time() {
    let mut scene = Scene::with(RestartPolicy { max_concurrent_starts: 100, ..RestartPolicy::default() });
    let workers: Vec<WorkerName> = (1..=50).map(|tenant| name(&format!("transform-{tenant}-1"))).collect();
    for worker in &workers {
        scene.want(worker);
        scene.comes_up(worker);
    }
    for worker in &workers {
        // The second wait is at least 5 s, longer than the way back takes.
        scene.exits(worker, Exit::Code(69));
        scene.pass(seconds(6));
        scene.spawned(worker);
        scene.exits(worker, Exit::Code(69));
    }
    scene.pass(Duration::from_millis(1));
    let waiting = scene.fleet.slots().filter(|(_, slot)| slot.state().shown() == WorkerState::Waiting).count();
    assert!(
        scene.tell(Event::DependencyUp).iter().all(|effect| matches!(effect, Effect::Changed { .. })),
        "not at once"
    );
    let mut each_tenth = Vec::new();
    for _ in 0..20 {
        each_tenth.push(orders(&scene.pass(Duration::from_millis(100))).len());
    }
    assert_eq!(each_tenth.iter().sum::<usize>(), waiting, "all are back within two seconds");
    assert!(*each_tenth.iter().max().unwrap() <= waiting / 2, "and not all at once: {each_tenth:?}");
}

#[test]
fn a_dependency_that_returns_does_not_make_anybody_wait_longer() {
    let mut scene = Scene::running();
    scene.exits(&one(), Exit::Code(69));
    let planned = scene.fleet.next_deadline().unwrap();
    scene.pass(almost(planned.since(scene.now)));
    scene.tell(Event::DependencyUp);
    assert!(scene.fleet.next_deadline().unwrap() <= planned);
}

#[test]
fn an_operators_start_does_not_wait_for_the_dependency() {
    let mut scene = Scene::running();
    scene.exits(&one(), Exit::Code(69));
    assert_eq!(orders(&scene.revive(&one())), ["spawn transform-1-1"]);
}

#[test]
fn a_lost_keeper_takes_its_processes_with_it_and_the_workers_come_back_with_the_next() {
    let mut scene = Scene::running();
    assert_eq!(orders(&scene.tell(Event::KeeperLost)), [""; 0]);
    assert_eq!(scene.last_verdict(&one()), Some(Verdict::Lost));
    assert_eq!(*waits_for(&scene), Dependency::Keeper);
    assert_eq!(orders(&scene.pass(seconds(3600))), [""; 0], "nobody could start it");
    assert_eq!(orders(&scene.tell(Event::KeeperUp)), ["spawn transform-1-1"]);
    scene.comes_up(&one());
    assert_eq!(orders(&scene.exits(&one(), CRASH)), ["spawn transform-1-1"], "none of it was held against it");
}

#[test]
fn a_keeper_that_is_lost_again_and_again_spends_no_budget() {
    let mut scene = Scene::running();
    for _ in 0..20 {
        scene.tell(Event::KeeperLost);
        assert_eq!(orders(&scene.tell(Event::KeeperUp)), ["spawn transform-1-1"]);
        scene.comes_up(&one());
    }
}

#[test]
fn a_keeper_that_is_lost_while_a_worker_starts_or_leaves_leaves_it_where_it_is_wanted() {
    let mut starting = Scene::new();
    starting.want(&one());
    starting.tell(Event::KeeperLost);
    assert_eq!(*waits_for(&starting), Dependency::Keeper);

    let mut stopping = Scene::running();
    stopping.stop(&one());
    stopping.tell(Event::KeeperLost);
    assert_eq!(stopping.shown(&one()), WorkerState::Stopped);
    assert_eq!(stopping.last_verdict(&one()), Some(Verdict::Operator), "a commanded stop is one, whoever ended it");

    let mut backoff = Scene::running();
    backoff.exits(&one(), CRASH);
    backoff.comes_up_and_crashes(&one());
    backoff.tell(Event::KeeperLost);
    assert_eq!(backoff.shown(&one()), WorkerState::Backoff);
    backoff.pass(seconds(60));
    assert_eq!(*waits_for(&backoff), Dependency::Keeper);
}

#[test]
fn a_lease_that_somebody_holds_is_waited_for_without_budget() {
    let mut scene = Scene::new();
    scene.want(&one());
    for _ in 0..20 {
        lease_is_held(&mut scene);
    }
    scene.spawn_fails(&one(), SpawnTrouble::LeaseHeld { holder: "pid 77".to_owned() });
    assert_eq!(*waits_for(&scene), Dependency::Lease("pid 77".to_owned()));
    assert_eq!(scene.fleet.slot(&one()).unwrap().tally().count(), 0);
    assert_eq!(orders(&scene.revive(&one())), ["spawn transform-1-1"]);
    scene.comes_up(&one());
    assert_eq!(orders(&scene.exits(&one(), CRASH)), ["spawn transform-1-1"], "its first failure");
}

#[test]
fn what_is_missing_holds_only_the_next_start_back() {
    let mut scene = Scene::running();
    let blocked = |scene: &mut Scene| {
        scene.tell(Event::Blocked { worker: one(), on: "its queue".to_owned() });
    };
    blocked(&mut scene);
    assert_eq!(scene.shown(&one()), WorkerState::Running);
    assert_eq!(orders(&scene.exits(&one(), CRASH)), [""; 0]);
    assert_eq!(*waits_for(&scene), Dependency::Provision("its queue".to_owned()));
    assert_eq!(orders(&scene.revive(&one())), [""; 0], "an operator cannot provide it");
    assert_eq!(orders(&scene.pass(seconds(3600))), [""; 0]);
    assert_eq!(orders(&scene.tell(Event::Unblocked { worker: one() })), ["spawn transform-1-1"]);
}
