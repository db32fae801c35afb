//! Keeps the logs of running workers small: what is old in a log is copied to `.log.1` and then removed from it, in small steps. No
//! byte is removed that has not been copied, and none stays twice, whenever the keeper is killed.
//!
//! A step may take as long as the disk likes. So whoever has [`Rotations`] in hand only says which step is next and hears what became
//! of it; taking it is [`super::log_rotator`]'s, which has nothing of [`Rotations`] in hand meanwhile.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use etl_shared::WorkerName;

use super::{
    log_cut::{self, BLOCK},
    log_file::{gone, make_room, unfinished},
};
use crate::{
    settings::Queue,
    worker_log::{self, Extent, Mark, current, hole, older},
};

/// Copied and written to the disk at once: a few milliseconds' work, or seconds on a disk that is slow or busy.
const PIECE: u64 = 1024 * 1024;
/// Logs on the way at once, in turn, so that one that takes long delays nobody. Each may have a copy on the disk.
const AT_ONCE: usize = 4;
/// After an error a log is left alone for so long: it is asked for every second.
const LEFT_ALONE: Duration = Duration::from_mins(1);
/// What is left of the disk for others when a copy has been made.
const SPARE: u64 = 8 * 1024 * 1024;

/// All logs that are to become smaller.
#[derive(Debug)]
pub(crate) struct Rotations {
    directory: PathBuf,
    waiting: VecDeque<(WorkerName, Wish)>,
    /// Whose turn it is comes first.
    under_way: VecDeque<(WorkerName, Rotation)>,
    /// Of whose log a step is being taken.
    in_hand: Option<WorkerName>,
    /// Until when, those that could not.
    left_alone: HashMap<WorkerName, Instant>,
    /// Those that could not, said once.
    complained: HashSet<WorkerName>,
}

/// The next step of a log.
#[derive(Debug)]
pub(super) enum Turn {
    First { path: PathBuf, wish: Wish },
    Further(Rotation),
}

/// What became of a step: a log with more to do, one that is done, or one that could not be rotated.
pub(super) type Outcome = io::Result<Option<Rotation>>;

#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    max_size: u64,
    keep: u32,
}

impl Rotations {
    pub(crate) fn new(directory: PathBuf) -> Self {
        let (waiting, under_way) = (VecDeque::new(), VecDeque::new());
        let (left_alone, complained) = (HashMap::new(), HashSet::new());
        Self { directory, waiting, under_way, in_hand: None, left_alone, complained }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A log is said to be too large. Whether it is will be looked at.
    pub(crate) fn ask(&mut self, worker: WorkerName, queue: &Queue) {
        let now = Instant::now();
        self.left_alone.retain(|_, until| *until > now);
        let waits = self.waiting.iter().any(|(name, _)| *name == worker);
        if !self.left_alone.contains_key(&worker) && !waits && !self.is_under_way(&worker) {
            self.waiting.push_back((worker, Wish { max_size: queue.log_max_size, keep: queue.log_keep }));
        }
    }

    /// Whether the rotation of this log has begun: then nobody else may rename or remove any of its files.
    pub(super) fn is_under_way(&self, worker: &WorkerName) -> bool {
        self.in_hand.as_ref() == Some(worker) || self.under_way.iter().any(|(name, _)| name == worker)
    }

    /// Whether the last rotation of this log could not be done.
    pub(super) fn has_failed(&self, worker: &WorkerName) -> bool {
        self.complained.contains(worker)
    }

    /// Whether a step is to be taken.
    pub(super) fn has_more(&self) -> bool {
        !self.under_way.is_empty() || !self.waiting.is_empty()
    }

    /// The next step to be taken; what became of it is to be told before another one is asked for.
    pub(super) fn next_turn(&mut self) -> Option<(WorkerName, Turn)> {
        let next = if self.under_way.len() < AT_ONCE { self.waiting.pop_front() } else { None };
        let (worker, turn) = if let Some((worker, wish)) = next {
            let path = current(&self.directory, &worker);
            (worker, Turn::First { path, wish })
        } else {
            let (worker, rotation) = self.under_way.pop_front()?;
            (worker, Turn::Further(rotation))
        };
        self.in_hand = Some(worker.clone());
        Some((worker, turn))
    }

    /// Hears what became of a step; returns what somebody should be told of it.
    pub(super) fn turn_is_over(&mut self, worker: WorkerName, outcome: Outcome) -> Option<io::Error> {
        self.in_hand = None;
        match outcome {
            Ok(Some(rotation)) => self.under_way.push_back((worker, rotation)),
            Ok(None) => drop(self.complained.remove(&worker)),
            Err(error) => {
                self.left_alone.insert(worker.clone(), Instant::now() + LEFT_ALONE);
                return self.complained.insert(worker).then_some(error);
            }
        }
        None
    }

    /// Does a small part of what is to be done; whether there is more.
    #[cfg(test)]
    pub(crate) fn step(&mut self) -> bool {
        if let Some((worker, turn)) = self.next_turn() {
            let _ = self.turn_is_over(worker, turn.take());
        }
        self.has_more()
    }
}

impl Turn {
    /// Takes the step, however long the disk takes for it.
    pub(super) fn take(self) -> Outcome {
        match self {
            Self::First { path, wish } => Rotation::begin(path, wish),
            Self::Further(rotation) => rotation.step(),
        }
    }
}

/// One log on the way.
#[derive(Debug)]
pub(super) struct Rotation {
    path: PathBuf,
    log: File,
    wish: Wish,
    phase: Phase,
    steps_left: u64,
}

#[derive(Debug)]
enum Phase {
    /// What an earlier rotation has not finished comes first.
    Before,
    /// To a file that does not count yet.
    Copying { copy: File, at: u64, until: u64 },
    /// Nothing is to be kept of it.
    Discarding { until: u64 },
    /// What has been copied is removed.
    Removing,
}

impl Rotation {
    fn begin(path: PathBuf, wish: Wish) -> Outcome {
        let Some(log) = worker_log::open(&path, OpenOptions::new().read(true).write(true))? else { return Ok(None) };
        let steps_left = log_cut::most_steps(log.metadata()?.len());
        let log = Self { path, log, wish, phase: Phase::Before, steps_left };
        if !log.is_too_large()? && log_cut::is_settled(&log.log, &log.path)? {
            return Ok(None);
        }
        // A file system that takes no note of positions gets no rotation under way; the next start renames the file.
        log.mark()?.set(&log.log)?;
        gone(fs::remove_file(unfinished(&log.path)))?;
        Ok(Some(log))
    }

