use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use etl_shared::WorkerName;

use super::{super::log_file, *};
use crate::{
    settings::Queue,
    worker_log::{current, older},
};

const SIZE: usize = 3 << 20;

fn worker(tenant: u32) -> WorkerName {
    format!("transform-{tenant}-1").parse().unwrap()
}

fn queue() -> Queue {
    Queue { log_max_size: 1 << 20, log_keep: 3, ..Queue::default() }
}

fn write(directory: &Path, worker: &WorkerName, text: &str) {
    let mut log = OpenOptions::new().append(true).create(true).open(current(directory, worker)).unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < until, "never {what}");
        thread::yield_now();
    }
}

/// Nobody but the rotator itself holds it: there is no thread.
fn has_no_thread(rotator: &LogRotator) -> bool {
    Arc::strong_count(&rotator.shared) == 1
}

#[test]
fn while_the_disk_hangs_the_keeper_goes_on() {
    static DISK: Mutex<()> = Mutex::new(());
    fn slowly(turn: Turn) -> Outcome {
        drop(DISK.lock());
        turn.take()
    }
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_owned();
    for tenant in [7, 8] {
        write(&directory, &worker(tenant), &"x\n".repeat(SIZE / 2));
    }
    let rotator = Arc::new(LogRotator::taking_steps_by(slowly, directory.clone()));
    let hangs = DISK.lock().unwrap();
    let (done, is_done) = mpsc::channel();
    // What the keeper does meanwhile.
    let keeper = Arc::clone(&rotator);
    thread::spawn(move || {
        keeper.with(|rotations| rotations.ask(worker(7), &queue()));
        wait_until("in hand", || keeper.with(|rotations| rotations.is_under_way(&worker(7))));
        keeper.with(|rotations| rotations.ask(worker(8), &queue()));
        for tenant in [7, 8, 9] {
            let log = keeper.with(|rotations| log_file::open(rotations, &worker(tenant), &queue()));
            log.unwrap().write_all(b"new\n").unwrap();
        }
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(20)).expect("nobody waits for the disk");
    let size = |tenant| fs::metadata(current(&directory, &worker(tenant))).unwrap().len();
    assert_eq!(size(7), SIZE as u64 + 4, "its rotation has not come far");
    assert_eq!(size(8), 4, "its rotation had not begun: the start has set it aside");
    drop(hangs);
    wait_until("done", || has_no_thread(&rotator));
    let path = current(&directory, &worker(7));
    assert_eq!(fs::read(older(&path, 1)).unwrap().len() + usize::try_from(kept(&path)).unwrap(), SIZE + 4);
    assert!(fs::read(&path).unwrap().ends_with(b"new\n"), "the new process writes on in it");
}

/// What is left in a log, without the hole at its beginning.
fn kept(path: &Path) -> u64 {
    let file = fs::File::open(path).unwrap();
    file.metadata().unwrap().len() - crate::worker_log::hole(&file).unwrap()
}

#[test]
fn there_is_one_thread_and_only_while_there_is_something_to_do() {
    static AT_WORK: AtomicUsize = AtomicUsize::new(0);
    static TOGETHER: AtomicUsize = AtomicUsize::new(0);
    fn watched(turn: Turn) -> Outcome {
        TOGETHER.fetch_max(AT_WORK.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let outcome = turn.take();
        AT_WORK.fetch_sub(1, Ordering::SeqCst);
        outcome
    }
    let place = tempfile::tempdir().unwrap();
    let rotator = LogRotator::taking_steps_by(watched, place.path().to_owned());
    assert!(has_no_thread(&rotator));
    for round in 1..=3 {
        for tenant in 1..=6 {
            write(place.path(), &worker(tenant), &"x\n".repeat(SIZE / 2));
            rotator.with(|rotations| rotations.ask(worker(tenant), &queue()));
        }
        wait_until("done", || has_no_thread(&rotator));
        for tenant in 1..=6 {
            assert!(older(&current(place.path(), &worker(tenant)), round).exists(), "{tenant} in round {round}");
        }
    }
    assert_eq!(TOGETHER.load(Ordering::SeqCst), 1, "steps at the same time");
}
