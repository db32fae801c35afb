//! The programs that are compared.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use system_tests::platform::queue_of;

use super::stage::{Stage, TENANT};
use crate::{
    Bench,
    outcome::{Doing, Outcome},
};

/// Debian's interpreter, for which Debian's packages are.
const PYTHON: &str = "/usr/bin/python3";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Ours,
    OursOneByOne,
    PythonOneByOne,
    PythonBatching,
}

/// A contender that does not outlive the bench.
#[derive(Debug)]
pub(super) struct Running(Child);

impl Contender {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "transform-worker",
            Self::OursOneByOne => "transform-worker --batch 1",
            Self::PythonOneByOne => "Python (pika, psycopg2), a message a transaction",
            Self::PythonBatching => "Python (pika, psycopg2), 50 a transaction",
        }
    }

    pub(super) fn start(self, bench: &Bench, stage: &Stage<'_>) -> Outcome<Running> {
        let queue = queue_of(TENANT);
        let mut command = match self {
            Self::Ours | Self::OursOneByOne => {
                let mut command = Command::new(bench.program("transform-worker")?);
                command.args(["--queue", &queue]);
                if self == Self::OursOneByOne {
                    command.args(["--batch", "1"]);
                }
                command
            }
            Self::PythonOneByOne => peer("one_by_one.py", &queue),
            Self::PythonBatching => peer("batching.py", &queue),
        };
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("AMQP_URL", stage.broker())
            .env("DATABASE_URL", stage.database());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Running(command.spawn().doing(self.name())?))
    }
}

fn peer(script: &str, queue: &str) -> Command {
    let mut command = Command::new(PYTHON);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peers").join(script)).arg(queue);
    command
}

impl std::ops::Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl Running {
    /// An error where it has ended.
    pub(super) fn still_runs(&mut self) -> Result<(), String> {
        match self.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("it has ended: {status}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
