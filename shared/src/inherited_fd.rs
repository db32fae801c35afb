//! Takes over a descriptor that the parent left open for this process.

#![allow(unsafe_code, reason = "taking ownership of a descriptor known only by its number has no safe form")]

use std::{
    collections::BTreeSet,
    env,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::Mutex,
};

static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// The descriptor whose number stands in the environment variable; `None` where it is not set, not open, or already taken.
pub(crate) fn take(variable: &str) -> Option<OwnedFd> {
    let number: RawFd = env::var(variable).ok()?.parse().ok()?;
    if number <= 2 {
        return None;
    }
    let mut taken = TAKEN.lock().ok()?;
    // A number that is not open would make the later close hit whatever took its place.
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).ok()?;
    if !taken.insert(number) {
        return None;
    }
    // SAFETY: the descriptor is open (checked above); the variable is set by the parent for a descriptor that it opened for
    // us and that nothing else in this process knows of; and `TAKEN` makes sure that it is given away once only.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}
