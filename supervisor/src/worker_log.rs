//! The files that hold what a worker has written, and which bytes of its output each of them holds.
//!
//! `<worker>.log` is the file that the worker's processes append to; `.log.1`, `.log.2` … are older. A file that grows too large is not
//! taken away from its writer, who may be any program: its beginning is copied to a new `.log.1` and then removed from it. So that
//! neither a keeper that was killed in between nor a reader in the middle of it takes a byte twice or leaves one out, every byte has a
//! position that never changes: it is the so-manieth that was ever written to that file, and an attribute of each file says at
//! which position it begins. The name of the stream of bytes is drawn by lot: an inode's number is given to another file some day.

use std::{
    fs::{File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use etl_shared::WorkerName;
use nix::{
    errno::Errno,
    fcntl::OFlag,
    unistd::{Whence, lseek64},
};
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

/// Most older files of one worker.
pub(crate) const MOST_KEPT: u32 = 20;

/// So often a file is looked at again that was changed in the meantime. Its writer may be anybody.
pub(crate) const MOST_LOOKS: u32 = 100;

const ATTRIBUTE: &str = "user.etl-supervisor.log";

/// The file that a worker's processes append to.
pub(crate) fn current(directory: &Path, worker: &WorkerName) -> PathBuf {
    directory.join(format!("{worker}.log"))
}

/// An older one; the larger the number, the older.
pub(crate) fn older(current: &Path, number: u32) -> PathBuf {
    let mut path = current.to_owned().into_os_string();
    path.push(format!(".{number}"));
    path.into()
}

/// Opens a log; whoever puts a link or a pipe in its place shall not choose what is read.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    match options.custom_flags(flags).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

/// What an attribute says of a file. One without any is whole: a stream of its own from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// What the bytes were written to: positions in different streams have nothing to do with each other.
    pub(crate) stream: u64,
    /// The position of the file's first byte.
    pub(crate) base: u64,
    /// So many bytes at the beginning, a hole by now, are being cut off. Whether it has happened shows in the hole itself.
    pub(crate) cutting: u64,
    /// Everything before this position has been removed. What is there nevertheless was written to a file that had been emptied.
    pub(crate) removed: u64,
}

impl Mark {
    /// That of a new file.
    pub(crate) fn new() -> Self {
        Self { stream: RandomState::new().hash_one(0), base: 0, cutting: 0, removed: 0 }
    }

    /// Reads it.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        match Self::written(file)? {
            Some(mark) => Ok(mark),
            // No stream has ever been called so by an attribute, unless this file's own.
            None => Ok(Self { stream: !file.metadata()?.ino(), base: 0, cutting: 0, removed: 0 }),
        }
    }

    /// Reads it, where there is one.
    pub(crate) fn written(file: &File) -> io::Result<Option<Self>> {
        let mut value = [0; 96];
        let length = match fgetxattr(file, ATTRIBUTE, &mut value) {
            Ok(length) => length,
            // The second: no such thing here, so nobody can have set it.
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let mut numbers = str::from_utf8(&value[..length]).unwrap_or_default().split(' ').map(str::parse);
        Ok(match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(stream)), Some(Ok(base)), Some(Ok(cutting))) => {
                let removed = numbers.next().and_then(Result::ok).unwrap_or_default();
                Some(Self { stream, base, cutting, removed })
            }
            _ => None,
        })
    }

    /// That of a file that somebody has emptied: everybody calls what is written to it from then on the same.
    pub(crate) const fn emptied(self) -> Self {
        Self { stream: self.stream.wrapping_add(0x9e37_79b9_7f4a_7c15), cutting: 0, removed: self.base, ..self }
    }

    /// Writes it.
    pub(crate) fn set(self, file: &File) -> io::Result<()> {
        let Self { stream, base, cutting, removed } = self;
        let value = format!("{stream} {base} {cutting} {removed}");
        Ok(fsetxattr(file, ATTRIBUTE, value.as_bytes(), XattrFlags::empty())?)
    }
}

/// Which bytes a file holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// See [`Mark::stream`].
    pub(crate) stream: u64,
    /// The position of what would be the file's first byte.
    pub(crate) base: u64,
    /// The position of the first byte that is there: what is before it has been removed.
    pub(crate) first: u64,
    /// The position after the last one.
    pub(crate) end: u64,
}

impl Extent {
    /// Looks.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        for _ in 0..MOST_LOOKS {
            let mark = Mark::of(file)?;
            let hole = hole(file)?;
            let length = file.metadata()?.len();
            // Cut in between: what was seen of it does not fit together.
            if Mark::of(file)? != mark || self::hole(file)? != hole {
                continue;
            }
            let cut = mark.cutting > 0 && hole < mark.cutting;
            let base = if cut { mark.base + mark.cutting } else { mark.base };
            let stream = if base + hole < mark.removed { mark.emptied().stream } else { mark.stream };
            return Ok(Self { stream, base, first: base + hole.min(length), end: base + length });
        }
        Err(io::Error::other("the file is being changed all the time"))
    }

    /// The same but for what has been written since.
    pub(crate) fn begins_like(&self, other: &Self) -> bool {
        (self.stream, self.base, self.first) == (other.stream, other.base, other.first)
    }
}

/// So many bytes at the beginning are not there.
pub(crate) fn hole(file: &File) -> io::Result<u64> {
    match lseek64(file, 0, Whence::SeekData) {
        Ok(data) => Ok(data.unsigned_abs()),
        // Nothing but a hole, or empty.
        Err(Errno::ENXIO) => Ok(file.metadata()?.len()),
        Err(errno) => Err(errno.into()),
    }
}
