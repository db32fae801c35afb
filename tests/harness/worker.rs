//! `transform-worker` alone, as somebody would start it by hand.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{Platform, SOON, binaries, eventually, platform::queue_of, processes};

/// A running worker; it is killed with this value.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    directory: TempDir,
}

/// How a worker is started.
#[derive(Debug, Clone)]
pub struct WorkerRun {
    amqp_url: Option<String>,
    database_url: Option<String>,
    arguments: Vec<String>,
}

impl WorkerRun {
    /// With the platform's addresses in its environment.
    pub fn on(platform: &Platform) -> Self {
        Self {
            amqp_url: Some(platform.broker.url().to_owned()),
            database_url: Some(platform.database.url().to_owned()),
            arguments: Vec::new(),
        }
    }

    /// With another address of the broker, or none.
    #[must_use]
    pub fn broker(mut self, url: Option<String>) -> Self {
        self.amqp_url = url;
        self
    }

    /// With another address of the database, or none.
    #[must_use]
    pub fn database(mut self, url: Option<String>) -> Self {
        self.database_url = url;
        self
    }

    /// With these arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Starts it.
    pub fn start(&self) -> Worker {
        let directory = tempfile::Builder::new().prefix("etl-worker-").tempdir().expect("a temporary directory");
        let file = |name: &str| File::create(directory.path().join(name)).expect("a file for the worker's output");
        let mut command = Command::new(binaries::worker());
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        for (name, url) in [("AMQP_URL", &self.amqp_url), ("DATABASE_URL", &self.database_url)] {
            if let Some(url) = url {
                command.env(name, url);
            }
        }
        let child = command.spawn().expect("the worker can be started");
        Worker { child, directory }
    }
}

impl Worker {
    /// Starts a worker on a tenant's own queue.
    pub fn of_tenant(platform: &Platform, tenant: i64) -> Self {
        Self::on_queue(platform, &queue_of(tenant))
    }

    /// Starts a worker on any queue.
    pub fn on_queue(platform: &Platform, queue: &str) -> Self {
        WorkerRun::on(platform).arguments(&["--queue", queue]).start()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid is small")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn wait(&mut self) -> impl Future<Output = ExitStatus> {
        self.wait_within(SOON)
    }

    /// The same with a time of one's own.
    #[track_caller]
    pub fn wait_within(&mut self, within: Duration) -> impl Future<Output = ExitStatus> {
        let path = self.directory.path().join("stderr");
        let child = &mut self.child;
        eventually("the worker ends", within, async move || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}; its log: {}", fs::read_to_string(&path).unwrap_or_default())),
        })
    }

    /// Asks it to leave and waits until it has, with code 0.
    #[track_caller]
    pub fn drain(mut self) -> impl Future<Output = ()> {
        self.signal(Signal::SIGTERM);
        async move {
            let status = self.wait().await;
            assert_eq!(status.code(), Some(0), "{status:?} (signal {:?})\n{}", status.signal(), self.log());
        }
    }

    /// What it wrote to its standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    /// What it wrote to its standard output.
    pub fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("stdout")).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            #[allow(clippy::print_stderr, reason = "shown by the test runner together with the failure")]
            for line in tail.iter().rev() {
                eprintln!("worker {} | {line}", self.pid());
            }
        }
    }
}
