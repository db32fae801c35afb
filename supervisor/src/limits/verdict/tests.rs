//! One worker's looks, second by second.

use super::*;

const LIMITS: MemoryLimits = MemoryLimits { soft: 100, max: 200, held: false };

/// A process that has done its share.
const SEASONED: Look = Look {
    incarnation: 1,
    resident: 120,
    age: Duration::from_hours(1),
    leaving: false,
    work: Some(Work { settled: 1000, in_hand: true }),
};

const NEW: Look =
    Look { incarnation: 2, age: Duration::from_secs(2), work: Some(Work { settled: 0, in_hand: false }), ..SEASONED };

fn at(seconds: u64) -> BootTime {
    BootTime(1_000_000_000 + seconds * 1_000_000)
}

/// Looks once a second from `from` on and returns what was found, without what was fine.
fn watch(memory: &mut Memory, look: Look, from: u64, seconds: u64) -> Vec<(u64, Finding)> {
    let looks = (from..from + seconds).map(|second| (second - from, memory.looked(look, LIMITS, at(second))));
    looks.filter(|(_, finding)| *finding != Finding::Fine).collect()
}

#[test]
fn over_the_soft_limit_in_three_looks_it_is_replaced_and_a_dip_begins_anew() {
    let mut memory = Memory::default();
    assert_eq!(watch(&mut memory, SEASONED, 0, 2), []);
    assert_eq!(memory.looked(Look { resident: 100, ..SEASONED }, LIMITS, at(2)), Finding::Fine);
    assert_eq!(watch(&mut memory, SEASONED, 3, 3), [(2, Finding::Replace)]);
}

#[test]
fn many_looks_in_a_moment_are_one_moment() {
    let mut memory = Memory::default();
    for fifth in 0..10 {
        let now = at(0) + Duration::from_millis(200 * fifth);
        assert_eq!(memory.looked(SEASONED, LIMITS, now), Finding::Fine, "{fifth}");
    }
    assert_eq!(memory.looked(SEASONED, LIMITS, at(2)), Finding::Replace);
}

#[test]
fn a_replacement_that_does_not_come_about_is_asked_for_again_less_and_less_often() {
    let found = watch(&mut Memory::default(), SEASONED, 0, 3 * 3600);
    let times: Vec<u64> = found.iter().map(|(second, _)| second / 60).collect();
    assert!(found.iter().all(|(_, finding)| *finding == Finding::Replace));
    assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123]);
}

#[test]
fn whoever_leaves_already_is_not_replaced_but_may_not_take_everything() {
    let mut memory = Memory::default();
    let leaving = Look { leaving: true, ..SEASONED };
    assert_eq!(watch(&mut memory, leaving, 0, 60), []);
    assert_eq!(memory.looked(Look { resident: 200, ..leaving }, LIMITS, at(60)), Finding::Kill);
}

#[test]
fn a_process_that_is_over_from_its_start_is_left_alone_and_that_is_said_once() {
    let mut memory = Memory::default();
    let too_small = TooSmall { soft: 100, uses: 120, in_vain: 0, again: false };
    assert_eq!(watch(&mut memory, NEW, 0, 3 * 3600), [(2, Finding::TooSmall(too_small))]);
    let next = Look { incarnation: 3, ..NEW };
    assert_eq!(watch(&mut memory, next, 20_000, 100), [], "it is the same with the next one");
    assert_eq!(watch(&mut memory, SEASONED, 30_000, 100), []);
}

#[test]
fn a_message_that_takes_long_and_much_is_not_taken_from_one_process_after_the_other() {
    let mut memory = Memory::default();
    let on_it = Look { age: Duration::from_mins(10), work: Some(Work { settled: 0, in_hand: true }), ..NEW };
    assert!(matches!(watch(&mut memory, on_it, 0, 100)[..], [(2, Finding::TooSmall(_))]));
    let done = Look { resident: 20, work: Some(Work { settled: 1, in_hand: false }), ..on_it };
    assert_eq!(memory.looked(done, LIMITS, at(100)), Finding::Fits, "it was the message");
    assert_eq!(watch(&mut memory, Look { resident: 120, ..done }, 200, 3), [(2, Finding::Replace)]);
    let next = watch(&mut memory, Look { incarnation: 3, ..on_it }, 300, 100);
    assert!(matches!(next[..], [(2, Finding::TooSmall(TooSmall { again: true, .. }))]), "{next:?}");
}

