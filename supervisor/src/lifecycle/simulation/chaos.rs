//! Everything that may go wrong, and everybody who may press a button.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Log,
    keeper::{self, Nature, between},
    world::{Happening, Wish, World},
};
use crate::{
    clock::BootTime,
    lifecycle::{Crew, Event, RestartPolicy, StopCause, Timing},
};

/// Between two things that happen to one tenant, on average half of this; in milliseconds.
const TENANT_PAUSE: u64 = 12_000;
/// Likewise for everybody.
const EVERYBODY_PAUSE: u64 = 60_000;

impl World {
    /// A world in which everything may happen, until it becomes calm.
    pub(super) fn chaotic(seed: u64, log: Log) -> Self {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(7));
        let wishes = any_wishes(&mut rng);
        let policy = any_policy(&mut rng);
        let mut world = Self::new(seed, policy, wishes, log);
        world.note(|| format!("{:?} {:#?}", world.policy, world.wishes));
        world.unreliable = rng.random_bool(0.8);
        for tenant in world.tenant_rngs.keys().copied().collect::<Vec<_>>() {
            world.after(between(&mut rng, 1, TENANT_PAUSE), Happening::Tenant(tenant));
        }
        if rng.random_bool(0.8) {
            world.after(between(&mut rng, 1, EVERYBODY_PAUSE), Happening::Everybody);
        }
        world.after(between(&mut rng, 60_000, 900_000), Happening::Calm);
        world
    }

    /// Something happens to one of the tenant's workers.
    pub(super) fn trouble_tenant(&mut self, tenant: i64) {
        if self.calm {
            return;
        }
        let workers: Vec<WorkerName> =
            self.wishes.keys().filter(|worker| worker.tenant.get() == tenant).cloned().collect();
        let rng = self.tenant_rngs.get_mut(&tenant).expect("every tenant has one");
        let worker = workers[rng.random_range(0..workers.len())].clone();
        let (what, nature, timing) = (rng.random_range(0..22), Nature::any(rng), any_timing(rng));
        let held = between(rng, 10, 40_000);
        let pause = between(rng, 1, TENANT_PAUSE);
        let mut of_relief = StdRng::seed_from_u64(rng.random());
        self.after(pause, Happening::Tenant(tenant));
        let known = self.settled;
        let wish = self.wishes.get_mut(&worker).expect("every worker has one");
        match what {
            0 => wish.stopped = true,
            1 => wish.stopped = false,
            2 => wish.listed = false,
            3 => wish.listed = true,
            4 => wish.resting = true,
            5 => wish.resting = false,
            6 => wish.missing = Some("its queue".to_owned()),
            7 => wish.missing = None,
            8 => wish.lease_until = self.now + held,
            9 => wish.timing = timing,
            10..=15 => wish.nature = nature,
            _ => {}
        }
        self.note(|| format!("something happens to {worker}: {what} {:?}", self.wishes[&worker]));
        if !known {
            return;
        }
        match what {
            1 => {
                self.say_wish(&worker);
                self.tell(Event::Revive { worker });
            }
            2 | 3 => {
                // Its slot may be the one in which somebody stands in.
                self.abandon_reliefs(|crew| *crew == Crew::of(&worker));
                self.say_wish(&worker);
            }
            0 => self.say_wish(&worker),
            4 => self.tell(Event::Rest { worker }),
            5 => self.tell(Event::Wake { worker }),
            6 => self.tell(Event::Blocked { worker, on: "its queue".to_owned() }),
            7 => self.tell(Event::Unblocked { worker }),
            9 if nature == Nature::Healthy => self.tell(Event::Retime { worker, timing }),
            9 => {
                self.say_wish(&worker);
                self.tell(Event::Replace { worker, cause: StopCause::Changed });
            }
            16 => self.tell(Event::Replace { worker, cause: StopCause::Operator }),
            17 => self.tell(Event::Replace { worker, cause: StopCause::Recycle }),
            18 => self.tell(Event::Replace { worker, cause: StopCause::Hung }),
            19 if nature == Nature::Healthy => self.process_is_shot(&worker),
            19 => self.tell(Event::Hurry { worker }),
            20 | 21 => self.ask_relief(&worker, &mut of_relief),
            _ => {}
        }
    }

    /// Something happens to the keeper, the supervisor, or what everybody depends on.
    pub(super) fn trouble_everybody(&mut self) {
        if self.calm {
            return;
        }
        let pause = between(&mut self.rng, 1, EVERYBODY_PAUSE);
        self.after(pause, Happening::Everybody);
        match self.rng.random_range(0..11) {
            0 | 1 => self.keeper_dies(),
            2 => self.socket_breaks(),
            3..=5 if self.fleet.is_some() => self.supervisor_dies(),
            6..=8 if self.dependency => self.dependency_goes(),
            9 => self.rules_change(),
            _ => self.tell(Event::DependencyUp),
        }
    }

    /// Somebody changes how many may start at once. Those who are starting go on.
    fn rules_change(&mut self) {
        self.policy.max_concurrent_starts = self.rng.random_range(0..4);
        self.rules.places_become(self.policy.max_concurrent_starts);
        self.reliefs.set_places(self.policy.max_concurrent_starts);
        if let Some(fleet) = &mut self.fleet {
            fleet.set_policy(self.policy.clone());
        }
    }

    fn dependency_goes(&mut self) {
        self.note(|| "the dependency goes".to_owned());
        self.dependency = false;
        let keeper = self.keeper.iter();
        let needy = keeper
            .flat_map(|keeper| &keeper.processes)
            .filter(|(_, process)| process.nature == Nature::NeedsDependency);
        let needy: Vec<_> = needy.map(|(worker, process)| (worker.clone(), process.incarnation)).collect();
        for (worker, incarnation) in needy {
            let (delay, act) =
                keeper::after_loss_of_dependency(self.rngs.get_mut(&worker).expect("every worker has one"));
            self.after(delay, Happening::Process(worker, incarnation, act));
        }
        let away = between(&mut self.rng, 100, 60_000);
        self.after(away, Happening::DependencyReturns);
    }

    pub(super) fn dependency_returns(&mut self) {
        self.note(|| "the dependency is back".to_owned());
        self.dependency = true;
        self.tell(Event::DependencyUp);
    }

    /// From now on everything that starts is healthy and nobody touches anything.
    pub(super) fn calm_down(&mut self) {
        self.note(|| "calm".to_owned());
        self.calm = true;
        self.dependency = true;
        self.tell(Event::DependencyUp);
        for worker in self.wishes.keys().cloned().collect::<Vec<_>>() {
            let wish = self.wishes.get_mut(&worker).expect("just listed");
            wish.nature = Nature::Healthy;
            wish.missing = None;
            if self.settled {
                self.tell(Event::Unblocked { worker: worker.clone() });
            }
        }
    }
}

