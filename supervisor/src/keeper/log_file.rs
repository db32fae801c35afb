//! What a worker prints: an append-only file each, never a pipe to somebody who may die or stall.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use etl_shared::WorkerName;
use nix::libc;

/// The log file of a worker.
pub(super) fn path(directory: &Path, worker: &WorkerName) -> PathBuf {
    directory.join(format!("{worker}.log"))
}

/// Opens the file for a new process; one of more than `max_size` bytes is set aside as `.log.1` first.
pub(super) fn open(directory: &Path, worker: &WorkerName, max_size: u64) -> io::Result<File> {
    let path = path(directory, worker);
    if fs::metadata(&path).is_ok_and(|log| log.len() > max_size) {
        let mut aside = path.clone().into_os_string();
        aside.push(".1");
        // A log that cannot be set aside grows on: that is no reason for a tenant to stand still.
        if let Err(error) = fs::rename(&path, aside) {
            tracing::warn!(%worker, %error, "log file not rotated");
        }
    }
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_is_continued_until_it_is_too_large_and_then_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let worker: WorkerName = "transform-7-1".parse().unwrap();
        let print = |text: &str| open(directory.path(), &worker, 4).unwrap().write_all(text.as_bytes()).unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        print("one ");
        print("two ");
        assert_eq!(read("transform-7-1.log"), "one two ");
        print("three");
        assert_eq!((read("transform-7-1.log.1"), read("transform-7-1.log")), ("one two ".into(), "three".into()));
        print("four");
        assert_eq!((read("transform-7-1.log.1"), read("transform-7-1.log")), ("three".into(), "four".into()));
    }
}
