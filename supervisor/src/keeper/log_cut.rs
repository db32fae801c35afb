//! Removes from a log's beginning what `.log.1` holds as well, while somebody appends to it.
//!
//! Nothing is remembered between two steps: what is to be done shows in the files, so that whoever comes after a keeper that was
//! killed at any place goes on from there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek},
    os::unix::fs::FileExt,
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
/// Removed at once: about a millisecond's work, where the disk need not be waited for.
const PIECE: u64 = 8 * 1024 * 1024;

/// More steps than a file of this size needs. Who needs more has a writer who fills the hole again.
pub(super) const fn most_steps(size: u64) -> u64 {
    32 + 4 * (size >> 20)
}

/// What is to be said of a log that takes more.
pub(super) fn never_done() -> io::Error {
    io::Error::other("what is removed from its beginning is written again")
}

/// What a log needs next.
enum Next {
    /// It holds nothing that is to be removed.
    Nothing,
    /// Somebody has emptied it, which is to be noted.
    Emptied(Mark),
    /// `.log.1` holds these bytes as well.
    Punch { from: u64, to: u64 },
    /// It begins with a hole that is to be cut off, which is to be noted first.
    Announce(Mark),
    /// To be cut off, or to be noted as cut off.
    Cut(Mark, u64),
}

/// Whether nothing of it is left to be removed. Never waits for the disk, as removing may.
pub(super) fn is_settled(log: &File, path: &Path) -> io::Result<bool> {
    if let Next::Emptied(mark) = next(log, path)? {
        mark.set(log)?;
    }
    Ok(matches!(next(log, path)?, Next::Nothing))
}

/// Does a part of it, for which it may have to wait for the disk; whether there is more to do.
pub(super) fn step(log: &File, path: &Path) -> io::Result<bool> {
    match next(log, path)? {
        Next::Nothing => return Ok(false),
        Next::Emptied(mark) | Next::Announce(mark) => mark.set(log)?,
        Next::Punch { from, to } => punch(log, from, to)?,
        Next::Cut(mark, hole) => return cut(log, mark, hole),
    }
    Ok(true)
}

fn next(log: &File, path: &Path) -> io::Result<Next> {
    // One without has never been copied.
    let Some(mark) = Mark::written(log)? else { return Ok(Next::Nothing) };
    let hole = hole(log)?;
    if mark.cutting > 0 {
        return Ok(Next::Cut(mark, hole));
    }
    let first = mark.base + hole;
    if first < mark.removed {
        return Ok(Next::Emptied(mark.emptied()));
    }
    if let Some(copy) = worker_log::open(&older(path, 1), OpenOptions::new().read(true))? {
        let copy = Extent::of(&copy)?;
        if copy.stream == mark.stream && mark.base + log.metadata()?.len() < copy.end {
            return Ok(Next::Emptied(mark.emptied()));
        }
        if copy.stream == mark.stream && (copy.first..copy.end).contains(&first) {
            return Ok(Next::Punch { from: hole, to: copy.end - mark.base });
        }
    }
    let whole = hole / BLOCK * BLOCK;
    // The last byte of a file cannot be cut off, and a hole that could not be is not tried again.
    if whole == 0 || whole >= log.metadata()?.len() || first == mark.removed {
        return Ok(Next::Nothing);
    }
    Ok(Next::Announce(Mark { cutting: whole, ..mark }))
}

/// Whether what is removed from this file, which is empty, shows as a hole: without that nobody knows what has been removed.
pub(super) fn shows_holes(mut file: &File) -> io::Result<bool> {
    for at in (0..2 * BLOCK).step_by(4096) {
        file.write_all_at(&[b'\n'; 4096], at)?;
    }
    let shows = punch(file, 0, BLOCK).is_ok() && hole(file)? == BLOCK;
    file.set_len(0)?;
    // Looking for a hole moves it.
    file.rewind()?;
    Ok(shows)
}

/// Makes a hole of a part of this; a position stays what it is.
pub(super) fn punch(log: &File, from: u64, to: u64) -> io::Result<()> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(log, flags, offset(from)?, offset(PIECE.min(to - from))?)?;
    // Or it would be done again for ever.
    if hole(log)? <= from { Err(never_done()) } else { Ok(()) }
}

/// Cuts off the hole that the mark speaks of, or notes that this has been done. All positions move with it, in one step that no
/// writer can get in between. Where the file system cannot, the hole stays: it takes no space.
fn cut(log: &File, mark: Mark, hole: u64) -> io::Result<bool> {
    if hole >= mark.cutting {
        match fallocate(log, FallocateFlags::FALLOC_FL_COLLAPSE_RANGE, 0, offset(mark.cutting)?) {
            Ok(()) => {}
            Err(Errno::EOPNOTSUPP | Errno::EINVAL) => {
                Mark { cutting: 0, removed: mark.base + hole, ..mark }.set(log)?;
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
