//! Starts a keeper that outlives whoever started it.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{client::listener, raw};
use crate::settings::Runtime;

/// How long a keeper may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// So much of what it printed is shown when it fails.
const TAIL: u64 = 2000;

/// What speaks to a service manager or of its gifts, and is not the keeper's to use.
const NOT_ITS_OWN: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "CREDENTIALS_DIRECTORY",
];

/// No keeper could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file for what it prints cannot be opened.
    #[error("cannot open the keeper's log file {}", path.display())]
    Log {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Our own program cannot be executed.
    #[error("cannot execute {} for the keeper", program.display())]
    Execute {
        /// Our own program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended before it listened.
    #[error("the keeper ended at once ({status}); its last words in {}:\n{tail}", log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it printed.
        tail: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// It does neither listen nor end.
    #[error("the keeper does not listen after {LISTENS_WITHIN:?}; its last words in {}:\n{tail}", log.display())]
    Silent {
        /// What it printed.
        tail: String,
        /// Where the rest is.
        log: PathBuf,
    },
}

/// Starts our own program as a keeper in a session of its own, and waits until somebody listens at the keeper's socket: that
/// one, or another one that was faster.
pub async fn start_detached(config_path: &Path, runtime: &Runtime) -> Result<(), StartError> {
    // Not by name: after an upgrade the name belongs to another program, or to none.
    start_detached_from(Path::new("/proc/self/exe"), config_path, runtime).await
}

/// The same from a program that is not ours, for whoever embeds this library.
pub async fn start_detached_from(program: &Path, config_path: &Path, runtime: &Runtime) -> Result<(), StartError> {
    let path = runtime.log_directory.join("keeper.log");
    let output = open_log(&path).map_err(|source| StartError::Log { path: path.clone(), source })?;
    let before = output.metadata().map_or(0, |log| log.len());
    let mut command = Command::new(program);
    command.arg0("etl-supervisor");
    // It changes its directory, and so may we have.
    let config_path = std::path::absolute(config_path).unwrap_or_else(|_| config_path.to_owned());
    command.arg("keeper").arg("--config").arg(config_path).current_dir("/").stdin(Stdio::null());
    for variable in NOT_ITS_OWN {
        command.env_remove(variable);
    }
    let error = |source| StartError::Execute { program: program.to_owned(), source };
    command.stderr(output.try_clone().map_err(error)?).stdout(output);
    raw::start_as_daemon(&mut command);
    let mut process = command.spawn().map_err(error)?;

    let socket = runtime.keeper_socket();
    let until = Instant::now() + LISTENS_WITHIN;
    loop {
        // In this order: one that finds another keeper at work ends, and that is as good.
        let ended = process.try_wait().ok().flatten();
        if let Some(keeper) = listener(&socket) {
            if ended.is_none() && u32::try_from(keeper.as_raw()) == Ok(process.id()) {
                reap_some_day(process);
            } else {
                // Left alone, it could take the other one's place much later, when nobody expects it.
                let _ = process.kill();
                let _ = process.wait();
            }
            return Ok(());
        }
        if let Some(status) = ended {
            return Err(StartError::Ended { status, tail: tail(&path, before), log: path });
        }
        if Instant::now() >= until {
            reap_some_day(process);
            return Err(StartError::Silent { tail: tail(&path, before), log: path });
        }
        sleep(LOOK_EVERY).await;
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// The end of what was printed after the first `before` bytes.
fn tail(path: &Path, before: u64) -> String {
    let read = || {
        let mut log = File::open(path)?;
        let from = log.metadata()?.len().saturating_sub(TAIL).max(before);
        log.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_default()
}

/// A keeper usually outlives us; where it does not, it must not stay a zombie.
fn reap_some_day(mut process: Child) {
    let wait = move || match process.wait() {
        Ok(status) if status.success() => tracing::info!("the keeper has ended as asked"),
        Ok(status) => tracing::warn!(%status, "the keeper has ended"),
        Err(error) => tracing::warn!(%error, "the keeper's end was not seen"),
    };
    if let Err(error) = std::thread::Builder::new().name("keeper's end".to_owned()).spawn(wait) {
        tracing::warn!(%error, "nobody waits for the keeper's end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_printed_after_the_start_is_shown() {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), "old\nnew\n").unwrap();
        assert_eq!(tail(log.path(), 4), "new");
        std::fs::write(log.path(), "x".repeat(5000)).unwrap();
        assert_eq!(tail(log.path(), 4).len(), 2000);
        assert_eq!(tail(Path::new("/nonexistent"), 0), "");
    }
}
