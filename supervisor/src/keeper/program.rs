//! Which file the first word of a command means.
//!
//! It is found before anything is started, so that what is wrong can be said in full; `etl-supervisor check` asks here too.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::errno::Errno;

use crate::settings::Queue;

/// Searched after the directory of our own program.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// There is no program that could be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {}", errno.desc())]
pub struct NoProgram {
    /// What was tried, such as `execute /opt/app/worker`.
    pub step: String,
    /// Why it did not work.
    pub errno: Errno,
}

/// The file that this template executes.
pub fn of_template(queue: &Queue) -> Result<PathBuf, NoProgram> {
    let name = queue.command.first().map_or("", String::as_str);
    find(name, &search_path(queue, &own_search_path()))
}

/// Where the programs of this template are searched.
pub(super) fn search_path(queue: &Queue, own: &OsStr) -> OsString {
    queue.environment.get("PATH").map_or_else(|| own.to_owned(), OsString::from)
}

/// Where programs are searched unless the template names a `PATH`.
pub(super) fn own_search_path() -> OsString {
    let mut path = OsString::new();
    // Our own programs are installed side by side.
    if let Some(own) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        path.push(own);
        path.push(":");
    }
    path.push(SYSTEM_PATH);
    path
}

/// The file that is executed for `name`.
pub(super) fn find(name: &str, search_path: &OsStr) -> Result<PathBuf, NoProgram> {
    if name.contains('/') {
        let program = PathBuf::from(name);
        return match executable(&program) {
            Ok(()) => Ok(program),
            Err(errno) => Err(NoProgram { step: format!("execute {name}"), errno }),
        };
    }
    let mut refused = None;
    for directory in env::split_paths(search_path) {
        let program = directory.join(name);
        match executable(&program) {
            Ok(()) => return Ok(program),
            // As a shell does: one that may not be executed is passed over, and named when there is no other.
            Err(Errno::EACCES | Errno::EISDIR) if refused.is_none() => refused = Some(program),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(program) => NoProgram { step: format!("execute {}", program.display()), errno: Errno::EACCES },
        None => {
            NoProgram { step: format!("find the program {name} in {}", search_path.display()), errno: Errno::ENOENT }
        }
    })
}

fn executable(program: &Path) -> Result<(), Errno> {
    let metadata = fs::metadata(program).map_err(|error| errno_of(&error))?;
    if metadata.is_dir() {
        Err(Errno::EISDIR)
    } else if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        Err(Errno::EACCES)
    } else {
        Ok(())
    }
}

/// The system's number of an error of the standard library.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_be_run_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("plain"), "x").unwrap();
        let plain = directory.path().join("plain").display().to_string();
        let search = directory.path().as_os_str().to_owned();
        for (name, step, errno) in [
            ("plain", format!("execute {plain}"), Errno::EACCES),
            (plain.as_str(), format!("execute {plain}"), Errno::EACCES),
            ("absent", format!("find the program absent in {}", search.display()), Errno::ENOENT),
            ("/", "execute /".to_owned(), Errno::EISDIR),
            ("/absent/x", "execute /absent/x".to_owned(), Errno::ENOENT),
        ] {
            assert_eq!(find(name, &search), Err(NoProgram { step, errno }), "{name}");
        }
    }
}
