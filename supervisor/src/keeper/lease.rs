//! Never two: whoever runs as a worker holds that worker's lease, a locked file that it inherited.
//!
//! The lock belongs to the open file, not to a process: it is held as long as any process of the worker's family has the
//! descriptor, whoever dies in between, and free the moment the last one is gone. The files stay: one that is unlinked while it is
//! locked would make room for a second lock of the same name.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use etl_shared::WorkerName;
use nix::unistd::Pid;

/// The leases of all workers.
#[derive(Debug)]
pub(super) struct Leases {
    directory: PathBuf,
}

/// What became of an attempt to take a lease.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Ours, until the last copy of the file is closed.
    Taken(File),
    /// Somebody else's; who it is, as far as can be told.
    Held(String),
}

impl Leases {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The file.
    pub(super) fn path(&self, worker: &WorkerName) -> PathBuf {
        self.directory.join(worker.to_string())
    }

    /// Takes the lease where it is free. Closing the file gives it back; it must never be unlocked, which would take it from
    /// everybody who inherited it.
    pub(super) fn take(&self, worker: &WorkerName) -> io::Result<Attempt> {
        let path = self.path(worker);
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Attempt::Taken(file)),
            Err(TryLockError::WouldBlock) => Ok(Attempt::Held(holder(&path, &file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether nobody holds it.
    pub(super) fn is_free(&self, worker: &WorkerName) -> io::Result<bool> {
        match open(&self.path(worker))?.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether somebody holds any lease at all.
    pub(super) fn any_held(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.directory)?.flatten() {
            let worker = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(worker) = worker
                && !self.is_free(&worker)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes down who holds the lease, for those who will find it held.
    pub(super) fn sign(mut lease: &File, pid: Pid) -> io::Result<()> {
        lease.set_len(0)?;
        lease.write_all(format!("{pid}\n").as_bytes())
    }

    /// The worker whose lease this process has open.
    pub(super) fn held_by(&self, pid: Pid) -> Option<WorkerName> {
        fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().find_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            (target.parent()? == self.directory).then(|| target.file_name()?.to_str()?.parse().ok()).flatten()
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Says who holds a lock: the process that signed it, else the one that the kernel says took it.
fn holder(path: &Path, file: &File) -> String {
    let signed = signature(file).and_then(|text| text.trim().parse().ok());
    match signed.filter(|pid| is_open_in(*pid, path)).or_else(|| locker(file.metadata().ok()?.ino())) {
        Some(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("process {pid} ({})", name.trim())
        }
        None => "an unknown process".to_owned(),
    }
}

/// The worker has the file open and may have written a gigabyte to it.
fn signature(file: &File) -> Option<String> {
    const LONGEST: u64 = 32;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok().map(|_| text)
}

fn is_open_in(pid: i32, path: &Path) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .is_ok_and(|entries| entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|at| at == path)))
}

/// Looks an inode up in the kernel's list of locks: `1: FLOCK  ADVISORY  WRITE 4121 00:1a:2233 0 EOF`.
fn locker(inode: u64) -> Option<i32> {
    let inode = format!(":{inode}");
    fs::read_to_string("/proc/locks").ok()?.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1).filter(|word| *word != "->");
        let (kind, pid, place) = (words.next()?, words.nth(2)?, words.next()?);
        (kind == "FLOCK" && place.ends_with(&inode)).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn worker() -> WorkerName {
        "transform-7-1".parse().unwrap()
    }

    #[test]
    fn a_lease_is_taken_once_and_free_again_when_its_last_copy_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let leases = Leases::new(directory.path().to_owned());
        let Attempt::Taken(lease) = leases.take(&worker()).unwrap() else { panic!("it was free") };
        let copy = lease.try_clone().unwrap();
        drop(lease);
        assert!(!leases.is_free(&worker()).unwrap(), "a copy still holds it");
        drop(copy);
        // Another test that starts a process right now gives it a copy, until that process executes its program.
        let until = Instant::now() + Duration::from_secs(5);
        while !leases.is_free(&worker()).unwrap() {
            assert!(Instant::now() < until, "every copy is closed and it is still held");
        }
        let Attempt::Taken(_again) = leases.take(&worker()).unwrap() else { panic!("asking must not keep it") };
    }

    #[test]
    fn a_held_lease_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let leases = Leases::new(directory.path().to_owned());
        let Attempt::Taken(lease) = leases.take(&worker()).unwrap() else { panic!("it was free") };
        let us = Pid::this();
        let Attempt::Held(unsigned) = leases.take(&worker()).unwrap() else { panic!("it is held") };
        assert!(unsigned.contains(&format!("process {us} ")), "{unsigned}");
        Leases::sign(&lease, us).unwrap();
        let Attempt::Held(signed) = leases.take(&worker()).unwrap() else { panic!("it is held") };
        assert_eq!(signed, unsigned);
        assert_eq!(leases.held_by(us), Some(worker()));
    }

    #[test]
    fn a_lease_that_its_worker_has_made_huge_is_not_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let leases = Leases::new(directory.path().to_owned());
        let Attempt::Taken(mut lease) = leases.take(&worker()).unwrap() else { panic!("it was free") };
        lease.write_all(&[b'1'; 100]).unwrap();
        lease.set_len(1 << 40).unwrap();
        assert_eq!(signature(&open(&leases.path(&worker())).unwrap()).map(|text| text.len()), Some(32));
        let Attempt::Held(holder) = leases.take(&worker()).unwrap() else { panic!("it is held") };
        assert!(holder.contains(&format!("process {} ", Pid::this())), "{holder}");
        assert!(!leases.is_free(&worker()).unwrap());
    }

    #[test]
    fn a_signature_left_by_an_earlier_life_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let leases = Leases::new(directory.path().to_owned());
        fs::write(leases.path(&worker()), "1\n").unwrap();
        let Attempt::Taken(_lease) = leases.take(&worker()).unwrap() else { panic!("it was free") };
        let Attempt::Held(holder) = leases.take(&worker()).unwrap() else { panic!("it is held") };
        assert!(!holder.contains("process 1 "), "{holder}");
    }
}
