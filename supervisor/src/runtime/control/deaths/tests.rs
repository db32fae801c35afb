//! The loop without a keeper behind it: what it does when it is told of exits.

use std::{fs, os::fd::OwnedFd};

use etl_shared::flight::{FlightRecorder, Mark, Phase};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::{
    lifecycle::{Found, StopCause},
    poison::Ledger,
    runtime::{board::Board, control::Parts, news::Recorded, roster::Switches},
    settings::Settings,
};

struct Scene {
    control: Control,
    notes: mpsc::UnboundedReceiver<Note>,
    directory: TempDir,
}

fn worker() -> WorkerName {
    "transform-7-1".parse().unwrap()
}

impl Scene {
    /// Tenant 7's worker runs as incarnation 5, in a life of the supervisor that begins with these strikes.
    fn new(strikes: Ledger) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let text = format!("tenants = [7]\n[runtime]\ndirectory = {:?}\n", at("run"));
        let config = directory.path().join("config.toml");
        fs::write(&config, text).unwrap();
        fs::create_dir_all(directory.path().join("run/flight")).unwrap();
        let (notes_sender, notes) = mpsc::unbounded_channel();
        let parts = Parts {
            settings: Settings::load(&config).unwrap(),
            config,
            detach: false,
            external_keeper: true,
            handover: None,
            switches: Switches::default(),
            last_tenants: [].into(),
            news: mpsc::unbounded_channel().1,
            strikes,
            notes: notes_sender,
            wanted_queues: watch::channel(std::sync::Arc::default()).0,
            reload_tenants: watch::channel(0).0,
            board: Board::new(),
        };
        let mut scene = Self { control: Control::new(parts, 1), notes, directory };
        scene.control.tenants = Some([worker().tenant].into());
        scene.found(5);
        scene.control.listed();
        scene
    }

    fn found(&mut self, incarnation: u64) {
        let found = Found { incarnation, pid: 4121, started_at: BootTime(1), ready: true };
        self.control.happened(Event::Found(worker(), found));
    }

    fn in_hand(&self, incarnation: u64, raw_data_ids: &[i64]) {
        let path = self.directory.path().join("run/flight/transform-7-1");
        let file = fs::File::create(path).unwrap();
        let marks = raw_data_ids.iter().map(|id| Mark { raw_data_id: *id, fingerprint: 9 }).collect();
        let record = FlightRecord {
            incarnation,
            phase: Phase::Committing,
            since_ms: monotonic_ms(),
            marks,
            ..FlightRecord::default()
        };
        FlightRecorder::over(Some(OwnedFd::from(file))).write(&record);
    }

    fn dies(&mut self, incarnation: u64, signal: i32) {
        self.control.ended(worker(), incarnation, ExitStatus::Signal(signal), BootTime::now());
    }

    fn lives(&self) -> bool {
        self.control.fleet.slot(&worker()).unwrap().state().process().is_some()
    }

    /// What was to be written down, and is now.
    fn written(&mut self) -> AfterStrikes {
        match self.notes.try_recv().expect("something is to be written down") {
            Note::Strikes { queue, page, then } => {
                assert_eq!((queue.as_str(), page.len()), ("transform_queue_tenant_7", 1));
                then
            }
            Note::Tenants(_) => panic!("not tenants"),
        }
    }
}

#[tokio::test]
async fn an_exit_takes_its_course_when_its_strike_is_written_and_not_before() {
    let mut scene = Scene::new(Ledger::default());
    scene.in_hand(5, &[3]);
    scene.dies(5, libc::SIGABRT);
    assert!(scene.lives(), "no next process may overwrite the flight record yet");
    let then = scene.written();
    scene.control.strikes_kept(then, None);
    assert!(!scene.lives());
    assert_eq!(scene.control.suspicions_for(&worker()).suspects.len(), 1);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_keeps_no_worker_down() {
    let mut scene = Scene::new(Ledger::default());
    scene.in_hand(5, &[3]);
    scene.dies(5, libc::SIGABRT);
    let then = scene.written();
    scene.control.strikes_kept(then, Some("no space left on device".to_owned()));
    assert!(!scene.lives());
    assert_eq!(scene.control.suspicions_for(&worker()).suspects.len(), 1);
}

#[tokio::test]
async fn an_exit_that_is_told_again_by_the_keeper_is_one_strike() {
    let mut scene = Scene::new(Ledger::default());
    scene.in_hand(5, &[3]);
    scene.dies(5, libc::SIGABRT);
    // The strike is written, and the supervisor is killed before the keeper knows.
    let mut next = Scene::new(scene.control.parts.strikes.clone());
    next.in_hand(5, &[3]);
    next.dies(5, libc::SIGABRT);
    assert!(!next.lives(), "there is nothing to wait for");
    let known = next.control.suspicions_for(&worker());
    assert_eq!((known.suspects.len(), known.condemned.len()), (1, 0));
}

#[tokio::test]
async fn whoever_was_told_to_leave_or_had_nothing_in_hand_leaves_no_suspect() {
    let mut scene = Scene::new(Ledger::default());
    scene.in_hand(5, &[3]);
    scene.control.happened(Event::Replace { worker: worker(), cause: StopCause::Operator });
    scene.dies(5, libc::SIGKILL);
    assert!(!scene.lives());
    // The record is that of an earlier process, or names nothing.
    for (of, marks) in [(5, &[3_i64][..]), (6, &[])] {
        scene.found(6);
        scene.in_hand(of, marks);
        scene.dies(6, libc::SIGABRT);
        assert!(!scene.lives(), "{of}");
    }
    assert!(scene.control.suspicions_for(&worker()).is_empty());
    assert!(scene.notes.try_recv().is_err());
}

#[tokio::test]
async fn workers_are_started_only_after_the_exits_of_the_time_before_are_written() {
    let mut scene = Scene::new(Ledger::default());
    scene.control.deaths.keeper_lost();
    scene.control.happened(Event::KeeperLost);
    scene.found(6);
    scene.in_hand(6, &[3]);
    scene.dies(6, libc::SIGABRT);
    scene.control.listed();
    assert!(scene.lives(), "the exit has not been heard of");
    let then = scene.written();
    scene.control.strikes_kept(then, None);
    assert!(!scene.lives());
    assert!(scene.control.fleet.slot(&worker()).unwrap().has_process_or_expects_one(), "and now one is started");
}

#[tokio::test]
async fn who_forgives_is_answered_when_nobody_is_left_who_was_told() {
    let mut scene = Scene::new(Ledger::default());
    scene.in_hand(5, &[3]);
    scene.dies(5, libc::SIGABRT);
    let then = scene.written();
    scene.control.strikes_kept(then, None);
    scene.found(6);

    let forgive = |scene: &mut Scene| {
        let (answer, answered) = oneshot::channel();
        scene.control.apply(Recorded::Forgive { queue: worker().queue(), fingerprint: 9, answer });
        answered
    };
    let mut answered = forgive(&mut scene);
    assert!(scene.control.suspicions_for(&worker()).is_empty());
    let Ok(Note::Strikes { page, then, .. }) = scene.notes.try_recv() else { panic!("nothing is written") };
    assert_eq!(page, []);
    scene.control.strikes_kept(then, None);
    assert!(answered.try_recv().is_err(), "process 6 would still refuse it");
    scene.control.ended(worker(), 6, ExitStatus::Code(0), BootTime::now());
    scene.control.answer_the_forgiving();
    assert_eq!(answered.try_recv().unwrap(), Ok(true));
    assert_eq!(forgive(&mut scene).try_recv().unwrap(), Ok(false), "there is nothing left to forgive");
}
