//! A worker's own directory: empty at each start, and nobody else's.
//!
//! Whatever ran there before may have prepared it: symbolic links to elsewhere, directories that nobody may enter, a thousand of
//! them inside each other, a million files. So nothing in it is ever reached by a path: an old directory is set aside in one
//! step, and then emptied entry by entry through descriptors of directories, a limited number at a time.

use std::{
    collections::VecDeque,
    ffi::{CStr, CString},
    fs::{self, DirBuilder},
    hash::{BuildHasher, RandomState},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use etl_shared::WorkerName;
use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat},
    sys::stat::Mode,
    unistd::{Gid, Uid, UnlinkatFlags, fchownat, getegid, geteuid, unlinkat},
};

/// Entries that are removed before a worker is started; what is left is removed later, in between other work.
const AT_ONCE: usize = 1000;
const ASIDE: &str = ".old-";

/// The directories of all workers.
#[derive(Debug)]
pub(super) struct Workplaces {
    directory: PathBuf,
    /// Set aside and not yet gone.
    old: VecDeque<PathBuf>,
    last_aside: u64,
    /// Directories that were moved out of others so far, beginning anywhere: nobody can have prepared their names.
    risen: u64,
}

impl Workplaces {
    /// With what an earlier keeper has not come to.
    pub(super) fn new(directory: PathBuf) -> Self {
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let old = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(ASIDE.as_bytes()));
        let old = old.map(|entry| entry.path()).collect();
        Self { directory, old, last_aside: 0, risen: RandomState::new().hash_one(0) }
    }

    /// The worker's directory.
    pub(super) fn path(&self, worker: &WorkerName) -> PathBuf {
        self.directory.join(worker.to_string())
    }

    /// Makes it anew for this user, or for ourselves. Only for one who holds the worker's lease.
    pub(super) fn prepare(&mut self, worker: &WorkerName, user: Option<u32>) -> io::Result<PathBuf> {
        let path = self.path(worker);
        // Most are empty.
        if let Err(error) = fs::remove_dir(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.set_aside(&path)?;
            self.tidy();
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        // Whatever the umask has made of it. The directory above is ours alone, so this is what was just made.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        if user.is_some() {
            chown(&path, user, user)?;
        }
        Ok(path)
    }

    fn set_aside(&mut self, path: &Path) -> io::Result<()> {
        loop {
            self.last_aside += 1;
            let aside = self.directory.join(format!("{ASIDE}{}", self.last_aside));
            if aside.symlink_metadata().is_ok() {
                continue;
            }
            fs::rename(path, &aside)?;
            self.old.push_back(aside);
            return Ok(());
        }
    }

    /// Removes some of what was set aside; whether anything is left.
    pub(super) fn tidy(&mut self) -> bool {
        let Some(oldest) = self.old.front() else { return false };
        match empty(oldest, AT_ONCE, &mut self.risen)
            .and_then(|gone| if gone { fs::remove_dir(oldest).map(|()| true) } else { Ok(false) })
        {
            Ok(false) => {}
            Ok(true) => drop(self.old.pop_front()),
            Err(error) => {
                // Tried again by the next keeper: it is in nobody's way.
                tracing::warn!(directory = %oldest.display(), %error, "an old working directory cannot be removed");
                self.old.pop_front();
            }
        }
        !self.old.is_empty()
    }
}

