//! The supervisor under test: the real binary with directories of its own.

use std::{
    fmt::Write,
    fs::{self, OpenOptions},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use etl_shared::{
    TenantId,
    api::{CreateToken, CreatedToken, FleetStatus, Role},
};
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    SOON, Setup, binaries, eventually, fleet,
    http::{Call, Reply},
    processes,
    scripted::{Home, open_to},
    stack::blocking,
};

/// How long a command may take before its test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// User ids of each supervisor.
pub(crate) const USERS_EACH: u32 = 2048;

/// Path of the combined status.
pub const STATUS: &str = "/api/v1/admin/workers/status";

/// A supervisor; brain, keeper and workers are killed with this value.
pub struct Supervisor {
    /// Where its scripted workers read and write.
    pub home: Home,
    brain: Option<Child>,
    arguments: Vec<String>,
    port: u16,
    first_user: u32,
    directory: TempDir,
}

/// What a command printed.
#[derive(Debug, Clone)]
pub struct Printed {
    /// Its exit code, -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Supervisor {
    /// Starts one and waits until it answers.
    pub async fn start(setup: &Setup) -> Self {
        Self::start_prepared(setup, |_| ()).await
    }

    /// The same, with the scripted workers' plans written before the first of them starts.
    pub async fn start_prepared(setup: &Setup, prepare: impl FnOnce(&Home)) -> Self {
        let mut supervisor = Self::prepare(setup);
        prepare(&supervisor.home);
        supervisor.start_brain().await;
        supervisor
    }

    /// Writes the configuration and starts nothing.
    pub fn prepare(setup: &Setup) -> Self {
        // Not below $TMPDIR, which may be long: a socket's path has 107 bytes at most.
        let directory = tempfile::Builder::new().prefix("etl-").tempdir_in("/tmp").expect("a temporary directory");
        // Workers are other users, and what is theirs lies below it.
        open_to(directory.path(), 0o711);
        let home = Home::create(&directory.path().join("home"));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let supervisor = Self { home, brain: None, arguments: Vec::new(), port, first_user: unused_users(), directory };
        supervisor.configure(setup);
        supervisor
    }

    /// Adds arguments to `run`, for the next start.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Writes another configuration into the same file.
    pub fn configure(&self, setup: &Setup) {
        fs::write(self.config(), setup.text(self.directory.path(), self.port, self.first_user))
            .expect("a configuration can be written");
    }

    /// Starts the brain, again or for the first time, and waits until it answers.
    #[track_caller]
    pub fn start_brain(&mut self) -> impl Future<Output = FleetStatus> {
        self.launch_brain();
        self.until("the supervisor answers", |_| true)
    }

    /// Starts the brain without waiting for it.
    pub fn launch_brain(&mut self) {
        assert!(!self.brain_is_alive(), "the brain runs already");
        self.brain = Some(self.launch());
    }

    /// One more `etl-supervisor run` on the same configuration; its output goes to the same file.
    pub fn launch(&self) -> Child {
        let output = OpenOptions::new().create(true).append(true).open(self.output()).expect("a file for the output");
        let errors = output.try_clone().expect("a descriptor");
        Command::new(binaries::supervisor())
            .arg("run")
            .args(&self.arguments)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("the supervisor can be started")
    }

    /// Runs another command of the supervisor's binary.
    pub async fn cli(&self, arguments: &[&str]) -> Printed {
        let mut command = Command::new(binaries::supervisor());
        command.args(arguments).arg("--config").arg(self.config()).stdin(Stdio::null());
        printed(command).await
    }

    /// The same, and it must succeed.
    pub async fn cli_ok(&self, arguments: &[&str]) -> String {
        let printed = self.cli(arguments).await;
        assert_eq!(printed.code, 0, "etl-supervisor {arguments:?}: {printed:?}");
        printed.stdout
    }