fn any_wishes(rng: &mut StdRng) -> BTreeMap<WorkerName, Wish> {
    let mut wishes = BTreeMap::new();
    for tenant in 1..=rng.random_range(1..=4) {
        for slot in 1..=rng.random_range(1..=2) {
            let wish = Wish {
                listed: rng.random_bool(0.9),
                stopped: rng.random_bool(0.1),
                resting: false,
                missing: rng.random_bool(0.1).then(|| "its queue".to_owned()),
                timing: any_timing(rng),
                nature: Nature::any(rng),
                lease_until: BootTime(0),
            };
            wishes.insert(format!("transform-{tenant}-{slot}").parse().unwrap(), wish);
        }
    }
    wishes
}

fn any_timing(rng: &mut StdRng) -> Timing {
    Timing {
        start_timeout: between(rng, 1_600, 90_000),
        grace: between(rng, 0, 30_000),
        ready_on_exec: rng.random_bool(0.15),
    }
}

fn any_policy(rng: &mut StdRng) -> RestartPolicy {
    if rng.random_bool(0.3) {
        return RestartPolicy { max_concurrent_starts: rng.random_range(1..4), ..RestartPolicy::default() };
    }
    RestartPolicy {
        backoff_initial: between(rng, 1, 3_000),
        backoff_max: between(rng, 3_000, 60_000),
        reset_after: between(rng, 1_000, 90_000),
        max_restarts: rng.random_range(0..8),
        window: between(rng, 1_000, 600_000),
        fatal_retry: between(rng, 1_000, 900_000),
        max_concurrent_starts: rng.random_range(0..4),
        place_hold: if rng.random_bool(0.1) { Duration::ZERO } else { between(rng, 1, 3_000) },
    }
}
