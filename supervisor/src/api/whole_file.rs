//! A small file that is replaced as a whole, readable by nobody else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// All or nothing, also when the power fails in between.
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
