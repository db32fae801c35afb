//! One tenant's trouble is no other tenant's.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Log, for_every_seed,
    keeper::Nature,
    world::{Happening, Wish, World},
};
use crate::{
    clock::BootTime,
    lifecycle::{Effect, RestartPolicy, State, Timing},
};

/// The tenant that is looked at.
const QUIET: i64 = 1;
/// The others.
const LOUD: std::ops::RangeInclusive<i64> = 2..=4;
const WORKERS_EACH: u16 = 2;
const SEEDS: u64 = 400;
const WATCHED: Duration = Duration::from_mins(10);
/// From an order to its answer, in a world in which nothing gets stuck.
const ANSWER: Duration = Duration::from_millis(41);

/// A world in which things happen to the quiet tenant, and in which the others are healthy or everything but that.
fn world(seed: u64, places: usize, mad: bool, log: Log) -> World {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut wishes = BTreeMap::new();
    for tenant in std::iter::once(QUIET).chain(LOUD) {
        for slot in 1..=WORKERS_EACH {
            let bad = Nature::BAD[rng.random_range(0..Nature::BAD.len())];
            let own = Nature::any(&mut rng);
            let nature = match (tenant == QUIET, mad) {
                (true, _) => own,
                (false, true) => bad,
                (false, false) => Nature::Healthy,
            };
            let timing =
                Timing { start_timeout: Duration::from_secs(15), grace: Duration::from_secs(5), ready_on_exec: false };
            let lease_until = BootTime(0);
            let wish =
                Wish { listed: true, stopped: false, resting: false, missing: None, timing, nature, lease_until };
            wishes.insert(format!("transform-{tenant}-{slot}").parse().unwrap(), wish);
        }
    }
    let policy = RestartPolicy { max_concurrent_starts: places, ..RestartPolicy::default() };
    let mut world = World::new(seed, policy, wishes, log);
    world.after(Duration::from_secs(5), Happening::Tenant(QUIET));
    if mad {
        for tenant in LOUD {
            world.after(Duration::from_secs(1), Happening::Tenant(tenant));
        }
    }
    world
}

fn is_quiet(worker: &WorkerName) -> bool {
    worker.tenant.get() == QUIET
}

/// Every effect that is about the quiet tenant, with its time.
fn trace_of_the_quiet(seed: u64, mad: bool, log: Log) -> Vec<(BootTime, Effect)> {
    let mut world = world(seed, 100, mad, log);
    world.trace = Some(Vec::new());
    world.run_for(WATCHED);
    let mut trace = world.trace.take().expect("just put there");
    trace.retain(|(_, effect)| match effect {
        Effect::Spawn { worker, .. }
        | Effect::Stop { worker, .. }
        | Effect::Changed { worker, .. }
        | Effect::Removed { worker } => is_quiet(worker),
    });
    trace
}

#[test]
fn a_simulation_of_isolation_gives_a_tenant_the_same_trace_whether_others_are_healthy_or_mad() {
    for_every_seed(SEEDS, |seed, log| {
        let beside_healthy = trace_of_the_quiet(seed, false, None);
        let beside_mad = trace_of_the_quiet(seed, true, log);
        assert!(beside_healthy.len() > 10, "nothing happened");
        for (healthy, mad) in beside_healthy.iter().zip(&beside_mad) {
            assert_eq!(healthy, mad, "seed {seed}: beside healthy tenants (left) and beside mad ones (right)");
        }
        assert_eq!(beside_healthy.len(), beside_mad.len());
    });
}

/// With W workers and P places, W - 1 - P others can be queued before a worker, each with one turn, and every place is
/// free again after the keeper's answer and `place_hold` at the latest.
#[test]
fn a_simulation_of_pacing_never_delays_a_start_beyond_its_bound_however_mad_the_others_are() {
    for_every_seed(SEEDS, |seed, log| {
        let places = usize::try_from(seed % 3 + 1).expect("small");
        let mut world = world(seed, places, true, log);
        let others = u32::try_from((world.wishes.len() - 1) / places).expect("small");
        let bound = (ANSWER + world.policy.place_hold) * others;
        let end = world.now + WATCHED;
        let mut queued: BTreeMap<WorkerName, BootTime> = BTreeMap::new();
        while world.step(end) {
            let fleet = world.fleet.as_ref().expect("nobody kills it");
            let waits = |worker: &WorkerName| fleet.slot(worker).is_some_and(|slot| *slot.state() == State::Queued);
            queued.retain(|worker, _| waits(worker));
            for (worker, _) in fleet.slots().filter(|(worker, _)| waits(worker)) {
                let since = *queued.entry(worker.clone()).or_insert(world.now);
                let waited = world.now.since(since);
                assert!(waited <= bound, "{worker} waited {waited:?} for its turn, and {bound:?} is the bound");
            }
        }
    });
}
