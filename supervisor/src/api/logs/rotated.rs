//! Reading while the keeper makes the log smaller.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use etl_shared::WorkerName;

use super::tail::Tail;
use crate::{
    keeper::{log_file, log_rotation::Rotations},
    settings::Queue,
    worker_log::{current, older},
};

const LINES: u32 = 300_000;

fn worker() -> WorkerName {
    "transform-7-1".parse().unwrap()
}

fn rotate(directory: &Path) {
    let mut rotations = Rotations::new(directory.to_owned());
    rotations.ask(worker(), &Queue { log_max_size: 256 * 1024, log_keep: 20, ..Queue::default() });
    while rotations.step() {}
}

fn write(directory: &Path, numbers: std::ops::Range<u32>) {
    let mut log = OpenOptions::new().append(true).create(true).open(current(directory, &worker())).unwrap();
    for number in numbers {
        log.write_all(format!("line {number}\n").as_bytes()).unwrap();
    }
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "line {number}");
        text
    })
}

fn read_on(tail: &mut Tail, text: &mut String) {
    while let Some(lines) = tail.read().unwrap() {
        text.push_str(std::str::from_utf8(lines).unwrap());
    }
}

/// What a writer writes and a follower sees while the log is rotated again and again.
fn followed(tail: &mut Tail, directory: &Path) -> String {
    let done = AtomicBool::new(false);
    let mut seen = String::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for part in 0..4 {
                write(directory, LINES / 4 * part..LINES / 4 * (part + 1));
                // Enough for one more rotation, however slow whoever does it is.
                let older = older(&current(directory, &worker()), part + 1);
                let until = Instant::now() + Duration::from_mins(1);
                while part < 3 && !older.exists() && Instant::now() < until {
                    thread::yield_now();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                rotate(directory);
            }
        });
        let until = Instant::now() + Duration::from_mins(1);
        while !seen.ends_with(&format!("line {}\n", LINES - 1)) && Instant::now() < until {
            read_on(tail, &mut seen);
        }
    });
    seen
}

#[test]
fn a_follower_sees_every_line_once_while_the_log_is_rotated() {
    let place = tempfile::tempdir().unwrap();
    let mut tail = Tail::new(current(place.path(), &worker()), usize::MAX, true);
    let seen = followed(&mut tail, place.path());
    assert!(current(place.path(), &worker()).with_extension("log.3").exists(), "it has been rotated");
    assert!(seen == lines(0..LINES), "{} bytes", seen.len());
}

#[test]
fn a_follower_that_was_slow_reads_on_in_older_files() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), 0..10);
    let mut tail = Tail::new(current(place.path(), &worker()), 10, true);
    let mut seen = String::new();
    read_on(&mut tail, &mut seen);
    assert_eq!(seen, lines(0..10));
    for turn in 0..8 {
        write(place.path(), 10 + turn * 50_000..10 + (turn + 1) * 50_000);
        rotate(place.path());
        if turn == 3 {
            // And a new process begins a new file.
            let queue = Queue { log_max_size: 1, log_keep: 20, ..Queue::default() };
            let mut rotations = Rotations::new(place.path().to_owned());
            drop(log_file::open(&mut rotations, &worker(), &queue).unwrap());
        }
    }
    read_on(&mut tail, &mut seen);
    assert!(seen == lines(0..400_010), "{} bytes", seen.len());
}

#[test]
fn the_last_lines_follow_each_other_whenever_they_are_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            write(place.path(), 0..LINES);
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                rotate(place.path());
            }
        });
        while !done.load(Ordering::Relaxed) {
            let mut text = String::new();
            read_on(&mut Tail::new(current(place.path(), &worker()), 30_000, false), &mut text);
            let numbers: Vec<u32> = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
                .map(|line| line.trim_start_matches("line ").trim_end().parse().unwrap())
                .collect();
            if let Some(gap) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
                panic!("{gap:?} of {} lines", numbers.len());
            }
        }
    });
}
