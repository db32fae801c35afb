//! Writers and people who do what nobody expects of them.

use std::{io::Write, os::unix::fs::FileExt};

use super::{
    super::log_file,
    tests::{everything, lines, log, places, queue, rotate, worker},
    *,
};

const KIB: u64 = 1024;

fn start(directory: &Path, queue: &Queue) -> File {
    log_file::open(&mut Rotations::new(directory.to_owned()), &worker(), queue).unwrap()
}

#[test]
fn a_writer_who_fills_the_hole_again_and_again_holds_up_nobody() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let other: WorkerName = "transform-8-1".parse().unwrap();
    let text = lines(0..100_000);
    fs::write(current(directory, &worker()), &text).unwrap();
    fs::write(current(directory, &other), &text).unwrap();
    let naughty = OpenOptions::new().write(true).open(current(directory, &worker())).unwrap();
    let mut rotations = Rotations::new(directory.to_owned());
    rotations.ask(worker(), &queue(256 * KIB, 2));
    rotations.ask(other.clone(), &queue(256 * KIB, 2));
    let mut steps = 0;
    while rotations.step() {
        naughty.write_all_at(b"x", 0).unwrap();
        steps += 1;
        assert!(steps < 500, "it goes on for ever");
        if steps == 40 {
            assert!(fs::metadata(current(directory, &other)).unwrap().blocks() * 512 < 256 * KIB, "in its turn");
        }
    }
    rotations.ask(worker(), &queue(256 * KIB, 2));
    assert!(!rotations.step(), "it is left alone for a while");
    let path = current(directory, &worker());
    assert!(fs::metadata(&path).unwrap().len() > 256 * KIB);
    drop(log_file::open(&mut rotations, &worker(), &queue(256 * KIB, 2)).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "what cannot be rotated is set aside by a start all the same");
}

#[test]
fn a_new_file_is_never_taken_for_the_one_that_was_copied() {
    for place in places() {
        let directory = place.path();
        let queue = queue(256 * KIB, 20);
        let path = current(directory, &worker());
        let (mut expected, mut next) = (String::new(), 0);
        for _ in 0..6 {
            let text = lines(next..next + 60_000);
            next += 60_000;
            // The same inode is given to the next file at once.
            start(directory, &queue).write_all(text.as_bytes()).unwrap();
            rotate(directory, &queue);
            let lost = fs::metadata(&path).unwrap().len() - hole(&File::open(&path).unwrap()).unwrap();
            expected.push_str(&text[..text.len() - usize::try_from(lost).unwrap()]);
            fs::remove_file(&path).unwrap();
        }
        assert!(everything(directory) == expected);
    }
}

#[test]
fn a_file_that_somebody_empties_is_another_one_from_then_on() {
    for place in places() {
        let directory = place.path();
        let queue = queue(256 * KIB, 20);
        let path = current(directory, &worker());
        let (mut expected, mut next) = (String::new(), 0);
        let mut log = start(directory, &queue);
        for _ in 0..6 {
            let text = lines(next..next + 60_000);
            next += 60_000;
            log.write_all(text.as_bytes()).unwrap();
            rotate(directory, &queue);
            let lost = fs::metadata(&path).unwrap().len() - hole(&File::open(&path).unwrap()).unwrap();
            expected.push_str(&text[..text.len() - usize::try_from(lost).unwrap()]);
            log.set_len(0).unwrap();
        }
        assert!(everything(directory) == expected);
    }
}

#[test]
fn what_is_not_to_be_kept_any_more_is_removed() {
    let place = tempfile::tempdir().unwrap();
    log(place.path()).write_all(lines(0..100_000).as_bytes()).unwrap();
    rotate(place.path(), &queue(256 * KIB, 3));
    log(place.path()).write_all(lines(0..100_000).as_bytes()).unwrap();
    rotate(place.path(), &queue(256 * KIB, 0));
    assert!(!older(&current(place.path(), &worker()), 1).exists());
}
