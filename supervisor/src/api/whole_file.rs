//! A small file that is replaced as a whole, readable by nobody else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

/// A change waits no longer for its turn, or for the disk: somebody waits for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// All or nothing, also when the power fails in between. Waits for the disk.
pub(super) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    // What an interrupted write left behind may have other permissions.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// What a change that was not written in time is told.
pub(super) fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the disk has not answered for {} seconds", PATIENCE.as_secs()))
}

/// What a change is told that comes too late.
pub(super) fn stopping() -> io::Error {
    io::Error::other("the supervisor is stopping")
}
