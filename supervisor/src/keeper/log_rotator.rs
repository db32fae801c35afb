//! Waits for the disk in the keeper's stead.
//!
//! Making a log smaller means waiting until the disk has what was copied of it, which takes a second a megabyte on a disk that is bad
//! enough, and meanwhile no worker of any tenant would be started, heard, reaped or killed. So a thread of its own takes the steps:
//! one thread, one step at a time, and only while there are any. The keeper's own thread never waits for that one: what the two
//! share is locked only to say which step is next and what became of it, never while one is taken.
//!
//! What makes a second thread sound in a process that starts others from its own memory is said in [`super::raw`], in `launch`.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::log_rotation::{Outcome, Rotations, Turn};

/// Enough for the steps, which copy within the kernel; most of it is never touched.
const STACK_BYTES: usize = 64 * 1024;

/// Rotations and whoever carries them out.
pub(super) struct LogRotator {
    shared: Arc<Mutex<Shared>>,
    /// How a step is taken. For tests, whose disk may be slow.
    take: fn(Turn) -> Outcome,
}

struct Shared {
    rotations: Rotations,
    /// Whether there is a thread that goes on until nothing is left to do.
    has_thread: bool,
}

impl LogRotator {
    pub(super) fn new(log_directory: PathBuf) -> Self {
        Self::taking_steps_by(Turn::take, log_directory)
    }

    fn taking_steps_by(take: fn(Turn) -> Outcome, log_directory: PathBuf) -> Self {
        let shared = Shared { rotations: Rotations::new(log_directory), has_thread: false };
        Self { shared: Arc::new(Mutex::new(shared)), take }
    }

    /// Looks at the rotations, and sees to it that what is to be done of them is. Whoever looks must not wait for the disk.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Rotations) -> T) -> T {
        let mut shared = lock(&self.shared);
        let seen = look(&mut shared.rotations);
        if shared.rotations.has_more() && !shared.has_thread {
            match self.start() {
                Ok(()) => shared.has_thread = true,
                // Nothing is lost by it: this is tried again as soon as anybody looks.
                Err(error) => tracing::warn!(%error, "no thread to rotate log files"),
            }
        }
        seen
    }

    fn start(&self) -> io::Result<()> {
        let (shared, take) = (Arc::clone(&self.shared), self.take);
        let thread = thread::Builder::new().name("log files".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || work(&shared, take)).map(drop)
    }
}

/// Takes step after step, until there are none.
fn work(shared: &Mutex<Shared>, take: fn(Turn) -> Outcome) {
    loop {
        let next = {
            let mut shared = lock(shared);
            let next = shared.rotations.next_turn();
            shared.has_thread = next.is_some();
            next
        };
        let Some((worker, turn)) = next else { return };
        let outcome = take(turn);
        let complaint = lock(shared).rotations.turn_is_over(worker.clone(), outcome);
        if let Some(error) = complaint {
            tracing::warn!(%worker, %error, "log file not rotated");
        }
    }
}

/// Whoever panics while it is locked ends the keeper; in tests, where that is not so, the rest is as good as it was.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
