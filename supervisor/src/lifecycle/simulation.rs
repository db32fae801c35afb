//! Whole lives of fleets on a virtual clock, drawn from a seed: a modelled keeper, modelled processes that misbehave in
//! every way that we know, operators who press every button, and rules that must hold after every step.
//!
//! `SIMULATION_SEED=n cargo test -p etl-supervisor simulation` repeats one run with its whole log; `SIMULATION_SEEDS=n`
//! chooses how many runs there are.

use std::{
    cell::RefCell,
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use world::World;

mod chaos;
mod isolation;
mod keeper;
mod link;
mod places;
mod relief;
mod rules;
mod world;

/// Runs unless `SIMULATION_SEEDS` says otherwise.
const SEEDS: u64 = 2_000;
/// Lines of the log that a failure shows.
const SHOWN: usize = 100;

/// What happened in a run, for people; `None` where nobody will read it.
pub(super) type Log = Option<Rc<RefCell<Vec<String>>>>;

#[test]
fn whatever_happens_the_rules_hold_and_every_worker_gets_where_it_is_wanted() {
    for_every_seed(SEEDS, |seed, log| {
        let mut world = World::chaotic(seed, log);
        world.run_until_calm();
        world.run_for(Duration::from_hours(1));
        world.check_that_everybody_is_where_it_is_wanted();
    });
}

/// Runs `run` for every seed on two threads, and tells how to repeat the first one that fails.
fn for_every_seed(seeds: u64, run: impl Fn(u64, Log) + Sync) {
    if let Some(seed) = number("SIMULATION_SEED") {
        if let Err(panic) = attempt(&run, seed, usize::MAX) {
            resume_unwind(panic);
        }
        return;
    }
    let seeds = number("SIMULATION_SEEDS").map_or(seeds, |wanted| wanted * seeds / SEEDS);
    let failed = AtomicBool::new(false);
    let work = |first: u64| {
        for seed in (first..seeds.max(2)).step_by(2) {
            if failed.load(Ordering::Relaxed) {
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| run(seed, None))).is_err() && !failed.swap(true, Ordering::Relaxed) {
                let again = attempt(&run, seed, SHOWN);
                assert!(again.is_err(), "seed {seed} failed once and not twice: the simulation is not deterministic");
                panic!("repeat this with: SIMULATION_SEED={seed} cargo test -p etl-supervisor simulation");
            }
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| work(1));
        work(0);
        if let Err(panic) = other.join() {
            resume_unwind(panic);
        }
    });
}

/// One run with its log, of which the last lines are shown.
fn attempt(run: &impl Fn(u64, Log), seed: u64, shown: usize) -> thread::Result<()> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let result = catch_unwind(AssertUnwindSafe(|| run(seed, Some(Rc::clone(&log)))));
    let log = log.borrow();
    println!("The end of the log of seed {seed}:");
    for line in &log[log.len().saturating_sub(shown)..] {
        println!("{line}");
    }
    result
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text:?}")))
}
