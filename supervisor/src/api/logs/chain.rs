//! The files of one worker's log, one after the other.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use crate::worker_log::{Extent, MOST_KEPT, MOST_LOOKS, older, open};

/// A part of the output: bytes of one file, by their positions.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) file: File,
    pub(super) stream: u64,
    /// Where to go on.
    pub(super) at: u64,
    /// Where to stop.
    pub(super) until: u64,
}

/// What is at a piece's next position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes; none: nothing more, at least for now.
    Bytes(usize),
    /// It has been removed from this file, which begins here by now.
    Removed(u64),
    /// The file has become shorter than that; it begins here.
    Truncated(u64),
}

impl Piece {
    /// Looks at the next bytes. However the file is cut meanwhile, it is those that belong there.
    pub(super) fn read(&mut self, block: &mut [u8]) -> io::Result<Found> {
        for _ in 0..MOST_LOOKS {
            if self.at >= self.until {
                return Ok(Found::Bytes(0));
            }
            let extent = Extent::of(&self.file)?;
            // Another one once somebody has emptied the file.
            self.stream = extent.stream;
            if self.at < extent.first {
                return Ok(Found::Removed(extent.first));
            }
            if self.at > extent.end {
                return Ok(Found::Truncated(extent.first));
            }
            let most = usize::try_from(self.until.saturating_sub(self.at)).unwrap_or(usize::MAX).min(block.len());
            let read = std::os::unix::fs::FileExt::read_at(&self.file, &mut block[..most], self.at - extent.base)?;
            if Extent::of(&self.file)?.begins_like(&extent) {
                return Ok(Found::Bytes(read));
            }
        }
        Err(io::Error::other("the file is being changed all the time"))
    }
}

/// Everything that is there, the oldest first. The last one is the file that is being written, where there is one.
pub(super) fn all(current: &Path) -> io::Result<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let paths = (1..=MOST_KEPT).map(|number| older(current, number));
    // In this order nothing is missed that is given the next number meanwhile; it may be met twice.
    for path in [current.to_owned()].into_iter().chain(paths) {
        let Some(file) = open(&path, OpenOptions::new().read(true))? else { continue };
        let Extent { stream, first, end, .. } = Extent::of(&file)?;
        let newer = pieces.last().filter(|newer| newer.stream == stream).map_or(u64::MAX, |newer| newer.at);
        let is_met_again = pieces.last().is_some_and(|newer| newer.stream != stream)
            && pieces.iter().any(|piece| piece.stream == stream);
        if first < newer && !is_met_again {
            pieces.push(Piece { file, stream, at: first, until: end.min(newer) });
        }
    }
    pieces.reverse();
    Ok(pieces)
}

/// What has been removed from a file since it was read up to `from`, as far as it is kept; up to `until`, the oldest first.
pub(super) fn between(current: &Path, stream: u64, from: u64, until: u64) -> io::Result<Vec<Piece>> {
    let mut pieces = all(current)?;
    pieces.retain(|piece| piece.stream == stream && piece.at < until && piece.until > from);
    for piece in &mut pieces {
        (piece.at, piece.until) = (piece.at.max(from), piece.until.min(until));
    }
    Ok(pieces)
}

/// Files that came after the stream, the oldest first.
pub(super) fn after(current: &Path, stream: u64) -> io::Result<Vec<Piece>> {
    let mut pieces = all(current)?;
    let newer = pieces.iter().rposition(|piece| piece.stream == stream).map_or(0, |last| last + 1);
    Ok(pieces.split_off(newer))
}
