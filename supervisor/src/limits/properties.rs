//! What holds whatever happens.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;
use proptest::{collection::vec, prelude::*};

use super::{Admission, Finding, Limit, Look, MemoryLimits, Needs, Room, Watches, Work};
use crate::clock::BootTime;

const HOUR: u64 = 3600;

#[derive(Debug, Clone)]
enum Step {
    /// So many seconds with a look in each, the process having so much.
    Looks { seconds: u64, resident: u64 },
    /// It settles a message.
    Settles,
    /// It has one in hand from now on, or none.
    InHand(bool),
    /// Another process follows, as after a replacement or a crash.
    Next,
    /// Nobody looks for so many seconds.
    Passes(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..90_u64, 0..250_u64).prop_map(|(seconds, resident)| Step::Looks { seconds, resident }),
        3 => Just(Step::Settles),
        2 => any::<bool>().prop_map(Step::InHand),
        3 => Just(Step::Next),
        1 => (0..2 * HOUR).prop_map(Step::Passes),
    ]
}

proptest! {
    #[test]
    fn nobody_is_replaced_for_ever_without_getting_anywhere(steps in vec(step(), 1..300)) {
        let (limits, worker) = (MemoryLimits { soft: 100, max: 200, held: false }, name(1));
        let (mut watches, mut now, mut incarnation, mut born) = (Watches::default(), HOUR, 1_u64, HOUR);
        let mut work = Work { settled: 0, in_hand: false };
        // When each process was replaced first that had settled nothing.
        let mut in_vain: BTreeMap<u64, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Looks { seconds, resident } => for _ in 0..seconds {
                    now += 1;
                    let (age, time) = (Duration::from_secs(now - born), BootTime(now * 1_000_000));
                    let look = Look { incarnation, resident, age, leaving: false, work: Some(work) };
                    match watches.looked(&worker, look, limits, time) {
                        Finding::Replace => {
                            prop_assert!((101..200).contains(&resident));
                            prop_assert!(work.settled > 0 || !work.in_hand);
                            if work.settled == 0 {
                                in_vain.entry(incarnation).or_insert(now);
                            }
                        }
                        Finding::Kill => prop_assert!(resident >= 200),
                        Finding::TooSmall(said) => prop_assert!(said.uses == resident && resident > 100),
                        Finding::Fine | Finding::Fits => {}
                    }
                    prop_assert_eq!(watches.next_due().is_some(), resident >= 50);
                },
                Step::Settles => work.settled += 1,
                Step::InHand(in_hand) => work.in_hand = in_hand,
                Step::Next => {
                    (incarnation, born) = (incarnation + 1, now);
                    work = Work { settled: 0, in_hand: false };
                }
                Step::Passes(seconds) => now += seconds,
            }
            let recent = in_vain.values().filter(|at| now - **at < HOUR).count();
            prop_assert!(recent <= 6, "{recent} replacements within the hour");
        }
    }

    #[test]
    fn the_limits_hold_for_all_who_asked_and_nobody_waits_beside_free_room(
        asked in vec((0..40_i64, 1..50_u64, any::<bool>()), 1..200),
        memory in 20..400_u64,
        connections in 1..20_u64,
    ) {
        let mut admission = Admission::default();
        admission.set_room(Room { memory: Limit::Of(memory), connections: Limit::Of(connections) });
        let mut needs_of: BTreeMap<WorkerName, Needs> = BTreeMap::new();
        for (tenant, bytes, leaves) in asked {
            let worker = name(tenant);
            if leaves {
                admission.release(&worker);
                needs_of.remove(&worker);
            } else {
                let needs = Needs { memory: bytes, connections: 1 };
                needs_of.entry(worker.clone()).or_insert(needs);
                admission.ask(&worker, needs);
            }
            for admitted in admission.admit() {
                prop_assert!(needs_of.contains_key(&admitted));
            }
            let sums = admission.sums();
            prop_assert!(sums.taken.memory <= memory && sums.taken.connections <= connections);
            prop_assert_eq!(sums.workers + sums.waiting, needs_of.len());
            let seated = needs_of.iter().filter(|(worker, _)| admission.shortage(worker).is_none());
            let (count, bytes) = seated.fold((0, 0), |(count, bytes), (_, needs)| (count + 1, bytes + needs.memory));
            prop_assert_eq!((sums.workers, sums.taken.memory), (count, bytes));
            if sums.workers == 0 {
                prop_assert!(needs_of.values().all(|needs| needs.memory > memory), "there is room, and somebody waits");
            }
        }
    }
}

fn name(tenant: i64) -> WorkerName {
    format!("transform-{}-1", tenant + 1).parse().unwrap()
}
