//! A keeper in a directory of its own, and a brain that says and hears what a test wants.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use etl_shared::WorkerName;
use etl_supervisor::{
    keeper::{
        Client, ClientError, Hello,
        protocol::{Report, Request, Scope},
    },
    settings::{Runtime, Settings},
};
use nix::{sys::signal::Signal, unistd::Pid};
use tempfile::TempDir;
use tokio::runtime;

/// Far more than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Directories and configuration of one keeper.
pub(crate) struct Place {
    directory: TempDir,
    first_user: u32,
}

/// The first of some user ids that no other keeper of the tests has at this time.
fn unused_users() -> u32 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    const EACH: u32 = 2048;
    let (process, place) = (std::process::id() % 16_384, TAKEN.fetch_add(1, Ordering::Relaxed) % 32);
    1_000_000_000 + (process * 32 + place) * EACH
}

impl Place {
    /// `templates`: the `[queues.*]` sections.
    pub(crate) fn new(templates: &str) -> Self {
        Self::within(tempfile::tempdir().unwrap(), templates)
    }

    /// The same on tmpfs, where a runtime directory belongs: on a disk, making three files a worker is what takes longest.
    pub(crate) fn in_memory(templates: &str) -> Self {
        Self::within(tempfile::tempdir_in("/dev/shm").unwrap(), templates)
    }

    fn within(directory: TempDir, templates: &str) -> Self {
        // Workers are other users, and what is theirs lies below it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let place = Self { directory, first_user: unused_users() };
        place.configure(templates);
        place
    }

    pub(crate) fn configure(&self, templates: &str) {
        let at = |name| self.path(name).display().to_string();
        let runtime = format!(
            "tenants = [1]\n[runtime]\ndirectory = {:?}\nlog_directory = {:?}\nstate_directory = {:?}\n",
            at("run"),
            at("log"),
            at("state")
        );
        let users = format!("uid_range = \"{}..{}\"\n", self.first_user, self.first_user + 2047);
        let text = if templates.contains("[isolation]\n") {
            runtime + &templates.replace("[isolation]\n", &format!("[isolation]\n{users}"))
        } else {
            runtime + "[isolation]\n" + &users + templates
        };
        fs::write(self.config(), text).unwrap();
    }

    /// The user of the first tenant that is started here.
    pub(crate) const fn first_user(&self) -> u32 {
        self.first_user
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Settings::load(&self.config()).unwrap().runtime
    }

    pub(crate) fn lease(&self, worker: &str) -> PathBuf {
        self.path("run/lease").join(worker)
    }

    /// What a worker has printed.
    pub(crate) fn log(&self, worker: &str) -> String {
        fs::read_to_string(self.path("log").join(format!("{worker}.log"))).unwrap_or_default()
    }

    /// Waits until a worker has printed a whole line that begins with this; the rest of the line.
    pub(crate) fn printed(&self, worker: &str, beginning: &str) -> String {
        let mut rest = None;
        wait_until(
            || format!("{worker} prints {beginning:?}; it printed: {}", self.log(worker)),
            || {
                let log = self.log(worker);
                let mut lines = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
                rest = lines.find_map(|line| line.strip_prefix(beginning)).map(str::to_owned);
                rest.is_some()
            },
        );
        rest.unwrap()
    }

    pub(crate) fn keeper_command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etl-supervisor"));
        command.args(["keeper", "--config"]).arg(self.config()).stdin(Stdio::null());
        command
    }

    /// Starts a keeper and waits until it listens.
    pub(crate) fn start(&self) -> Keeper {
        self.start_command(self.keeper_command())
    }

    /// Starts a keeper after some lines of shell in the same process.
    pub(crate) fn start_through(&self, script: &str) -> Keeper {
        let mut command = Command::new("sh");
        let keeper = self.keeper_command();
        command.args(["-c", &format!("{script}; exec \"$@\""), "sh"]).arg(keeper.get_program()).args(keeper.get_args());
        self.start_command(command)
    }

    fn start_command(&self, mut command: Command) -> Keeper {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.path("keeper.log")).unwrap();
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut keeper = Keeper { process };
        wait_until(
            || format!("the keeper listens; it printed: {}", fs::read_to_string(self.path("keeper.log")).unwrap()),
            || {
                assert!(keeper.process.try_wait().unwrap().is_none(), "the keeper ended: {:?}", self.keeper_log());
                Brain::try_connect(self).is_ok()
            },
        );
        keeper
    }

    pub(crate) fn keeper_log(&self) -> String {
        fs::read_to_string(self.path("keeper.log")).unwrap_or_default()
    }

    pub(crate) fn brain(&self) -> Brain {
        Brain::connect(self)
    }
}

/// A keeper's process; when it is dropped, it and its workers are gone.
pub(crate) struct Keeper {
    process: Child,
}

