//! What a worker prints: an append-only file each, never a pipe to somebody who may die or stall.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use etl_shared::WorkerName;
use nix::libc;

use super::{log_cut, log_rotation::Rotations};
use crate::{
    settings::Queue,
    worker_log::{self, MOST_KEPT, Mark, current, older},
};

/// Where a copy is made that is not whole yet.
pub(super) fn unfinished(current: &Path) -> PathBuf {
    let mut path = current.to_owned().into_os_string();
    path.push(".next");
    path.into()
}

/// Opens the file for a new process; one that is too large is set aside as `.log.1` first. Never waits for the disk.
///
/// A log that is just being rotated goes on as it is: for whoever rotates it, the new process is one more writer.
pub(crate) fn open(rotations: &mut Rotations, worker: &WorkerName, queue: &Queue) -> io::Result<File> {
    let path = current(rotations.directory(), worker);
    if !rotations.is_under_way(worker) {
        if fs::metadata(&path).is_ok_and(|log| log.len() > queue.log_max_size) {
            // A log that cannot be set aside grows on: that is no reason for a tenant to stand still.
            if let Err(error) = set_aside(rotations, &path, worker, queue) {
                tracing::warn!(%worker, %error, "log file not rotated");
            }
        }
        // Fewer may be wanted than there were, and a log that stays small is never set aside.
        for number in queue.log_keep + 1..=MOST_KEPT {
            let _ = fs::remove_file(older(&path, number));
        }
    }
    let flags = libc::O_NOFOLLOW | libc::O_NOCTTY;
    let log = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    if log.metadata()?.len() == 0 && matches!(Mark::written(&log), Ok(None)) {
        // Where no attributes are kept it goes without, and is only ever renamed.
        let _ = Mark::new().set(&log);
    }
    Ok(log)
}

fn set_aside(rotations: &mut Rotations, path: &Path, worker: &WorkerName, queue: &Queue) -> io::Result<()> {
    gone(fs::remove_file(unfinished(path)))?;
    // Before its name says something else: what is in `.log.1` already and was to be removed here must not be there twice.
    // Removing it may take as long as the disk likes, so that is left to a rotation, and the log keeps its name.
    if let Some(log) = worker_log::open(path, OpenOptions::new().read(true).write(true))? {
        match log_cut::is_settled(&log, path) {
            Ok(true) => {}
            Ok(false) if !rotations.has_failed(worker) => {
                rotations.ask(worker.clone(), queue);
                return Ok(());
            }
            // Lines that are there twice are better than a file that grows until its writer is killed for it.
            unsettled => {
                let error = unsettled.err();
                tracing::warn!(%worker, ?error, "what was copied of a log file is not removed from it");
            }
        }
    }
    make_room(path, queue.log_keep)?;
    if queue.log_keep == 0 {
        return fs::remove_file(path);
    }
    fs::rename(path, older(path, 1))
}

/// Frees the name `.log.1`; the oldest file goes where there are more than `keep` with a new one. May be interrupted at any place.
pub(super) fn make_room(current: &Path, keep: u32) -> io::Result<()> {
    for number in keep.max(1)..=MOST_KEPT {
        let is_wanted = number == keep && (1..keep).any(|number| older(current, number).symlink_metadata().is_err());
        if !is_wanted {
            gone(fs::remove_file(older(current, number)))?;
        }
    }
    let free = (1..=keep).find(|number| older(current, *number).symlink_metadata().is_err()).unwrap_or(1);
    for number in (1..free).rev() {
        fs::rename(older(current, number), older(current, number + 1))?;
    }
    Ok(())
}

/// That there is no such file is as good.
pub(super) fn gone(removal: io::Result<()>) -> io::Result<()> {
    match removal {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removal => removal,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn queue(log_keep: u32) -> Queue {
        Queue { log_max_size: 4, log_keep, ..Queue::default() }
    }

    #[test]
    fn a_log_is_continued_until_it_is_too_large_and_then_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let worker: WorkerName = "transform-7-1".parse().unwrap();
        let print = |text: &str, keep| {
            let mut rotations = Rotations::new(directory.path().to_owned());
            open(&mut rotations, &worker, &queue(keep)).unwrap().write_all(text.as_bytes()).unwrap();
        };
        let read = |name: &str| fs::read_to_string(directory.path().join(format!("transform-7-1.log{name}"))).unwrap();
        print("one ", 1);
        print("two ", 1);
        assert_eq!(read(""), "one two ");
        print("three", 1);
        assert_eq!((read(".1"), read("")), ("one two ".into(), "three".into()));
        print("fourth", 1);
        assert_eq!((read(".1"), read("")), ("three".into(), "fourth".into()));
        print("fifth", 3);
        print("sixth", 3);
        assert_eq!([".3", ".2", ".1", ""].map(read), ["three", "fourth", "fifth", "sixth"]);
        print("seventh", 3);
        assert_eq!([".3", ".2", ".1", ""].map(read), ["fourth", "fifth", "sixth", "seventh"]);
        // Fewer are wanted from now on, and then none.
        print("eighth", 1);
        assert_eq!([".1", ""].map(read), ["seventh", "eighth"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        print("ninth", 0);
        assert_eq!(read(""), "ninth");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "and none is there");
    }

    #[test]
    fn a_gap_that_an_interrupted_rotation_left_is_filled_before_anything_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let current = directory.path().join("log");
        for number in [2, 3] {
            fs::write(older(&current, number), number.to_string()).unwrap();
        }
        make_room(&current, 3).unwrap();
        assert_eq!(fs::read_to_string(older(&current, 3)).unwrap(), "3");
        assert_eq!(fs::read_to_string(older(&current, 2)).unwrap(), "2");
        fs::write(older(&current, 1), "1").unwrap();
        make_room(&current, 3).unwrap();
        assert_eq!(fs::read_to_string(older(&current, 3)).unwrap(), "2");
        assert_eq!(fs::read_to_string(older(&current, 2)).unwrap(), "1");
        assert!(!older(&current, 1).exists());
    }
}
