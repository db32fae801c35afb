//! Keeps the logs of running workers small: what is old in a log is copied to `.log.1` and then removed from it, in small steps in
//! between of everything else. No byte is removed that has not been copied, and none stays twice, whenever the keeper is killed.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use etl_shared::WorkerName;

use super::{
    log_cut::{self, BLOCK},
    log_file::{gone, make_room, unfinished},
};
use crate::{
    settings::Queue,
    worker_log::{self, Mark, current, hole, older},
};

/// Copied at once: about a millisecond's work.
const PIECE: u64 = 1024 * 1024;

/// All logs that are to become smaller.
#[derive(Debug)]
pub(crate) struct Rotations {
    directory: PathBuf,
    waiting: VecDeque<(WorkerName, Wish)>,
    under_way: Option<(WorkerName, Rotation)>,
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
        Self { directory, waiting: VecDeque::new(), under_way: None, complained: HashSet::new() }
    }

    /// A log is said to be too large. Whether it is will be looked at.
    pub(crate) fn ask(&mut self, worker: WorkerName, queue: &Queue) {
        let known = self.waiting.iter().map(|(name, _)| name).chain(self.under_way.iter().map(|(name, _)| name));
        if !known.into_iter().any(|name| *name == worker) {
            self.waiting.push_back((worker, Wish { max_size: queue.log_max_size, keep: queue.log_keep }));
        }
    }

    /// Does a small part of what is to be done; whether there is more.
    pub(crate) fn step(&mut self) -> bool {
        let (worker, outcome) = match self.under_way.take() {
            Some((worker, rotation)) => {
                let outcome = rotation.step();
                (worker, outcome)
            }
            None => match self.waiting.pop_front() {
                Some((worker, wish)) => {
                    let outcome = Rotation::begin(current(&self.directory, &worker), wish);
                    (worker, outcome)
                }
                None => return false,
            },
        };
        match outcome {
            Ok(Some(rotation)) => self.under_way = Some((worker, rotation)),
            Ok(None) => drop(self.complained.remove(&worker)),
            Err(error) => {
                if self.complained.insert(worker.clone()) {
                    tracing::warn!(%worker, %error, "log file not rotated");
                }
            }
        }
        self.under_way.is_some() || !self.waiting.is_empty()
    }
}

/// One log on the way.
#[derive(Debug)]
struct Rotation {
    path: PathBuf,
    log: File,
    wish: Wish,
    phase: Phase,
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
        let log = Self { path, log, wish, phase: Phase::Before };
        if !log.is_too_large()? {
            return Ok(None);
        }
        // A file system that takes no note of positions gets no rotation under way; the next start renames the file.
        Mark::of(&log.log)?.set(&log.log)?;
        gone(fs::remove_file(unfinished(&log.path)))?;
        Ok(Some(log))
    }

    /// By what it takes on the disk, which its length exceeds where there is a hole.
    fn is_too_large(&self) -> io::Result<bool> {
        let log = self.log.metadata()?;
        Ok(log.len().min(log.blocks() * 512) > self.wish.max_size)
    }

    fn step(mut self) -> io::Result<Option<Self>> {
        match &mut self.phase {
            Phase::Before => {
                if log_cut::step(&self.log, &self.path)? {
                    return Ok(Some(self));
                }
                let until = (self.log.metadata()?.len().saturating_sub(1)) / BLOCK * BLOCK;
                if !self.is_too_large()? || until == 0 || hole(&self.log)? >= until {
                    return Ok(None);
                }
                self.phase = if self.wish.keep == 0 { Phase::Discarding { until } } else { self.copying(until)? };
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
                let copied = io::copy(&mut (&self.log).take(PIECE.min(*until - *at)), copy);
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
        // Now rather than when it is needed: while the copy is made there is no more on the disk than afterwards.
        if (1..=self.wish.keep).all(|number| older(&self.path, number).exists()) {
            fs::remove_file(older(&self.path, self.wish.keep))?;
        }
        let (mark, at) = (Mark::of(&self.log)?, hole(&self.log)?);
        let path = unfinished(&self.path);
        let copy = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
        Mark { stream: mark.stream, base: mark.base + at, cutting: 0 }.set(&copy)?;
        self.log.seek(SeekFrom::Start(at))?;
        Ok(Phase::Copying { copy, at, until })
    }

    fn abandon(self) -> io::Result<Option<Self>> {
        gone(fs::remove_file(unfinished(&self.path)))?;
        Ok(None)
    }
}

/// Whether the file is still the one with this name.
fn is_at(log: &File, path: &Path) -> io::Result<bool> {
    let (here, there) = (log.metadata()?, path.symlink_metadata());
    Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())))
}

#[cfg(test)]
mod tests;
