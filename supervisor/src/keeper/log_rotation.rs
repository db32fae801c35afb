//! Keeps the logs of running workers small: what is old in a log is copied to `.log.1` and then removed from it, in small steps in
//! between of everything else. No byte is removed that has not been copied, and none stays twice, whenever the keeper is killed.

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

/// Copied and written to the disk at once: a few milliseconds' work.
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
    /// Until when, those that could not.
    left_alone: HashMap<WorkerName, Instant>,
    /// Those that could not, said once.
    complained: HashSet<WorkerName>,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    max_size: u64,
    keep: u32,
}

impl Rotations {
    pub(crate) fn new(directory: PathBuf) -> Self {
        let (waiting, under_way) = (VecDeque::new(), VecDeque::new());
        Self { directory, waiting, under_way, left_alone: HashMap::new(), complained: HashSet::new() }
    }

    /// A log is said to be too large. Whether it is will be looked at.
    pub(crate) fn ask(&mut self, worker: WorkerName, queue: &Queue) {
        let now = Instant::now();
        self.left_alone.retain(|_, until| *until > now);
        let known = self.waiting.iter().map(|(name, _)| name).chain(self.under_way.iter().map(|(name, _)| name));
        if !self.left_alone.contains_key(&worker) && !known.into_iter().any(|name| *name == worker) {
            self.waiting.push_back((worker, Wish { max_size: queue.log_max_size, keep: queue.log_keep }));
        }
    }

    /// Does a small part of what is to be done; whether there is more.
    pub(crate) fn step(&mut self) -> bool {
        let next = if self.under_way.len() < AT_ONCE { self.waiting.pop_front() } else { None };
        let (worker, outcome) = if let Some((worker, wish)) = next {
            let outcome = Rotation::begin(current(&self.directory, &worker), wish);
            (worker, outcome)
        } else if let Some((worker, rotation)) = self.under_way.pop_front() {
            (worker, rotation.step())
        } else {
            return false;
        };
        match outcome {
            Ok(Some(rotation)) => self.under_way.push_back((worker, rotation)),
            Ok(None) => drop(self.complained.remove(&worker)),
            Err(error) => {
                self.left_alone.insert(worker.clone(), Instant::now() + LEFT_ALONE);
                if self.complained.insert(worker.clone()) {
                    tracing::warn!(%worker, %error, "log file not rotated");
                }
            }
        }
        !self.under_way.is_empty() || !self.waiting.is_empty()
    }
}

/// One log on the way.
#[derive(Debug)]
struct Rotation {
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
    fn begin(path: PathBuf, wish: Wish) -> io::Result<Option<Self>> {
        let Some(log) = worker_log::open(&path, OpenOptions::new().read(true).write(true))? else { return Ok(None) };
        let steps_left = log_cut::most_steps(log.metadata()?.len());
        let log = Self { path, log, wish, phase: Phase::Before, steps_left };
        if !log.is_too_large()? {
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

    fn step(mut self) -> io::Result<Option<Self>> {
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
                // A new process has begun a new file, and this one has another name by now.
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

    fn abandon(self) -> io::Result<Option<Self>> {
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
