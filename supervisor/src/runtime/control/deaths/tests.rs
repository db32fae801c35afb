//! The loop without a keeper behind it: what it does when it is told of exits.

use std::{fs, os::fd::OwnedFd};

use etl_shared::flight::{FlightRecorder, Mark, Phase};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::{
    lifecycle::{Found, StopCause},
    poison::Ledger,
    runtime::{
        board::Board,
        control::Parts,
        handle::{Asked, ControlError},
        news::{AfterStrikes, Recorded},
        roster::Switches,
    },
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
            accounts: None,
            switches: Switches::default(),
            last_tenants: [].into(),
            overrides: crate::runtime::overrides::Overrides::default(),
            news: mpsc::unbounded_channel().1,
            strikes,
            notes: notes_sender,
            wanted_queues: watch::channel(std::sync::Arc::default()).0,
            reload_tenants: watch::channel(0).0,
            journal: crate::history::Journal::default(),
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
        self.control.ended(worker(), incarnation, ExitStatus::Signal(signal), &Usage::default(), BootTime::now());
    }

    fn lives(&self) -> bool {
        self.control.fleet.slot(&worker()).unwrap().state().process().is_some()
    }

    /// Process 5 runs, tenant 7's second in this life: it was told that the message is condemned.
    fn told() -> (Self, u64) {
        let mut strikes = Ledger::default();
        for incarnation in 1..=2 {
            let (verdict, blame) = (etl_shared::Verdict::Crash(6), crate::poison::Blame::Own);
            let marks = vec![Mark { raw_data_id: 3, fingerprint: 9 }];
            let death = PassedDeath { worker: worker(), incarnation, verdict, blame, marks };
            strikes.died(&death, Rules { strikes: 2, window: Duration::from_hours(72) }, SystemTime::now());
        }
        let mut scene = Self::new(strikes);
        scene.control.ended(worker(), 5, ExitStatus::Code(0), &Usage::default(), BootTime::now());
        let expected = scene.expected();
        (scene, expected)
    }

    /// The process that the keeper has been asked for.
    fn expected(&self) -> u64 {
        match self.control.fleet.slot(&worker()).unwrap().state() {
            State::Spawning { incarnation, .. } => *incarnation,
            other => panic!("{other:?}"),
        }
    }

    fn spawned(&mut self, incarnation: u64) {
        self.control.happened(Event::Spawned { worker: worker(), incarnation, pid: 4122, started_at: BootTime(2) });
    }

    fn forgive(&mut self) -> oneshot::Receiver<Result<bool, ControlError>> {
        let (answer, answered) = oneshot::channel();
        self.control.apply(Recorded::Forgive { queue: worker().queue(), fingerprint: 9, answer }, &Asked::default());
        answered
    }

    /// The next page that is to be written, and how many messages it names.
    fn page(&mut self) -> (usize, AfterStrikes) {
        match self.notes.try_recv().expect("something is to be written down") {
            Note::Strikes { page, then, .. } => (page.len(), then),
            other => panic!("{other:?}"),
        }
    }

    /// What was to be written down, and is now.
    fn written(&mut self) -> AfterStrikes {
        match self.notes.try_recv().expect("something is to be written down") {
            Note::Strikes { queue, page, then } => {
                assert_eq!((queue.as_str(), page.len()), ("transform_queue_tenant_7", 1));
                then
            }
            other => panic!("{other:?}"),
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

    let mut answered = scene.forgive();
    assert!(scene.control.suspicions_for(&worker()).is_empty());
    let Ok(Note::Strikes { page, then, .. }) = scene.notes.try_recv() else { panic!("nothing is written") };
    assert_eq!(page, []);
    scene.control.strikes_kept(then, None);
    assert!(answered.try_recv().is_err(), "process 6 would still refuse it");
    scene.control.ended(worker(), 6, ExitStatus::Code(0), &Usage::default(), BootTime::now());
    scene.control.answer_the_forgiving();
    assert_eq!(answered.try_recv().unwrap(), Ok(true));
    assert_eq!(scene.forgive().try_recv().unwrap(), Ok(false), "there is nothing left to forgive");
}

#[tokio::test]
async fn who_forgives_again_waits_for_the_adopted_process_that_may_refuse_the_message() {
    // The supervisor before this one emptied the page and was killed before it replaced process 5.
    let mut scene = Scene::new(Ledger::default());
    let mut answered = scene.forgive();
    assert!(answered.try_recv().is_err(), "nobody knows what process 5 was told");
    assert_eq!(scene.control.told_to_leave(&worker(), 5), Some(StopCause::Recycle));
    scene.control.ended(worker(), 5, ExitStatus::Code(0), &Usage::default(), BootTime::now());
    scene.control.answer_the_forgiving();
    assert_eq!(answered.try_recv().unwrap(), Ok(true));
}

#[tokio::test]
async fn who_forgives_before_the_keeper_has_spoken_waits_for_what_it_says() {
    let mut scene = Scene::new(Ledger::default());
    scene.control.hear(crate::runtime::keeper_link::FromKeeper::Lost("a test".to_owned()));
    let mut answered = scene.forgive();
    scene.control.answer_the_forgiving();
    assert!(answered.try_recv().is_err());
    scene.found(6);
    scene.control.listed();
    scene.control.answer_the_forgiving();
    assert!(answered.try_recv().is_err(), "process 6 may refuse it");
    scene.control.ended(worker(), 6, ExitStatus::Code(0), &Usage::default(), BootTime::now());
    scene.control.answer_the_forgiving();
    assert_eq!(answered.try_recv().unwrap(), Ok(true));
}

#[tokio::test]
async fn a_process_that_is_only_expected_has_been_told_too() {
    let (mut scene, expected) = Scene::told();
    let mut answered = scene.forgive();
    let (named, then) = scene.page();
    assert_eq!(named, 0);
    scene.control.strikes_kept(then, None);
    assert!(answered.try_recv().is_err(), "it is on its way");
    scene.spawned(expected);
    assert_eq!(scene.control.told_to_leave(&worker(), expected), Some(StopCause::Recycle));
    scene.control.ended(worker(), expected, ExitStatus::Code(0), &Usage::default(), BootTime::now());
    scene.control.answer_the_forgiving();
    assert_eq!(answered.try_recv().unwrap(), Ok(true));
    let next = scene.expected();
    scene.spawned(next);
    assert_eq!(scene.forgive().try_recv().unwrap(), Ok(false), "the next one was told nothing");
}

#[tokio::test]
async fn strikes_that_have_expired_meanwhile_leave_a_process_that_was_told_of_them() {
    let (mut scene, expected) = Scene::told();
    scene.spawned(expected);
    scene.control.parts.strikes = Ledger::default();
    let mut answered = scene.forgive();
    assert!(answered.try_recv().is_err());
    assert_eq!(scene.control.told_to_leave(&worker(), expected), Some(StopCause::Recycle));
}

#[tokio::test]
async fn a_forgiveness_that_cannot_be_written_has_not_happened_and_can_be_asked_for_again() {
    let (mut scene, expected) = Scene::told();
    scene.spawned(expected);
    let mut answered = scene.forgive();
    // Somebody else asks while it is being written.
    let mut second = scene.forgive();
    let (_, first_write) = scene.page();
    let (_, second_write) = scene.page();
    scene.control.strikes_kept(first_write, Some("no space left on device".to_owned()));
    assert!(matches!(answered.try_recv().unwrap(), Err(ControlError::NotRecorded(_))));
    assert_eq!(scene.control.suspicions_for(&worker()).condemned.len(), 1);
    assert_eq!(scene.page().0, 1, "the writer's copy holds it again, too");
    // There is space again: what the first brought back is forgiven once more.
    scene.control.strikes_kept(second_write, None);
    assert!(second.try_recv().is_err());
    let (named, then) = scene.page();
    assert_eq!(named, 0);
    scene.control.strikes_kept(then, None);
    assert!(scene.control.suspicions_for(&worker()).is_empty());
    scene.control.ended(worker(), expected, ExitStatus::Code(0), &Usage::default(), BootTime::now());
    scene.control.answer_the_forgiving();
    assert_eq!(second.try_recv().unwrap(), Ok(true));
}

#[tokio::test]
async fn a_disk_that_does_not_answer_keeps_no_worker_down() {
    let mut scene = Scene::new(Ledger::default());
    scene.in_hand(5, &[3]);
    scene.control.deaths.listed = true;
    scene.dies(5, libc::SIGABRT);
    // Told twice, such as after the keeper was lost: there is still something to wait for.
    scene.dies(5, libc::SIGABRT);
    scene.control.conclude_overdue(Instant::now());
    assert!(scene.lives());
    scene.control.conclude_overdue(Instant::now() + KEEP_STRIKES_WITHIN);
    assert!(!scene.lives());
    assert!(!scene.control.deaths.listed, "nobody waits for the exit any longer");
    let next = scene.expected();
    assert_eq!(scene.control.suspicions_for(&worker()).suspects.len(), 1);
    // The disk answers after all.
    let then = scene.written();
    assert!(scene.notes.try_recv().is_err(), "one exit is one strike");
    scene.control.strikes_kept(then, None);
    assert_eq!(scene.expected(), next);
}

#[tokio::test]
async fn strikes_that_are_too_old_are_forgotten_at_the_start_and_every_hour() {
    let mut scene = Scene::told().0;
    let start = Instant::now();
    scene.control.keep_time();
    assert!(matches!(scene.notes.try_recv(), Ok(Note::Expire { .. })), "at the start");
    scene.control.parts.settings.poison.window = Duration::ZERO;
    scene.control.expire_strikes(start + Duration::from_mins(30));
    assert_ne!(scene.control.parts.strikes, Ledger::default());
    scene.control.expire_strikes(start + Duration::from_hours(2));
    assert_eq!(scene.control.parts.strikes, Ledger::default());
    assert!(matches!(scene.notes.try_recv(), Ok(Note::Expire { .. })));
}

mod memory;
