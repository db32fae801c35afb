use std::{
    fmt::Write as _,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::TempDir;

use super::{super::log_file, *};

const KIB: u64 = 1024;

pub(super) fn worker() -> WorkerName {
    "transform-7-1".parse().unwrap()
}

pub(super) fn queue(max_size: u64, keep: u32) -> Queue {
    Queue { log_max_size: max_size, log_keep: keep, ..Queue::default() }
}

/// Where files can be cut, and where they can only be given a hole.
pub(super) fn places() -> Vec<TempDir> {
    let places = vec![tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap()];
    let takes_attributes = |place: &TempDir| Mark::of(&probe(place)).unwrap().set(&probe(place)).is_ok();
    let places: Vec<_> = places.into_iter().filter(takes_attributes).collect();
    assert!(!places.is_empty(), "there is nowhere to try it");
    places
}

fn probe(place: &TempDir) -> File {
    OpenOptions::new().write(true).create(true).truncate(false).open(place.path().join("probe")).unwrap()
}

pub(super) fn rotate(directory: &Path, queue: &Queue) {
    let mut rotations = Rotations::new(directory.to_owned());
    rotations.ask(worker(), queue);
    while rotations.step() {}
}

pub(super) fn log(directory: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(current(directory, &worker())).unwrap()
}

/// Everything that is there, the oldest first, without holes.
pub(super) fn everything(directory: &Path) -> String {
    let path = current(directory, &worker());
    let older = (1..=worker_log::MOST_KEPT).rev().map(|number| older(&path, number));
    let mut text = Vec::new();
    for path in older.chain([path.clone()]).filter(|path| path.exists()) {
        let mut file = File::open(&path).unwrap();
        let hole = hole(&file).unwrap();
        file.seek(SeekFrom::Start(hole)).unwrap();
        file.read_to_end(&mut text).unwrap();
    }
    String::from_utf8(text).unwrap()
}

pub(super) fn lines(numbers: impl Iterator<Item = u32>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "line {number}");
        text
    })
}

fn wait_for(path: &Path) {
    let until = Instant::now() + Duration::from_mins(1);
    while !path.exists() {
        assert!(Instant::now() < until, "{} is never there", path.display());
        thread::yield_now();
    }
}

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().flatten().filter(|entry| entry.file_name() != "probe").count()
}

#[test]
fn a_writer_that_never_stops_loses_no_line_and_gets_none_twice() {
    for place in places() {
        let directory = place.path();
        let queue = queue(256 * KIB, 20);
        let done = AtomicBool::new(false);
        let last = 400_000;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut log = log(directory);
                for number in 0..last {
                    log.write_all(format!("line {number}\n").as_bytes()).unwrap();
                    let part = number / 100_000 + 1;
                    if number % 100_000 == 99_999 && part < 4 {
                        // Enough for one more rotation, however slow whoever does it is.
                        wait_for(&older(&current(directory, &worker()), part));
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
            let mut turns: u32 = 0;
            while !done.load(Ordering::Relaxed) && turns < 18 {
                rotate(directory, &queue);
                turns += u32::from(older(&current(directory, &worker()), turns + 1).exists());
            }
        });
        assert!(names(directory) > 3, "it has been rotated while it was written");
        assert!(everything(directory) == lines(0..last), "of {} files", names(directory));
    }
}

#[test]
fn a_keeper_that_is_killed_at_any_step_leaves_nothing_undone_and_nothing_done_twice() {
    for place in places() {
        let directory = place.path();
        let queue = queue(256 * KIB, 20);
        let (mut next, mut kill_after) = (0, 0);
        loop {
            log(directory).write_all(lines(next..next + 100_000).as_bytes()).unwrap();
            next += 100_000;
            let mut rotations = Rotations::new(directory.to_owned());
            rotations.ask(worker(), &queue);
            let mut finished = false;
            for _ in 0..=kill_after {
                finished = !rotations.step();
            }
            drop(rotations);
            // What the next one finds, and what a start finds.
            if kill_after % 2 == 0 {
                rotate(directory, &queue);
            } else {
                let mut rotations = Rotations::new(directory.to_owned());
                drop(log_file::open(&mut rotations, &worker(), &queue).unwrap());
                while rotations.step() {}
            }
            assert!(everything(directory) == lines(0..next), "killed after {kill_after} steps");
            assert!(!unfinished(&current(directory, &worker())).exists());
            if finished {
                break;
            }
            kill_after += 1;
        }
        assert!(kill_after > 5, "{kill_after}");
    }
}

