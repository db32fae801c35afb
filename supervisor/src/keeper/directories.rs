//! The keeper's place on the disk, and that there is one keeper in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::{libc, unistd::geteuid};

use super::KeeperError;
use crate::settings::Runtime;

/// Creates what is missing, and refuses directories in which others could put a socket or a lease of theirs.
pub(super) fn prepare(runtime: &Runtime) -> Result<(), KeeperError> {
    // Passing through is all that anybody else may do; the sockets have modes of their own.
    own_directory(&runtime.directory, 0o711)?;
    own_inner_directory(&runtime.lease_directory(), 0o700)?;
    own_inner_directory(&runtime.flight_directory(), 0o750)?;
    // Others pass through to the one that is theirs.
    own_inner_directory(&runtime.work_directory(), 0o711)?;
    own_directory(&runtime.state_directory, 0o750)?;
    own_inner_directory(&runtime.keeper_state_directory(), 0o700)?;
    own_directory(&runtime.log_directory, 0o750)
}

/// One whose place somebody else may be able to write in, such as the supervisor: a link there could lead anywhere.
fn own_inner_directory(path: &Path, mode: u32) -> Result<(), KeeperError> {
    own_directory(path, mode)?;
    if path.is_symlink() {
        return Err(KeeperError::UnsafeDirectory { path: path.to_owned(), why: "it is a symbolic link".to_owned() });
    }
    Ok(())
}

fn own_directory(path: &Path, mode: u32) -> Result<(), KeeperError> {
    let error = |source| KeeperError::Directory { path: path.to_owned(), source };
    if !path.is_dir() {
        DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(error)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(error)?;
    }
    let found = fs::metadata(path).map_err(error)?;
    let (us, owner) = (geteuid().as_raw(), found.uid());
    if owner != us && owner != 0 {
        return Err(KeeperError::UnsafeDirectory {
            path: path.to_owned(),
            why: format!("it belongs to user {owner}; while no keeper runs, remove it or give it to user {us}"),
        });
    }
    if found.mode() & 0o002 != 0 {
        return Err(KeeperError::UnsafeDirectory {
            path: path.to_owned(),
            why: "everybody may write in it".to_owned(),
        });
    }
    Ok(())
}

/// Held while the keeper lives, whatever it dies of.
#[derive(Debug)]
pub(super) struct OnlyKeeper(#[expect(dead_code, reason = "held for its lock")] File);

impl OnlyKeeper {
    pub(super) fn claim(runtime: &Runtime) -> Result<Self, KeeperError> {
        let path = runtime.directory.join("keeper.lock");
        let error = |source| KeeperError::Directory { path: path.clone(), source };
        let mut options = OpenOptions::new();
        // Who may write in the directory could have put a link to some other file of ours there.
        let options =
            options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(&path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Not yet written where the other one starts at this very moment.
                let _ = file.read_to_string(&mut holder);
                let directory = runtime.directory.clone();
                return Err(KeeperError::AlreadyRunning { directory, pid: holder.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(error(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(error)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(error)?;
        Ok(Self(file))
    }
}

/// Removes a socket that an earlier keeper left behind. Only for one that holds the lock.
pub(super) fn remove_stale(socket: &Path) -> io::Result<()> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(directory: &Path) -> Runtime {
        let at = |name| directory.join(name);
        Runtime { directory: at("run"), log_directory: at("log"), state_directory: at("state") }
    }

    #[test]
    fn missing_directories_are_made_for_us_alone() {
        let place = tempfile::tempdir().unwrap();
        let runtime = runtime(place.path());
        prepare(&runtime).unwrap();
        prepare(&runtime).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&runtime.directory), 0o711);
        assert_eq!(mode(&runtime.lease_directory()), 0o700);
        assert_eq!(mode(&runtime.flight_directory()), 0o750);
        assert_eq!(mode(&runtime.log_directory), 0o750);
    }

    #[test]
    fn a_directory_in_which_everybody_may_write_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let runtime = runtime(place.path());
        fs::create_dir(&runtime.directory).unwrap();
        fs::set_permissions(&runtime.directory, fs::Permissions::from_mode(0o777)).unwrap();
        let error = prepare(&runtime).unwrap_err().to_string();
        assert!(error.contains("everybody may write"), "{error}");
    }

    #[test]
    fn links_that_somebody_has_put_there_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let runtime = runtime(place.path());
        prepare(&runtime).unwrap();
        let precious = place.path().join("precious");
        fs::write(&precious, "x").unwrap();
        std::os::unix::fs::symlink(&precious, runtime.directory.join("keeper.lock")).unwrap();
        OnlyKeeper::claim(&runtime).unwrap_err();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
        fs::remove_dir(runtime.lease_directory()).unwrap();
        std::os::unix::fs::symlink(place.path().join("log"), runtime.lease_directory()).unwrap();
        let error = prepare(&runtime).unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
    }

    #[test]
    fn a_second_keeper_is_told_who_the_first_one_is() {
        let place = tempfile::tempdir().unwrap();
        let runtime = runtime(place.path());
        prepare(&runtime).unwrap();
        let first = OnlyKeeper::claim(&runtime).unwrap();
        let error = OnlyKeeper::claim(&runtime).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        OnlyKeeper::claim(&runtime).unwrap();
    }
}
