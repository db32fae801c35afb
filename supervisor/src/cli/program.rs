//! Finds the program of a command template where the keeper would find it.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::settings::Queue;

/// Searched after the directory of our own program, unless the template names a `PATH`.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file that would be executed, or what is wrong with the command.
pub(super) fn find(queue: &Queue) -> Result<PathBuf, String> {
    let name = queue.command.first().map_or("", String::as_str);
    if name.contains('/') {
        let path = PathBuf::from(name);
        return executable(&path).map(|()| path).map_err(|error| format!("{name} cannot be executed: {error}"));
    }
    let search = queue.environment.get("PATH").map_or_else(search_path, OsString::from);
    let found = env::split_paths(&search).map(|directory| directory.join(name)).find(|path| executable(path).is_ok());
    found.ok_or_else(|| format!("there is no program {name} in {}", search.display()))
}

fn search_path() -> OsString {
    let mut search = OsString::new();
    // Our own programs are installed side by side.
    if let Some(own) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        search.push(own);
        search.push(":");
    }
    search.push(SYSTEM_PATH);
    search
}

fn executable(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(io::ErrorKind::PermissionDenied.into())
}