#[test]
fn what_is_on_the_disk_stays_within_its_bound() {
    for place in places() {
        let directory = place.path();
        for keep in [0, 1, 3] {
            let queue = queue(512 * KIB, keep);
            for turn in 0..10 {
                log(directory).write_all(lines(turn * 100_000..(turn + 1) * 100_000).as_bytes()).unwrap();
                rotate(directory, &queue);
                let files = fs::read_dir(directory).unwrap().flatten();
                let taken: u64 = files.map(|file| file.metadata().unwrap().blocks() * 512).sum();
                // What is written between two looks is a bit more than a megabyte here.
                assert!(taken < u64::from(keep + 1) * 1280 * KIB, "{keep}: {} KiB", taken / KIB);
            }
            assert_eq!(names(directory), keep as usize + 1);
            assert!(lines(0..1_000_000).ends_with(&everything(directory)));
        }
    }
}

#[test]
fn a_log_of_which_somebody_has_begun_another_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let queue = queue(256 * KIB, 5);
    log(place.path()).write_all(lines(0..200_000).as_bytes()).unwrap();
    let mut rotations = Rotations::new(place.path().to_owned());
    rotations.ask(worker(), &queue);
    for _ in 0..4 {
        assert!(rotations.step());
    }
    let path = current(place.path(), &worker());
    fs::rename(&path, older(&path, 1)).unwrap();
    let mut next = log_file::open(&mut rotations, &worker(), &queue).unwrap();
    next.write_all(lines(200_000..200_001).as_bytes()).unwrap();
    while rotations.step() {}
    assert_eq!(names(place.path()), 2);
    assert!(everything(place.path()) == lines(0..200_001));
}

#[test]
fn a_process_that_is_started_in_the_middle_of_a_rotation_goes_on_in_the_same_file() {
    for place in places() {
        let directory = place.path();
        let queue = queue(256 * KIB, 20);
        let (mut next, mut start_after) = (0, 0);
        loop {
            log(directory).write_all(lines(next..next + 100_000).as_bytes()).unwrap();
            next += 100_000;
            let mut rotations = Rotations::new(directory.to_owned());
            rotations.ask(worker(), &queue);
            let is_under_way = (0..=start_after).all(|_| rotations.step());
            let before = fs::metadata(current(directory, &worker())).unwrap().ino();
            let mut log = log_file::open(&mut rotations, &worker(), &queue).unwrap();
            assert!(!is_under_way || log.metadata().unwrap().ino() == before, "after {start_after} steps");
            log.write_all(lines(next..=next).as_bytes()).unwrap();
            next += 1;
            while rotations.step() {}
            assert!(everything(directory) == lines(0..next), "started after {start_after} steps");
            if !is_under_way {
                break;
            }
            start_after += 1;
        }
        assert!(start_after > 5, "{start_after}");
    }
}

#[test]
fn a_start_leaves_it_to_a_rotation_to_remove_what_has_been_copied() {
    let place = tempfile::tempdir().unwrap();
    let queue = queue(256 * KIB, 5);
    log(place.path()).write_all(lines(0..200_000).as_bytes()).unwrap();
    let mut rotations = Rotations::new(place.path().to_owned());
    rotations.ask(worker(), &queue);
    let path = current(place.path(), &worker());
    while !older(&path, 1).exists() {
        assert!(rotations.step());
    }
    // The keeper is killed here.
    let mut rotations = Rotations::new(place.path().to_owned());
    let before = fs::metadata(&path).unwrap();
    let log = log_file::open(&mut rotations, &worker(), &queue).unwrap();
    let after = log.metadata().unwrap();
    assert_eq!((after.ino(), after.len(), after.blocks()), (before.ino(), before.len(), before.blocks()));
    assert!(rotations.has_more(), "it has asked for it");
    while rotations.step() {}
    assert!(everything(place.path()) == lines(0..200_000));
    assert!(!rotations.is_under_way(&worker()));
}

#[test]
fn a_log_that_is_small_enough_or_not_there_or_a_link_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let queue = queue(KIB, 5);
    rotate(place.path(), &queue);
    let secret = place.path().join("secret");
    fs::write(&secret, "x".repeat(1 << 20)).unwrap();
    std::os::unix::fs::symlink(&secret, current(place.path(), &worker())).unwrap();
    rotate(place.path(), &queue);
    assert_eq!(fs::metadata(&secret).unwrap().len(), 1 << 20);
    fs::remove_file(current(place.path(), &worker())).unwrap();
    log(place.path()).write_all(b"small").unwrap();
    rotate(place.path(), &queue);
    assert_eq!(names(place.path()), 2);
}