    /// Sends a request over the unix socket.
    pub async fn socket(&self, call: Call) -> io::Result<Reply> {
        call.to_socket(&self.run_directory().join("api.sock")).await
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same for a browser.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Sends a request over TCP.
    pub async fn tcp(&self, call: Call) -> Reply {
        self.tcp_result(call).await.expect("the API answers over TCP")
    }

    /// The same where it may not answer.
    pub async fn tcp_result(&self, call: Call) -> io::Result<Reply> {
        call.to_address(&format!("127.0.0.1:{}", self.port)).await
    }

    /// Makes an API token.
    pub async fn token(&self, role: Role, tenant: Option<i64>) -> String {
        let tenant_id = tenant.and_then(|tenant| TenantId::try_from(tenant).ok());
        let wanted = CreateToken { name: format!("{role:?} {tenant:?}"), role, tenant_id };
        let body = serde_json::to_value(wanted).expect("a request has a JSON form");
        let reply = self.socket(Call::post("/api/v1/admin/tokens", body)).await.expect("the socket answers");
        assert!((200..300).contains(&reply.status), "no token: {reply:?}");
        reply.json::<CreatedToken>().token
    }

    /// Starts, stops or restarts: one tenant, or everybody.
    pub async fn control(&self, action: &str, tenant: Option<i64>) {
        let call = match tenant {
            Some(tenant) => {
                Call::post("/api/v1/admin/workers/tenant/control", json!({"action": action, "tenant_id": tenant}))
            }
            None => Call::post("/api/v1/admin/workers/control", json!({"action": action})),
        };
        let reply = self.socket(call).await.expect("the API answers over its socket");
        assert!((200..300).contains(&reply.status), "{action} {tenant:?}: {reply:?}");
    }

    /// The combined status.
    pub async fn status(&self) -> Result<FleetStatus, String> {
        let reply = self.socket(Call::get(STATUS)).await.map_err(|error| error.to_string())?;
        if reply.status != 200 {
            return Err(format!("{reply:?}"));
        }
        serde_json::from_str(&reply.body).map_err(|error| format!("{error}: {}", reply.body))
    }

    /// Waits until the status satisfies a condition; returns that status.
    #[track_caller]
    pub fn until(
        &self,
        what: impl Into<String>,
        condition: impl FnMut(&FleetStatus) -> bool,
    ) -> impl Future<Output = FleetStatus> {
        self.until_within(what, SOON, condition)
    }

    /// The same with a time of one's own.
    #[track_caller]
    pub fn until_within(
        &self,
        what: impl Into<String>,
        within: Duration,
        mut condition: impl FnMut(&FleetStatus) -> bool,
    ) -> impl Future<Output = FleetStatus> {
        eventually(what, within, async move || {
            let status = self.status().await.map_err(|error| format!("{error}\n{}", self.tails()));
            assert!(status.is_ok() || self.brain_is_alive(), "the brain has ended:\n{}", self.tails());
            let status = status?;
            if condition(&status) {
                return Ok(status);
            }
            Err(format!("\n{}\n{}", fleet::summary(&status), self.tails()))
        })
    }

    /// Waits until all of these tenants have a RUNNING worker.
    #[track_caller]
    pub fn until_running(&self, tenants: &[i64]) -> impl Future<Output = FleetStatus> {
        let what = format!("workers of tenants {tenants:?} are RUNNING");
        let tenants = tenants.to_vec();
        self.until(what, move |status| fleet::running(status, &tenants))
    }

    /// The brain's process.
    pub fn brain_pid(&self) -> i32 {
        let child = self.brain.as_ref().expect("the brain was started");
        i32::try_from(child.id()).expect("a pid is small")
    }

    /// Whether the brain runs.
    pub fn brain_is_alive(&self) -> bool {
        self.brain.as_ref().is_some_and(|_| processes::alive(self.brain_pid()))
    }

    /// Kills the brain and waits until it is gone.
    pub fn kill_brain(&mut self) {
        if let Some(mut brain) = self.brain.take() {
            let _ = brain.kill();
            let _ = brain.wait();
        }
    }

    /// Kills the keeper.
    pub async fn kill_keeper(&self) -> i32 {
        let status = self.status().await.expect("a status");
        let keeper = status.supervisor.keeper_pid.expect("there is a keeper");
        processes::signal(keeper, Signal::SIGKILL);
        keeper
    }

    /// Sends a signal to the brain.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.brain_pid(), signal);
    }

    /// Waits until the brain has ended.
    #[track_caller]
    pub fn ended(&mut self) -> impl Future<Output = ExitStatus> {
        let (tails, mut brain) = (self.output(), self.brain.take().expect("the brain was started"));
        eventually("the brain ends", SOON, async move || match brain.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}\n{}", tail(&tails))),
        })
    }

    /// Every process of this supervisor: brain, keeper, workers and whatever these have started.
    pub fn processes(&self) -> Vec<i32> {
        processes::using(self.directory.path())
    }

    /// Its own directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its runtime directory.
    pub fn run_directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    /// What brain and keeper have written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.output()).unwrap_or_default()
    }

    fn output(&self) -> PathBuf {
        self.directory.path().join("output")
    }

    /// The last lines of every log.
    fn tails(&self) -> String {
        let mut text = format!("--- supervisor\n{}", tail(&self.output()));
        for entry in fs::read_dir(self.directory.path().join("log")).into_iter().flatten().flatten() {
            let _ = write!(text, "--- {}\n{}", entry.file_name().display(), tail(&entry.path()));
        }
        text
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[allow(clippy::print_stderr, reason = "shown by the test runner together with the failure")]
            {
                eprintln!("{}", self.tails());
            }
        }
        self.kill_brain();
        processes::kill_using(self.directory.path());
    }
}

/// The first of some user ids that no other supervisor of the tests has at this time.
fn unused_users() -> u32 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let (process, supervisor) = (std::process::id() % 16_384, TAKEN.fetch_add(1, Ordering::Relaxed) % 32);
    1_000_000_000 + (process * 32 + supervisor) * USERS_EACH
}

/// Runs a command to its end.
pub async fn printed(mut command: Command) -> Printed {
    let shown = format!("{command:?}");
    let output = timeout(PATIENCE, blocking(move || command.output())).await;
    let output = output.unwrap_or_else(|_| panic!("{shown} has not ended within {PATIENCE:?}"));
    let output = output.expect("the program can be started");
    Printed {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().fold(String::new(), |all, line| all + line + "\n")
}