/// Removes up to so many entries; whether the directory is empty then. Directories inside of it are brought up to the top one
/// after the other, so that no depth is too deep.
fn empty(path: &Path, most: usize, risen: &mut u64) -> io::Result<bool> {
    let top = own(AT_FDCWD, &CString::new(path.as_os_str().as_encoded_bytes())?)?;
    let mut steps = most;
    loop {
        let names = entries(&top, steps)?;
        if names.is_empty() {
            return Ok(true);
        }
        for name in names {
            if steps == 0 {
                return Ok(false);
            }
            steps -= 1;
            if !is_directory_after_removal(&top, &name)? {
                continue;
            }
            let inner = own(top.as_fd(), &name)?;
            for child in entries(&inner, steps)? {
                if steps == 0 {
                    return Ok(false);
                }
                steps -= 1;
                if is_directory_after_removal(&inner, &child)? {
                    // To be moved it has to be ours: its entry for the directory above changes.
                    drop(own(inner.as_fd(), &child)?);
                    rise(&inner, &child, &top, risen, &mut steps)?;
                }
            }
            match unlinkat(&top, name.as_c_str(), UnlinkatFlags::RemoveDir) {
                // More has appeared, or there was more than was looked at: the next round sees it.
                Ok(()) | Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if steps == 0 {
            return Ok(false);
        }
    }
}

/// Moves a directory to the top under a name that nobody has; leaves it for later where there are too many of such names.
fn rise(from: &OwnedFd, name: &CStr, top: &OwnedFd, risen: &mut u64, steps: &mut usize) -> io::Result<()> {
    while *steps > 0 {
        *steps -= 1;
        *risen = risen.wrapping_add(1);
        match renameat(from, name, top, format!(".risen-{risen:016x}").as_str()) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Removes what is no directory; whether it is one.
fn is_directory_after_removal(directory: &OwnedFd, name: &CStr) -> io::Result<bool> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(false),
        Err(Errno::EISDIR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a directory, never what a link points at, and makes it ours: without the right to read everything, we can look into
/// nobody else's.
fn own(above: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let place = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let place = openat(above, name, place, Mode::empty())?;
    let (user, group): (Uid, Gid) = (geteuid(), getegid());
    fchownat(&place, c"", Some(user), Some(group), AtFlags::AT_EMPTY_PATH)?;
    // What is open as a place only cannot be changed by its descriptor, but by the name of that.
    fs::set_permissions(format!("/proc/self/fd/{}", place.as_raw_fd()), fs::Permissions::from_mode(0o700))?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(&place, c".", flags, Mode::empty())?)
}

/// The first names in a directory.
fn entries(directory: &OwnedFd, most: usize) -> io::Result<Vec<CString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = Dir::from_fd(openat(directory, c".", flags, Mode::empty())?)?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
        if names.len() > most {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use nix::fcntl::open;

    use super::*;

    fn worker() -> WorkerName {
        "transform-7-1".parse().unwrap()
    }

    #[test]
    fn a_directory_begins_empty_and_for_its_user_alone() {
        let place = tempfile::tempdir().unwrap();
        let mut workplaces = Workplaces::new(place.path().to_owned());
        let path = workplaces.prepare(&worker(), None).unwrap();
        fs::write(path.join("left"), "x").unwrap();
        let again = workplaces.prepare(&worker(), None).unwrap();
        assert_eq!(path, again);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left of the old one");
    }

    #[test]
    fn nothing_outside_is_touched_whatever_links_to_it() {
        let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("precious"), "x").unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut workplaces = Workplaces::new(place.path().to_owned());
        let path = workplaces.prepare(&worker(), None).unwrap();
        symlink(outside.path(), path.join("directory")).unwrap();
        symlink(outside.path().join("precious"), path.join("file")).unwrap();
        fs::create_dir(path.join("inner")).unwrap();
        symlink(outside.path(), path.join("inner/directory")).unwrap();
        workplaces.prepare(&worker(), None).unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("precious")).unwrap(), "x");
        assert_eq!(fs::metadata(outside.path()).unwrap().mode() & 0o777, 0o755);
        // The whole directory replaced by a link.
        fs::remove_dir(&path).unwrap();
        symlink(outside.path(), &path).unwrap();
        workplaces.prepare(&worker(), None).unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("precious")).unwrap(), "x");
        assert!(path.symlink_metadata().unwrap().is_dir());
    }

    #[test]
    fn names_that_a_worker_has_prepared_are_tried_only_so_often_at_once() {
        let place = tempfile::tempdir().unwrap();
        let mut workplaces = Workplaces::new(place.path().to_owned());
        let path = workplaces.prepare(&worker(), None).unwrap();
        let (inner, first) = (path.join("inner"), workplaces.risen);
        fs::create_dir_all(inner.join("child/more")).unwrap();
        for number in 1..=20 {
            fs::create_dir_all(path.join(format!(".risen-{:016x}/more", first.wrapping_add(number)))).unwrap();
        }
        let open = |path: &Path| open(path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        let (top, inner) = (open(&path), open(&inner));
        let (mut risen, mut steps) = (first, 15);
        rise(&inner, c"child", &top, &mut risen, &mut steps).unwrap();
        assert_eq!((steps, risen), (0, first.wrapping_add(15)));
        steps = 15;
        rise(&inner, c"child", &top, &mut risen, &mut steps).unwrap();
        assert_eq!(steps, 9, "and goes on where it was");
    }

    #[test]
    fn a_directory_is_emptied_however_deep_full_and_closed_it_is() {
        let place = tempfile::tempdir().unwrap();
        let mut workplaces = Workplaces::new(place.path().to_owned());
        let path = workplaces.prepare(&worker(), None).unwrap();
        // Deeper than a path may be long.
        let mut here = open(&path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        for _ in 0..3000 {
            let name = "d".repeat(200);
            nix::sys::stat::mkdirat(&here, name.as_str(), Mode::from_bits_truncate(0o700)).unwrap();
            here = openat(&here, name.as_str(), OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        }
        drop(here);
        for number in 0..3000 {
            fs::write(path.join(format!("f{number}")), "").unwrap();
        }
        let closed = path.join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("x"), "").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        workplaces.prepare(&worker(), None).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "the new one is there before the old one is gone");
        assert!(!workplaces.old.is_empty(), "so much takes several turns");
        let mut turns = 0;
        while workplaces.tidy() {
            turns += 1;
            assert!(turns < 100, "{turns}");
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
