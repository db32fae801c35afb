//! What holds whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use etl_shared::{Verdict, flight::Mark};
use proptest::{collection::vec, prelude::*};

use super::{Blame, Ledger, PassedDeath, Rules};

const QUEUE: &str = "transform_queue_tenant_7";
const WINDOW: u64 = 72;

#[derive(Debug, Clone)]
enum Step {
    /// A process of this slot dies with these messages in hand.
    Dies { slot: u16, blame: Blame, messages: BTreeSet<i64> },
    /// The exit before is told once more, as after a restart of the supervisor.
    ToldAgain,
    /// The supervisor is restarted: only what was written down is left.
    Restarted,
    /// So many hours pass.
    Passes(u64),
    /// Somebody replays this message.
    Forgiven(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let blame = prop_oneof![Just(Blame::Own), Just(Blame::Outside)];
    let messages = prop_oneof![
        3 => (0..6_i64).prop_map(|one| BTreeSet::from([one])),
        2 => proptest::collection::btree_set(0..60_i64, 2..50),
    ];
    prop_oneof![
        8 => (1..=2_u16, blame, messages).prop_map(|(slot, blame, messages)| Step::Dies { slot, blame, messages }),
        1 => Just(Step::ToldAgain),
        1 => Just(Step::Restarted),
        2 => (0..60_u64).prop_map(Step::Passes),
        1 => (0..6_i64).prop_map(Step::Forgiven),
    ]
}

fn mark(id: i64) -> Mark {
    Mark { raw_data_id: id, fingerprint: id.unsigned_abs() + 1000 }
}

/// What was seen of one message: hour, blame, how many were in hand.
type Seen = BTreeMap<i64, Vec<(u64, Blame, usize)>>;

proptest! {
    #[test]
    fn nobody_is_condemned_who_was_never_in_hand_alone_and_nobody_escapes_who_was_often_enough(
        steps in vec(step(), 1..60),
        strikes in 1..4_u32,
    ) {
        let rules = Rules { strikes, window: Duration::from_hours(WINDOW) };
        let (mut ledger, mut seen, mut hour, mut incarnation) = (Ledger::default(), Seen::new(), 0_u64, 0_u64);
        let mut last: Option<PassedDeath> = None;
        for step in steps {
            let now = SystemTime::UNIX_EPOCH + Duration::from_hours(400_000 + hour);
            match step {
                Step::Dies { slot, blame, messages } => {
                    incarnation += 1;
                    for id in &messages {
                        seen.entry(*id).or_default().push((hour, blame, messages.len()));
                    }
                    let worker = format!("transform-7-{slot}").parse().unwrap();
                    let marks = messages.into_iter().map(mark).collect();
                    let death = PassedDeath { worker, incarnation, verdict: Verdict::Crash(6), blame, marks };
                    ledger.died(&death, rules, now);
                    last = Some(death);
                }
                // Within the hour, and not after a forgiveness, which no exit can overtake.
                Step::ToldAgain => {
                    if let Some(death) = &last {
                        ledger.died(death, rules, now);
                    }
                }
                Step::Restarted => {
                    ledger = serde_json::from_str(&serde_json::to_string(&ledger).unwrap()).unwrap();
                    ledger.expire(rules, now);
                }
                Step::Passes(hours) => {
                    hour += hours;
                    last = None;
                }
                Step::Forgiven(id) => {
                    ledger.forgive(QUEUE, mark(id).fingerprint);
                    seen.remove(&id);
                    last = None;
                }
            }
            let now = SystemTime::UNIX_EPOCH + Duration::from_hours(400_000 + hour);
            let known = ledger.suspicions(QUEUE, rules, now);
            let condemned: BTreeSet<i64> = known.condemned.iter().map(|one| one.mark.raw_data_id).collect();
            let suspects: BTreeSet<i64> = known.suspects.iter().map(|mark| mark.raw_data_id).collect();
            for (id, seen) in &seen {
                let recent: Vec<_> = seen.iter().filter(|(at, ..)| hour - at < WINDOW).collect();
                let own = recent.iter().filter(|(_, blame, _)| *blame == Blame::Own).count();
                let alone_at: Vec<u64> = recent.iter().filter(|seen| seen.2 == 1).map(|seen| seen.0).collect();
                let (alone, spread) = (alone_at.len(), alone_at.last().unwrap_or(&0) - alone_at.first().unwrap_or(&0));
                let own_alone = recent.iter().any(|(_, blame, in_hand)| *blame == Blame::Own && *in_hand == 1);
                // More strikes than are kept say no more.
                let expected = own >= strikes as usize && own_alone || alone >= 6.max(strikes as usize) && spread > 0;
                prop_assert_eq!(condemned.contains(id), expected, "message {} with {:?}", id, recent);
                if alone == 0 {
                    prop_assert!(!condemned.contains(id));
                }
                prop_assert_eq!(suspects.contains(id), !recent.is_empty() && !expected, "message {}", id);
            }
        }
    }
}