    /// By what it takes on the disk, which its length exceeds where there is a hole.
    fn is_too_large(&self) -> io::Result<bool> {
        let log = self.log.metadata()?;
        Ok(log.len().min(log.blocks() * 512) > self.wish.max_size)
    }

    /// Its name for what is written to it, which no copy of another file has.
    fn mark(&self) -> io::Result<Mark> {
        if let Some(mark) = Mark::written(&self.log)? {
            return Ok(mark);
        }
        let mark = Mark::of(&self.log)?;
        let copy = worker_log::open(&older(&self.path, 1), OpenOptions::new().read(true))?;
        let is_taken = copy.map(|copy| Extent::of(&copy)).transpose()?.is_some_and(|copy| copy.stream == mark.stream);
        Ok(if is_taken { Mark::new() } else { mark })
    }

    fn step(mut self) -> Outcome {
        if self.steps_left == 0 {
            gone(fs::remove_file(unfinished(&self.path)))?;
            return Err(log_cut::never_done());
        }
        self.steps_left -= 1;
        match &mut self.phase {
            Phase::Before => {
                if log_cut::step(&self.log, &self.path)? {
                    return Ok(Some(self));
                }
                let until = (self.log.metadata()?.len().saturating_sub(1)) / BLOCK * BLOCK;
                if !self.is_too_large()? || until == 0 || hole(&self.log)? >= until {
                    return Ok(None);
                }
                self.phase = if self.wish.keep == 0 {
                    make_room(&self.path, 0)?;
                    Phase::Discarding { until }
                } else {
                    self.copying(until)?
                };
            }
            Phase::Discarding { until } => {
                let from = hole(&self.log)?;
                if from < *until {
                    log_cut::punch(&self.log, from, *until)?;
                } else {
                    self.phase = Phase::Removing;
                }
            }
            Phase::Copying { copy, at, until } if *at < *until => {
                // On the disk before it is removed anywhere: what comes after this is in the journal in this order.
                let copied = io::copy(&mut (&self.log).take(PIECE.min(*until - *at)), copy)
                    .and_then(|copied| copy.sync_data().map(|()| copied));
                match copied {
                    Ok(0) => return self.abandon(),
                    Ok(copied) => *at += copied,
                    Err(error) => {
                        // A half copy would take what little space there is.
                        gone(fs::remove_file(unfinished(&self.path)))?;
                        return Err(error);
                    }
                }
            }
            Phase::Copying { .. } => {
                // Somebody has renamed or removed this one, and a new process may have begun another.
                if !is_at(&self.log, &self.path)? {
                    return self.abandon();
                }
                make_room(&self.path, self.wish.keep)?;
                fs::rename(unfinished(&self.path), older(&self.path, 1))?;
                self.phase = Phase::Removing;
            }
            Phase::Removing => {
                if !is_at(&self.log, &self.path)? || !log_cut::step(&self.log, &self.path)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(self))
    }

    fn copying(&mut self, until: u64) -> io::Result<Phase> {
        let (mark, at) = (Mark::of(&self.log)?, hole(&self.log)?);
        let oldest = older(&self.path, self.wish.keep);
        let is_full = (1..=self.wish.keep).all(|number| older(&self.path, number).exists());
        let freed = if is_full { oldest.symlink_metadata()?.blocks() * 512 } else { 0 };
        if free(&self.log)?.saturating_add(freed) < until - at + SPARE {
            return Err(io::Error::new(ErrorKind::StorageFull, "no room on the disk for a copy"));
        }
        let copy = OpenOptions::new().write(true).create_new(true).mode(0o640).open(unfinished(&self.path))?;
        if !log_cut::shows_holes(&copy)? {
            gone(fs::remove_file(unfinished(&self.path)))?;
            return Err(io::Error::new(ErrorKind::Unsupported, "this file system shows no holes"));
        }
        // Now rather than when it is needed: while the copy is made there is no more on the disk than afterwards.
        if is_full {
            fs::remove_file(oldest)?;
        }
        let base = mark.base + at;
        Mark { base, cutting: 0, removed: base, ..mark }.set(&copy)?;
        self.log.seek(SeekFrom::Start(at))?;
        Ok(Phase::Copying { copy, at, until })
    }

    fn abandon(self) -> Outcome {
        gone(fs::remove_file(unfinished(&self.path)))?;
        Ok(None)
    }
}

/// Bytes that its file system still takes; as many as there may be where it does not say.
fn free(file: &File) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(file)?;
    Ok(if disk.f_blocks == 0 { u64::MAX } else { disk.f_bavail.saturating_mul(disk.f_frsize) })
}

/// Whether the file is still the one with this name.
fn is_at(log: &File, path: &Path) -> io::Result<bool> {
    let (here, there) = (log.metadata()?, path.symlink_metadata());
    Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())))
}

#[cfg(test)]
mod odd_tests;
#[cfg(test)]
mod tests;