impl Keeper {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until(
            || "the keeper ends".to_owned(),
            || {
                status = self.process.try_wait().unwrap();
                status.is_some()
            },
        );
        status.unwrap()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Asked twice it kills everybody; killed itself it could not see to those who have left their worker.
        let until = Instant::now() + DEADLINE;
        while let Ok(None) = self.process.try_wait()
            && Instant::now() < until
        {
            let _ = nix::sys::signal::kill(self.pid(), Signal::SIGTERM);
            let _ = nix::sys::signal::kill(self.pid(), Signal::SIGCONT);
            sleep(Duration::from_millis(2));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A brain.
pub(crate) struct Brain {
    runtime: runtime::Runtime,
    client: Client,
    pub(crate) hello: Hello,
    /// Everything heard so far.
    heard: Vec<Report>,
}

impl Brain {
    /// Connects where another brain of this process has just been dropped: a process that another test is starting right now
    /// has a copy of its socket, until it executes its program.
    pub(crate) fn connect(place: &Place) -> Self {
        let mut brain = Err(ClientError::Silent);
        wait_until(
            || format!("a brain is let in\n{}", place.keeper_log()),
            || {
                brain = Self::try_connect(place);
                !matches!(brain, Err(ClientError::Refused(_)))
            },
        );
        brain.unwrap_or_else(|error| panic!("{error:?}\n{}", place.keeper_log()))
    }

    pub(crate) fn try_connect(place: &Place) -> Result<Self, ClientError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, hello) = runtime.block_on(Client::connect(&place.path("run/keeper.sock")))?;
        Ok(Self { runtime, client, hello, heard: Vec::new() })
    }

    pub(crate) fn say(&mut self, request: &Request) {
        let _context = self.runtime.enter();
        self.client.send(request, None).unwrap();
    }

    pub(crate) fn spawn(&mut self, worker: &str, incarnation: u64) {
        self.say(&Request::Spawn { worker: name(worker), incarnation });
    }

    pub(crate) fn spawn_with(&mut self, worker: &str, incarnation: u64, credentials: OwnedFd) {
        let _context = self.runtime.enter();
        self.client.send(&Request::Spawn { worker: name(worker), incarnation }, Some(credentials)).unwrap();
    }

    pub(crate) fn signal(&mut self, worker: &str, incarnation: u64, signal: Signal, scope: Scope) {
        self.say(&Request::Signal { worker: name(worker), incarnation, signal: signal as i32, scope });
    }

    pub(crate) fn noted(&mut self, worker: &str, incarnation: u64) {
        self.say(&Request::Noted { worker: name(worker), incarnation });
    }

    /// The next report, or the end of the conversation.
    pub(crate) fn hear(&mut self) -> Result<Report, ClientError> {
        let next = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, self.client.recv()).await });
        let report = next.unwrap_or_else(|_| panic!("nothing more was said after {:#?}", self.heard))?;
        self.heard.push(report.clone());
        Ok(report)
    }

    /// Hears until one is what the test looks for; earlier ones are passed over.
    pub(crate) fn until<T>(&mut self, mut pick: impl FnMut(&Report) -> Option<T>) -> T {
        loop {
            let report = self.hear().unwrap_or_else(|error| panic!("{error:?} after {:#?}", self.heard));
            if let Some(found) = pick(&report) {
                return found;
            }
        }
    }

    /// Spawns, and waits until the process runs; its pid.
    pub(crate) fn spawned(&mut self, worker: &str, incarnation: u64) -> Pid {
        self.spawn(worker, incarnation);
        self.until(|report| match report {
            Report::Spawned { worker: of, incarnation: which, pid, .. }
                if *of == name(worker) && *which == incarnation =>
            {
                Some(Pid::from_raw(*pid))
            }
            Report::SpawnFailed { .. } => panic!("{report:?}"),
            _ => None,
        })
    }

    /// Waits until a worker's exit is told.
    pub(crate) fn exited(&mut self, worker: &str) -> Report {
        self.until(|report| match report {
            Report::Exited { worker: of, .. } if *of == name(worker) => Some(report.clone()),
            _ => None,
        })
    }

    /// Everything that is told at the beginning.
    pub(crate) fn listing(&mut self) -> Vec<Report> {
        let mut listing = Vec::new();
        self.until(|report| {
            let end = *report == Report::Listed;
            if !end {
                listing.push(report.clone());
            }
            end.then_some(())
        });
        listing
    }

    /// How long the next report takes; for measuring.
    pub(crate) fn heard(&self) -> &[Report] {
        &self.heard
    }
}

pub(crate) fn name(worker: &str) -> WorkerName {
    worker.parse().unwrap()
}

/// Waits until something is true; fails with the last status where it does not become so.
pub(crate) fn wait_until(what: impl Fn() -> String, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain until {}", what());
        sleep(Duration::from_millis(2));
    }
}

/// Whether there is such a process and it has not begun to end: one that has runs nothing of its program any more.
pub(crate) fn lives(pid: Pid) -> bool {
    const EXITING: u64 = 4;
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(") ") else { return false };
    // State is the third field of the whole line, and the kernel's flags are the ninth.
    let flags: u64 = rest.split(' ').nth(6).unwrap().parse().unwrap();
    !rest.starts_with(['Z', 'X']) && flags & EXITING == 0
}

pub(crate) fn dies(pid: Pid) {
    wait_until(|| format!("process {pid} is gone"), || !lives(pid));
}
