//! Removes from a log's beginning what `.log.1` holds as well, while somebody appends to it.
//!
//! Nothing is remembered between two steps: what is to be done shows in the files, so that whoever comes after a keeper that was
//! killed at any place goes on from there.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    libc::off_t,
};

use crate::worker_log::{self, Extent, Mark, hole, older};

/// Files are cut at multiples of this: a multiple of every file system's blocks.
pub(super) const BLOCK: u64 = 64 * 1024;
/// Removed at once: about a millisecond's work.
const PIECE: u64 = 8 * 1024 * 1024;

/// Does everything at once.
pub(super) fn settle(log: &File, path: &Path) -> io::Result<()> {
    while step(log, path)? {}
    Ok(())
}

/// Does a part of it; whether there is more to do.
pub(super) fn step(log: &File, path: &Path) -> io::Result<bool> {
    let mark = Mark::of(log)?;
    let hole = hole(log)?;
    if mark.cutting > 0 {
        return cut(log, mark, hole);
    }
    let first = mark.base + hole;
    if let Some(copy) = worker_log::open(&older(path, 1), OpenOptions::new().read(true))? {
        let copy = Extent::of(&copy)?;
        if copy.stream == mark.stream && (copy.first..copy.end).contains(&first) {
            punch(log, hole, copy.end - mark.base)?;
            return Ok(true);
        }
    }
    let whole = hole / BLOCK * BLOCK;
    // The last byte of a file cannot be cut off.
    if whole == 0 || whole >= log.metadata()?.len() {
        return Ok(false);
    }
    Mark { cutting: whole, ..mark }.set(log)?;
    Ok(true)
}

/// Makes a hole of a part of this; a position stays what it is.
pub(super) fn punch(log: &File, from: u64, to: u64) -> io::Result<()> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(log, flags, offset(from)?, offset(PIECE.min(to - from))?)?;
    Ok(())
}

/// Cuts off the hole that the mark speaks of, or notes that this has been done. All positions move with it, in one step that no
/// writer can get in between. Where the file system cannot, the hole stays: it takes no space.
fn cut(log: &File, mark: Mark, hole: u64) -> io::Result<bool> {
    if hole >= mark.cutting {
        match fallocate(log, FallocateFlags::FALLOC_FL_COLLAPSE_RANGE, 0, offset(mark.cutting)?) {
            Ok(()) => {}
            Err(Errno::EOPNOTSUPP | Errno::EINVAL) => {
                Mark { cutting: 0, ..mark }.set(log)?;
                return Ok(false);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Mark { base: mark.base + mark.cutting, cutting: 0, ..mark }.set(log)?;
    Ok(true)
}

fn offset(bytes: u64) -> io::Result<off_t> {
    off_t::try_from(bytes).map_err(|_| Errno::EFBIG.into())
}