#[test]
fn one_that_has_too_much_since_a_large_first_message_is_replaced_once_that_is_settled() {
    let mut memory = Memory::default();
    let on_it = Look { age: Duration::from_mins(10), work: Some(Work { settled: 0, in_hand: true }), ..NEW };
    assert!(matches!(watch(&mut memory, on_it, 0, 100)[..], [(2, Finding::TooSmall(_))]));
    let done = Look { work: Some(Work { settled: 1, in_hand: true }), ..on_it };
    assert_eq!(watch(&mut memory, done, 100, 3), [(0, Finding::Replace)]);
}

#[test]
fn a_program_that_always_has_too_much_is_replaced_for_that_only_so_often() {
    let mut memory = Memory::default();
    let mut replaced = 0;
    for life in 0..40 {
        let incarnation = 2 + life;
        watch(&mut memory, Look { incarnation, ..NEW }, life * 80, 10);
        let seasoned = Look { incarnation, age: Duration::from_secs(70), ..SEASONED };
        let found = watch(&mut memory, seasoned, life * 80 + 70, 5);
        replaced += found.iter().filter(|(_, finding)| *finding == Finding::Replace).count();
    }
    assert_eq!(replaced, BARREN);
}

#[test]
fn a_program_without_a_record_is_fresh_for_a_minute() {
    let silent = Look { work: None, ..SEASONED };
    assert_eq!(watch(&mut Memory::default(), silent, 0, 3), [(2, Finding::Replace)]);
    let young = Look { age: Duration::from_secs(59), ..silent };
    assert!(matches!(watch(&mut Memory::default(), young, 0, 3)[..], [(2, Finding::TooSmall(_))]));
}

#[test]
fn after_six_short_lives_within_an_hour_it_is_the_limit_that_is_wrong() {
    let mut memory = Memory::default();
    let short = Look { age: Duration::from_secs(30), ..SEASONED };
    for life in 0..6 {
        let look = Look { incarnation: 10 + life, ..short };
        assert_eq!(watch(&mut memory, look, 100 * life, 50), [(2, Finding::Replace)], "{life}");
    }
    let seventh = watch(&mut memory, Look { incarnation: 20, ..short }, 1000, 50);
    assert_eq!(seventh, [(2, Finding::TooSmall(TooSmall { soft: 100, uses: 120, in_vain: 6, again: false }))]);
}

#[test]
fn long_lives_with_work_done_may_be_replaced_as_often_as_it_takes() {
    let mut memory = Memory::default();
    for life in 0..50 {
        let look = Look { incarnation: 10 + life, age: Duration::from_mins(2), ..SEASONED };
        assert_eq!(watch(&mut memory, look, 60 * life, 10), [(2, Finding::Replace)], "{life}");
    }
}

#[test]
fn another_limit_is_another_chance() {
    let mut memory = Memory::default();
    watch(&mut memory, NEW, 0, 10);
    let more = MemoryLimits { soft: 150, ..LIMITS };
    assert_eq!(memory.looked(NEW, more, at(10)), Finding::Fits);
    assert_eq!(memory.looked(NEW, more, at(11)), Finding::Fine);
}

#[test]
fn at_the_hard_limit_it_is_killed_at_the_first_look_unless_the_kernel_does_it() {
    let mut memory = Memory::default();
    let much = Look { resident: 200, ..NEW };
    assert_eq!(watch(&mut memory, much, 0, 12), [(0, Finding::Kill), (5, Finding::Kill), (10, Finding::Kill)]);
    let next = Look { incarnation: 3, ..much };
    assert_eq!(memory.looked(next, LIMITS, at(12)), Finding::Kill, "the next process is another one");
    let held = MemoryLimits { held: true, ..LIMITS };
    assert_eq!(Memory::default().looked(much, held, at(0)), Finding::Fine);
}

#[test]
fn one_that_is_known_to_need_more_is_watched_closely_only_near_the_end() {
    let mut memory = Memory::default();
    let next = |memory: &Memory, resident| memory.next_look(Look { resident, ..NEW }, LIMITS, at(10)).unwrap();
    assert_eq!(next(&memory, 120), at(10) + URGENT_EVERY);
    watch(&mut memory, NEW, 0, 10);
    assert_eq!(next(&memory, 120), at(10) + WATCHED_EVERY);
    assert_eq!(next(&memory, 160), at(10) + URGENT_EVERY);
    assert_eq!(memory.next_look(NEW, MemoryLimits { held: true, ..LIMITS }, at(10)), None);
}
