//! The same workers without a supervisor: what the machine itself needs to start and replace them.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

use crate::{
    Bench,
    born::Births,
    measure::{Samples, milliseconds, seconds},
    outcome::{Doing, Outcome},
    record::{PATH_VARIABLE, now},
    report::Report,
    supervisor::memory_directory,
};

/// A loop that starts trivial workers and waits for them.
struct Loop {
    program: std::path::PathBuf,
    births: Births,
    pids: BTreeSet<i32>,
}

pub(crate) fn run(bench: &Bench, report: &mut Report, size: usize) -> Outcome<()> {
    let directory = memory_directory()?;
    let births = Births::create(directory.path().join("born"))?;
    let mut workers = Loop { program: bench.program("trivial-worker")?, births, pids: BTreeSet::new() };
    let limit = Duration::from_mins(1);

    let began = now();
    for _ in 0..size {
        workers.start()?;
    }
    let (_, last) = workers.births.wait_for_all(&bench.patience, 0, size, limit)?;
    report.context(format!("bare loop: {size} workers started"), seconds(began, last), "s");

    let mut replaced = Samples::default();
    for _ in 0..crate::supervise::SINGLE_KILLS {
        let before = workers.births.count()?;
        let Some(pid) = workers.pids.first().copied() else { break };
        let killed = now();
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        workers.replace_one()?;
        replaced.add(milliseconds(killed, workers.births.wait_for(&bench.patience, before)?.at));
    }
    report.context("bare loop: SIGKILL → successor's main(), median", replaced.median(), "ms");

    let before = workers.births.count()?;
    let killed = now();
    for pid in &workers.pids {
        kill(Pid::from_raw(*pid), Signal::SIGKILL)?;
    }
    for _ in 0..size {
        workers.replace_one()?;
    }
    let (_, last) = workers.births.wait_for_all(&bench.patience, before, before + size, limit)?;
    report.context(format!("bare loop: {size} killed at once, all back"), seconds(killed, last), "s");
    Ok(())
}

impl Loop {
    fn start(&mut self) -> Outcome<()> {
        let worker = spawn(&self.program, self.births.path())?;
        self.pids.insert(i32::try_from(worker.id()).unwrap_or(i32::MAX));
        Ok(())
    }

    /// Waits for any of them to end and starts another.
    fn replace_one(&mut self) -> Outcome<()> {
        let ended = waitpid(None, None).doing("wait for a worker")?;
        if let Some(pid) = ended.pid() {
            self.pids.remove(&pid.as_raw());
        }
        self.start()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        for pid in &self.pids {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        while !self.pids.is_empty() {
            match waitpid(None, None::<WaitPidFlag>) {
                Ok(ended) => ended.pid().map(|pid| self.pids.remove(&pid.as_raw())),
                Err(Errno::EINTR) => None,
                Err(_) => return,
            };
        }
    }
}

/// With `posix_spawn`, which costs the same however large this program is.
fn spawn(program: &Path, births: &Path) -> Outcome<Child> {
    let mut command = Command::new(program);
    command.env(PATH_VARIABLE, births).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().doing(program.display())
}
