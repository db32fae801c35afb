//! One supervisor for one runtime directory.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

/// Held as long as this supervisor lives; the kernel gives it back however it ends.
#[derive(Debug)]
pub(super) struct InstanceLock {
    _lock: Flock<File>,
}

/// The runtime directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error(
        "another supervisor (pid {holder}) already works in {}: stop it first, or give this one its own runtime.directory",
        directory.display()
    )]
    Held {
        /// The runtime directory.
        directory: PathBuf,
        /// The holder's pid, as it wrote it down.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock file {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl InstanceLock {
    /// Takes the directory for this process.
    pub(super) fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("supervisor.lock");
        let failed = |source| LockError::Io { path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&path)
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0).and_then(|()| lock.rewind()).map_err(failed)?;
                writeln!(lock, "{}", std::process::id()).map_err(failed)?;
                Ok(Self { _lock: lock })
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                Err(LockError::Held { directory: directory.to_owned(), holder: holder.trim().to_owned() })
            }
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_refused_and_told_who_holds_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = InstanceLock::take(directory.path()).unwrap();
        let error = InstanceLock::take(directory.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        InstanceLock::take(directory.path()).unwrap();
    }
}
