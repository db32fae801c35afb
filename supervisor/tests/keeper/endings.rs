//! Exits: every one of them, once it is true, until somebody has noted it.

use etl_supervisor::keeper::protocol::{ExitStatus, Report, Scope};
use nix::{
    libc,
    sys::signal::{Signal, kill},
};

use crate::harness::{Place, dies, lives, name, wait_until};

fn status(report: &Report) -> ExitStatus {
    match report {
        Report::Exited { status, .. } => *status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_exit_says_how_and_what_was_used() {
    let real_time = libc::SIGRTMIN() + 3;
    let place = Place::new(&format!(
        "[queues.code]\ncommand = [\"sh\", \"-c\", \"exit 69\"]\n\
         [queues.signal]\ncommand = [\"sh\", \"-c\", \"kill -SEGV $$\"]\n\
         [queues.realtime]\ncommand = [\"sh\", \"-c\", \"kill -{real_time} $$\"]\n\
         [queues.busy]\ncommand = [\"sh\", \"-c\", \"i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done\"]\n"
    ));
    let _keeper = place.start();
    let mut brain = place.brain();
    for (worker, expected) in [
        ("code-1-1", ExitStatus::Code(69)),
        ("signal-1-1", ExitStatus::Signal(libc::SIGSEGV)),
        ("realtime-1-1", ExitStatus::Signal(real_time)),
    ] {
        let pid = brain.spawned(worker, 4);
        let exit = brain.exited(worker);
        assert_eq!(status(&exit), expected, "{worker}");
        let Report::Exited { incarnation, pid: told, .. } = exit else { unreachable!() };
        assert_eq!((incarnation, told), (4, pid.as_raw()));
    }
    let Report::Spawned { started_at, .. } = ({
        brain.spawn("busy-1-1", 1);
        brain.until(|report| matches!(report, Report::Spawned { .. }).then(|| report.clone()))
    }) else {
        unreachable!()
    };
    let Report::Exited { usage, at, .. } = brain.exited("busy-1-1") else { unreachable!() };
    assert!(usage.cpu_micros > 1000 && usage.max_resident_bytes > 100_000, "{usage:?}");
    assert!(at > started_at);
}

#[test]
fn an_exit_without_a_brain_is_told_to_each_that_comes_until_one_has_noted_it() {
    let place = Place::new(
        "[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n[queues.fail]\ncommand = [\"sh\", \"-c\", \"sleep 0.05; exit 7\"]\n",
    );
    let _keeper = place.start();
    let mut brain = place.brain();
    let sleeper = brain.spawned("sleep-1-1", 1);
    let failing = brain.spawned("fail-1-1", 9);
    drop(brain);
    dies(failing);
    wait_until(
        || "the exit is retained".to_owned(),
        || place.brain().listing().iter().any(|r| matches!(r, Report::Exited { .. })),
    );

    let mut second = place.brain();
    let listing = second.listing();
    assert_eq!(listing.len(), 2, "{listing:?}");
    assert!(listing.iter().any(|report| matches!(report,
        Report::Process { worker, incarnation: 1, pid, .. } if *worker == name("sleep-1-1") && *pid == sleeper.as_raw())));
    let exit = listing.iter().find(|report| matches!(report, Report::Exited { .. })).unwrap();
    assert_eq!(status(exit), ExitStatus::Code(7));
    second.noted("fail-1-1", 8);
    drop(second);

    let mut third = place.brain();
    assert_eq!(third.listing().len(), 2, "another incarnation was noted");
    third.noted("fail-1-1", 9);
    drop(third);
    let listing = place.brain().listing();
    assert!(matches!(listing.as_slice(), [Report::Process { .. }]), "{listing:?}");
    assert!(lives(sleeper), "brains came and went, the worker did not");
}

#[test]
fn a_signal_reaches_the_group_of_the_incarnation_that_it_was_meant_for() {
    let script = "trap 'echo usr1' USR1; echo pid $$; while :; do sleep 600 & wait; done";
    let place = Place::new(&format!("[queues.trap]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let _keeper = place.start();
    let mut brain = place.brain();
    let pid = brain.spawned("trap-1-1", 2);
    place.printed("trap-1-1", "pid ");
    brain.signal("trap-1-1", 1, Signal::SIGKILL, Scope::Group);
    brain.signal("trap-2-1", 2, Signal::SIGKILL, Scope::Tree);
    brain.signal("trap-1-1", 2, Signal::SIGUSR1, Scope::Group);
    place.printed("trap-1-1", "usr1");
    assert!(lives(pid), "late and misdirected signals changed something");
    brain.signal("trap-1-1", 2, Signal::SIGTERM, Scope::Group);
    assert_eq!(status(&brain.exited("trap-1-1")), ExitStatus::Signal(libc::SIGTERM));
}

#[test]
fn a_worker_that_ignores_term_goes_when_its_tree_is_killed() {
    let script = "trap '' TERM; echo pid $$; while :; do sleep 1; done";
    let place = Place::new(&format!("[queues.deaf]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let _keeper = place.start();
    let mut brain = place.brain();
    let pid = brain.spawned("deaf-1-1", 1);
    place.printed("deaf-1-1", "pid ");
    brain.signal("deaf-1-1", 1, Signal::SIGTERM, Scope::Group);
    // Heard by whoever does not ignore it.
    kill(pid, None).unwrap();
    brain.signal("deaf-1-1", 1, Signal::SIGKILL, Scope::Tree);
    assert_eq!(status(&brain.exited("deaf-1-1")), ExitStatus::Signal(libc::SIGKILL));
}
