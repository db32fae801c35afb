//! When it was memory, and when it was somebody with a signal.

use etl_shared::api::Wall;

use super::*;
use crate::runtime::view::Sample;

/// The default of `memory_max`.
const MAX: u64 = 1 << 30;

fn usage(max_resident_bytes: u64, out_of_memory: Option<bool>) -> Usage {
    Usage { max_resident_bytes, out_of_memory, ..Usage::default() }
}

impl Scene {
    fn fresh() -> Self {
        let mut scene = Self::new(Ledger::default());
        scene.control.deaths.oom_kills = OomKills::default();
        scene
    }

    /// The worker's process ends; in the word that people see.
    fn ends(&mut self, signal: i32, usage: &Usage) -> String {
        self.control.ended(worker(), 5, ExitStatus::Signal(signal), usage, BootTime::now());
        let slot = self.control.fleet.slot(&worker()).unwrap();
        slot.tally().next_back().unwrap().verdict.to_string()
    }

    fn seen_with(&mut self, resident_memory_bytes: u64) {
        let sample = Sample { at: BootTime::now(), resident_memory_bytes, cpu_seconds: 0.0, messages: None };
        self.control.watch_memory(&worker(), &sample);
    }

    fn the_kernel_holds_the_limit(&mut self) {
        let wall = Wall { name: "memory".to_owned(), up: true, detail: String::new() };
        self.control.parts.board.set_walls(vec![wall]);
    }
}

#[tokio::test]
async fn the_kernels_word_for_a_workers_own_group_is_final() {
    assert_eq!(Scene::fresh().ends(libc::SIGKILL, &usage(1, Some(true))), "OOM");
    assert_eq!(Scene::fresh().ends(libc::SIGKILL, &usage(2 * MAX, Some(false))), "CRASH(SIGKILL)");
    assert_eq!(Scene::fresh().ends(libc::SIGKILL, &usage(MAX - 1, None)), "CRASH(SIGKILL)");
}

#[tokio::test]
async fn one_that_aborted_keeps_its_own_word_however_much_it_had() {
    assert_eq!(Scene::fresh().ends(libc::SIGABRT, &usage(MAX, None)), "CRASH(SIGABRT)");
    assert_eq!(Scene::fresh().ends(libc::SIGABRT, &usage(MAX, Some(true))), "CRASH(SIGABRT)");
}

#[tokio::test]
async fn one_that_was_killed_here_is_known_and_so_is_one_that_the_supervisor_before_has_killed() {
    let mut scene = Scene::fresh();
    scene.seen_with(MAX);
    assert_eq!(scene.ends(libc::SIGKILL, &usage(1, None)), "OOM");
    assert_eq!(Scene::fresh().ends(libc::SIGKILL, &usage(MAX, None)), "OOM", "killed by a supervisor that is gone");
    let mut scene = Scene::fresh();
    scene.the_kernel_holds_the_limit();
    scene.seen_with(MAX);
    assert_eq!(
        scene.ends(libc::SIGKILL, &usage(MAX, None)),
        "CRASH(SIGKILL)",
        "nobody here kills where the kernel does"
    );
}

#[tokio::test]
async fn while_it_leaves_for_its_memory_it_is_a_strike_to_take_all_of_it() {
    let mut scene = Scene::fresh();
    scene.in_hand(5, &[3]);
    scene.control.happened(Event::Replace { worker: worker(), cause: StopCause::Recycle });
    scene.seen_with(MAX);
    scene.control.ended(worker(), 5, ExitStatus::Signal(libc::SIGKILL), &usage(MAX, None), BootTime::now());
    let then = scene.written();
    scene.control.strikes_kept(then, None);
    assert_eq!(scene.control.suspicions_for(&worker()).suspects.len(), 1);
    let slot = scene.control.fleet.slot(&worker()).unwrap();
    assert_eq!(slot.tally().next_back().unwrap().verdict.to_string(), "OOM");
}
