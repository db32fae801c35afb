use etl_shared::{Verdict, api::WorkerState};

use super::*;
use crate::lifecycle::{
    Exit, RestartPolicy, StopCause, Why,
    tests::{CRASH, Scene, TIMING, almost, name, one, orders, seconds},
};

/// A scene in which reliefs are carried out as far as they go after everything that happens.
struct Stage {
    scene: Scene,
    reliefs: Reliefs,
    endings: Vec<Ending>,
}

fn two() -> WorkerName {
    name("transform-1-2")
}

fn three() -> WorkerName {
    name("transform-1-3")
}

impl Stage {
    /// So many workers of one tenant are RUNNING.
    fn with(workers: u16) -> Self {
        let mut scene = Scene::new();
        for slot in 1..=workers {
            let worker = name(&format!("transform-1-{slot}"));
            scene.want(&worker);
            scene.comes_up(&worker);
        }
        Self { scene, reliefs: Reliefs::new(2), endings: Vec::new() }
    }

    /// A relief of every worker has been asked for, and the stand-in is on its way.
    fn begun(workers: u16) -> Self {
        let mut stage = Self::with(workers);
        let all: Vec<_> = stage.scene.fleet.slots().map(|(worker, _)| worker.clone()).collect();
        assert_eq!(stage.ask(all, Purpose::Fresh), [format!("spawn transform-1-{}", workers + 1)]);
        stage
    }

    /// The one worker's process is being replaced, and the stand-in is ready.
    fn replacing() -> Self {
        let mut stage = Self::begun(1);
        assert_eq!(stage.does(|scene| scene.comes_up(&two())), ["TERM transform-1-1"]);
        stage
    }

    fn ask(&mut self, workers: Vec<WorkerName>, purpose: Purpose) -> Vec<String> {
        self.reliefs.ask(workers, StopCause::Recycle, purpose);
        self.advance()
    }

    /// Something happens, and the orders of the relief that follow are returned.
    fn does<T>(&mut self, what: impl FnOnce(&mut Scene) -> T) -> Vec<String> {
        what(&mut self.scene);
        self.advance()
    }

    fn advance(&mut self) -> Vec<String> {
        let mut effects = Vec::new();
        loop {
            let steps = self.reliefs.advance(&self.scene.fleet, self.scene.now);
            if steps.is_empty() {
                return orders(&effects);
            }
            self.take(steps, &mut effects);
        }
    }

    fn take(&mut self, steps: Vec<Step>, effects: &mut Vec<crate::lifecycle::Effect>) {
        for step in steps {
            match step {
                Step::Tell(event) => effects.extend(self.scene.tell(event)),
                Step::Over(outcome) => self.endings.push(outcome.ending),
            }
        }
    }

    fn ready(&self) -> usize {
        self.scene.fleet.slots().filter(|(_, slot)| slot.state().shown() == WorkerState::Running).count()
    }

