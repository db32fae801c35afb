//! A private supervisor for the bench: its directories, its processes, and nothing of it left afterwards.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use etl_shared::{
    WorkerName,
    api::{FleetStatus, WorkerState},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    Bench,
    outcome::{Doing, Outcome},
    status,
};

/// What is written into the configuration besides the directories and the API's port.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) size: usize,
    pub(crate) sections: String,
}

/// A supervisor and everything that it has started.
#[derive(Debug)]
pub(crate) struct Supervisor {
    program: PathBuf,
    size: usize,
    /// Sockets, leases and flight records: in memory, as below /run.
    memory: TempDir,
    /// Logs and state: on a disk, as below /var. It stays until the bench ends: a file system that has just deleted
    /// thousands of files makes new ones slowly, which would be the next supervisor's time.
    disk: PathBuf,
    brain: Option<Child>,
}

impl Supervisor {
    /// Writes the configuration; nothing runs yet.
    pub(crate) fn prepare(bench: &Bench, memory: TempDir, fleet: &Fleet) -> Outcome<Self> {
        let disk = tempfile::tempdir_in(bench.disk.path())?.keep();
        let this = Self { program: bench.program("etl-supervisor")?, size: fleet.size, memory, disk, brain: None };
        let text = format!(
            "tenants = \"1..{}\"\n\n[runtime]\ndirectory = {}\nlog_directory = {}\nstate_directory = {}\n\n\
             [api]\nlisten = \"127.0.0.1:0\"\n\n{}",
            fleet.size,
            quoted(&this.memory.path().join("run")),
            quoted(&this.disk.join("log")),
            quoted(&this.disk.join("state")),
            fleet.sections,
        );
        fs::write(this.configuration(), text).doing("write the configuration")?;
        Ok(this)
    }

    fn configuration(&self) -> PathBuf {
        self.memory.path().join("config.toml")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.memory.path().join("run/api.sock")
    }

    /// Executes `etl-supervisor run`.
    pub(crate) fn launch(&mut self) -> Outcome<()> {
        let said = File::options().create(true).append(true).open(self.disk.join("said"))?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(self.configuration());
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        // Ctrl-C is for the bench, which then ends the supervisor in its own order.
        command.process_group(0);
        self.brain = Some(command.spawn().doing(self.program.display())?);
        Ok(())
    }

    /// The combined status as it comes over the socket.
    pub(crate) fn body(&self) -> Outcome<Vec<u8>> {
        status::body(&self.socket())
    }

    pub(crate) fn status(&self) -> Outcome<FleetStatus> {
        status::parse(&self.body()?)
    }

    /// The status, when every worker is RUNNING in it; otherwise what it says.
    pub(crate) fn all_running(&self) -> Result<(FleetStatus, BTreeMap<WorkerName, i32>), String> {
        let status = self.status().map_err(|error| error.to_string())?;
        let running = status::running(&status);
        let counted = status.states.get(&WorkerState::Running).copied().unwrap_or(0);
        if running.len() == self.size && counted == self.size {
            Ok((status, running))
        } else {
            Err(format!(
                "{} of {} workers have a process and are RUNNING; states {:?}",
                running.len(),
                self.size,
                status.states
            ))
        }
    }

    /// SIGKILL for the brain alone.
    pub(crate) fn kill_brain(&mut self) -> Outcome<()> {
        if let Some(mut brain) = self.brain.take() {
            brain.kill().doing("kill the brain")?;
            brain.wait().doing("reap the brain")?;
        }
        Ok(())
    }

    /// Where the API listens for bearers of a token; it chose the port itself and said so.
    pub(crate) fn address(&self) -> Outcome<SocketAddr> {
        let said = fs::read_to_string(self.disk.join("said")).doing("read what the supervisor said")?;
        let address = said.lines().rev().filter(|line| line.contains("admin API")).find_map(|line| {
            let rest = &line[line.find("127.0.0.1:")?..];
            rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next()?.parse().ok()
        });
        address.ok_or_else(|| "the supervisor has not said where its API listens".into())
    }

    /// The last lines that brain and keeper have written.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(self.disk.join("said")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// First politely, as Ctrl-C would; then whatever is still there is killed.
    fn end(&mut self) {
        if let Some(mut brain) = self.brain.take() {
            let _ = kill(pid_of(&brain), Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(30);
            while matches!(brain.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            let _ = brain.kill();
            let _ = brain.wait();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = kill(pid, Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every process with our directory in its arguments or in its environment, where a worker has it.
    fn processes(&self) -> Vec<Pid> {
        let ours = self.memory.path().as_os_str().as_bytes();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        let named = |pid: &i32| {
            ["cmdline", "environ"].into_iter().any(|file| {
                fs::read(format!("/proc/{pid}/{file}"))
                    .is_ok_and(|text| text.windows(ours.len()).any(|part| part == ours))
            })
        };
        pids.filter(named).map(Pid::from_raw).collect()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

/// A path as the configuration wants it.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

fn pid_of(process: &Child) -> Pid {
    Pid::from_raw(i32::try_from(process.id()).unwrap_or(i32::MAX))
}

/// A directory in memory that goes away by itself.
pub(crate) fn memory_directory() -> Outcome<TempDir> {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("etl-bench-");
        builder
    };
    let there = ["/run", "/dev/shm"].into_iter().find_map(|parent| builder().tempdir_in(Path::new(parent)).ok());
    let there = there.ok_or("neither /run nor /dev/shm can be written")?;
    // Workers are users of their own, and pass through.
    fs::set_permissions(there.path(), fs::Permissions::from_mode(0o711))?;
    Ok(there)
}
