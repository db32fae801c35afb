//! A brain that was started by root keeps as little of root as it can.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::geteuid;

use crate::{keeper, settings::Runtime};

/// Gives up every capability, unless what we have to read and write belongs to somebody else. A keeper that is started later has
/// them again, because user 0 executes it: this keeps a mistake from doing harm, and nobody who can execute a program.
pub(super) fn privileged(config: &Path, runtime: &Runtime) {
    if !geteuid().is_root() {
        return;
    }
    let needed = [config, &runtime.directory, &runtime.log_directory, &runtime.state_directory];
    let foreign = needed.into_iter().find(|path| fs::metadata(path).is_ok_and(|found| found.uid() != 0));
    if let Some(path) = foreign {
        tracing::info!(path = %path.display(), "capabilities kept: this is another user's");
        return;
    }
    if let Err(error) = keeper::give_up_capabilities() {
        tracing::warn!(%error, "capabilities not given up");
    }
}