    fn why_it_failed(&self) -> &str {
        match self.endings.as_slice() {
            [Ending::Failed(why)] => why,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_new_one_is_ready_before_the_old_one_leaves() {
    let mut stage = Stage::begun(1);
    assert_eq!(stage.ready(), 1);
    assert_eq!(stage.reliefs.stands_in_for(&two()), Some(&one()));
    assert_eq!(stage.does(|scene| scene.spawned(&two())), [""; 0]);
    assert_eq!(stage.does(|scene| scene.ready(&two())), ["TERM transform-1-1"]);
    assert_eq!(stage.ready(), 1);
    assert_eq!(stage.does(|scene| scene.exits(&one(), Exit::Code(0))), [""; 0]);
    assert_eq!(stage.scene.last_verdict(&one()), Some(Verdict::Recycle));
    assert_eq!(stage.does(|scene| scene.spawned(&one())), [""; 0]);
    assert_eq!(stage.does(|scene| scene.ready(&one())), ["TERM transform-1-2"]);
    assert_eq!(stage.endings, [Ending::Done]);
    assert!(!stage.reliefs.is_idle(), "the stand-in is still there");
    assert_eq!(stage.does(|scene| scene.exits(&two(), Exit::Code(0))), [""; 0]);
    assert!(stage.reliefs.is_idle() && !stage.scene.is_known(&two()));
    assert_eq!(stage.ready(), 1);
}

#[test]
fn workers_of_one_crew_are_replaced_one_after_the_other_beside_one_stand_in() {
    let mut stage = Stage::begun(2);
    assert_eq!(stage.does(|scene| scene.comes_up(&three())), ["TERM transform-1-1"]);
    stage.does(|scene| scene.exits(&one(), Exit::Code(0)));
    assert_eq!(stage.ready(), 2);
    assert_eq!(stage.does(|scene| scene.comes_up(&one())), ["TERM transform-1-2"]);
    stage.does(|scene| scene.exits(&two(), Exit::Code(0)));
    assert_eq!(stage.ready(), 2);
    assert_eq!(stage.does(|scene| scene.comes_up(&two())), ["TERM transform-1-3"]);
    assert_eq!((stage.endings.as_slice(), stage.ready()), ([Ending::Done].as_slice(), 2));
}

#[test]
fn a_stand_in_that_ends_leaves_the_old_one_untouched() {
    for exit in [Exit::Code(1), Exit::Code(69), Exit::Code(78), CRASH] {
        let mut stage = Stage::begun(1);
        let before = stage.scene.incarnation(&one());
        stage.does(|scene| scene.spawned(&two()));
        stage.does(|scene| scene.exits(&two(), exit));
        assert!(stage.why_it_failed().contains("transform-1-2"), "{exit:?}");
        if stage.scene.is_known(&two()) {
            // Its first restart was ordered before anybody could say that it is not wanted.
            stage.does(|scene| scene.spawned(&two()));
            stage.does(|scene| scene.exits(&two(), Exit::Code(0)));
        }
        assert!(stage.reliefs.is_idle() && !stage.scene.is_known(&two()), "{exit:?}");
        assert_eq!((stage.scene.incarnation(&one()), stage.ready()), (before, 1), "{exit:?}");
    }
}

#[test]
fn a_stand_in_that_is_never_ready_leaves_the_old_one_untouched() {
    let mut stage = Stage::begun(1);
    let before = stage.scene.incarnation(&one());
    stage.scene.tell(Event::Retime {
        worker: two(),
        timing: crate::lifecycle::Timing { start_timeout: seconds(900), ..TIMING },
    });
    stage.scene.spawned(&two());
    let due = stage.reliefs.next_deadline().unwrap().since(stage.scene.now);
    assert_eq!(stage.does(|scene| scene.pass(almost(due))), [""; 0]);
    assert_eq!(stage.does(|scene| scene.pass(seconds(1))), ["TERM transform-1-2"]);
    assert!(stage.why_it_failed().contains("did not become ready"));
    assert_eq!((stage.scene.incarnation(&one()), stage.ready()), (before, 1));
}

#[test]
fn an_old_one_that_crashes_before_its_turn_is_fresh_already_but_has_the_old_secrets() {
    for (purpose, replaced) in [(Purpose::Fresh, false), (Purpose::Generation(2), true)] {
        let mut stage = Stage::with(1);
        stage.ask(vec![one()], purpose);
        stage.does(|scene| scene.exits(&one(), CRASH));
        assert_eq!(stage.reliefs.purpose_of(&one()), None, "its own restart is none of the relief's");
        stage.does(|scene| scene.comes_up(&one()));
        let orders = stage.does(|scene| scene.comes_up(&two()));
        assert_eq!(orders, [if replaced { "TERM transform-1-1" } else { "TERM transform-1-2" }]);
        assert_eq!(stage.reliefs.purpose_of(&one()), replaced.then_some(purpose));
    }
}

#[test]
fn the_stand_in_stays_while_the_new_one_has_trouble_but_not_for_ever() {
    let mut stage = Stage::replacing();
    stage.does(|scene| scene.exits(&one(), Exit::Code(0)));
    for _ in 0..2 {
        stage.does(|scene| scene.spawned(&one()));
        assert_eq!(stage.does(|scene| scene.exits(&one(), CRASH)), [""; 0]);
        assert_eq!((stage.ready(), stage.endings.len()), (1, 0));
        stage.scene.pass(seconds(10));
    }
    let due = stage.reliefs.next_deadline().unwrap().since(stage.scene.now);
    assert_eq!(stage.does(|scene| scene.pass(due)), ["TERM transform-1-2"]);
    assert!(stage.why_it_failed().contains("transform-1-1"));
}

#[test]
fn a_stand_in_that_ends_while_it_is_needed_takes_nobody_else_with_it() {
    let mut stage = Stage::begun(2);
    stage.does(|scene| scene.comes_up(&three()));
    stage.does(|scene| scene.exits(&one(), Exit::Code(0)));
    stage.does(|scene| scene.exits(&three(), CRASH));
    let second = stage.scene.incarnation(&two());
    stage.does(|scene| scene.comes_up(&one()));
    assert!(stage.why_it_failed().contains("not ready any longer"));
    assert_eq!(stage.scene.incarnation(&two()), second);
    assert_eq!(stage.scene.shown(&two()), WorkerState::Running);
}

#[test]
fn a_worker_that_an_operator_stops_meanwhile_needs_nobody_to_stand_in() {
    for mut stage in [Stage::begun(1), Stage::replacing()] {
        let taken = stage.reliefs.purpose_of(&one()).is_some();
        stage.does(|scene| {
            scene.stop(&one());
            scene.spawned(&two());
        });
        assert_eq!(stage.endings, [if taken { Ending::Done } else { Ending::Abandoned }]);
        stage.does(|scene| scene.exits(&two(), Exit::Code(0)));
        assert!(stage.reliefs.is_idle() && !stage.scene.is_known(&two()));
    }
}

#[test]
fn a_tenant_that_vanishes_takes_the_stand_in_with_it() {
    let mut stage = Stage::begun(1);
    stage.does(|scene| scene.tell(Event::Remove { worker: one(), why: Why::NotListed }));
    assert_eq!(stage.endings, [Ending::Abandoned]);
    stage.does(|scene| scene.spawned(&two()));
    stage.does(|scene| scene.exits(&two(), Exit::Code(0)));
    assert!(stage.reliefs.is_idle() && !stage.scene.is_known(&two()));
}

#[test]
fn a_relief_that_is_abandoned_leaves_no_stand_in_whatever_its_stage_was() {
    for mut stage in [Stage::begun(1), Stage::replacing()] {
        let steps = stage.reliefs.abandon(|_| true);
        stage.take(steps, &mut Vec::new());
        stage.scene.tell(Event::KeeperLost);
        stage.advance();
        assert_eq!(stage.endings, [Ending::Abandoned]);
        assert!(stage.reliefs.is_idle() && !stage.scene.is_known(&two()));
        assert_eq!(stage.scene.shown(&one()), WorkerState::Waiting, "it comes back with the keeper");
    }
}

#[test]
fn only_so_many_reliefs_are_under_way_at_once_and_the_others_follow() {
    let mut scene = Scene::with(RestartPolicy { max_concurrent_starts: 9, ..RestartPolicy::default() });
    let workers: Vec<WorkerName> = (1..=3).map(|tenant| name(&format!("transform-{tenant}-1"))).collect();
    for worker in &workers {
        scene.want(worker);
        scene.comes_up(worker);
    }
    let mut stage = Stage { scene, reliefs: Reliefs::new(2), endings: Vec::new() };
    assert_eq!(stage.ask(workers.clone(), Purpose::Fresh), ["spawn transform-1-2", "spawn transform-2-2"]);
    assert_eq!(stage.ask(workers, Purpose::Fresh), [""; 0], "asked for twice is once");
    stage.does(|scene| scene.spawned(&two()));
    assert_eq!(stage.does(|scene| scene.exits(&two(), Exit::Code(78))), ["gone transform-1-2", "spawn transform-3-2"]);
}

#[test]
fn a_worker_without_process_has_nothing_to_replace() {
    let mut stage = Stage::with(1);
    stage.scene.stop(&one());
    stage.scene.exits(&one(), Exit::Code(0));
    assert_eq!(stage.ask(vec![one()], Purpose::Fresh), [""; 0]);
    assert_eq!(stage.endings, [Ending::Abandoned]);
}

#[test]
fn a_stand_in_that_becomes_a_worker_for_good_is_let_go() {
    let mut stage = Stage::replacing();
    let steps = stage.reliefs.abandon(|_| true);
    stage.take(steps, &mut Vec::new());
    stage.does(|scene| scene.want(&two()));
    assert!(stage.reliefs.is_idle() && !stage.reliefs.wants(&two()));
    assert_eq!(stage.reliefs.stands_in_for(&two()), None);
}
