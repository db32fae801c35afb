//! The brain's line to the keeper: found, started where that is our business, and found again when it was lost.

use std::{os::fd::OwnedFd, path::PathBuf, time::Duration};

use etl_shared::{WorkerName, api::Wall};
use tokio::{
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{
    keeper::{
        self, Client, ClientError, Hello,
        protocol::{Report, Request},
    },
    settings::Runtime,
};

/// Delay before a lost keeper is looked for again, when the first look found none.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The same for one of another version: somebody has to restart it.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Why there is no line.
#[derive(Debug)]
struct NoLine {
    problem: String,
    look_again: Duration,
}

impl From<String> for NoLine {
    fn from(problem: String) -> Self {
        Self { problem, look_again: LOOK_AGAIN }
    }
}

/// What comes over the line.
#[derive(Debug)]
pub(super) enum FromKeeper {
    /// A keeper answers; its processes follow.
    Connected {
        /// Its pid.
        pid: i32,
        /// What keeps its workers apart.
        walls: Vec<Wall>,
    },
    /// It says something.
    Report(Report),
    /// It is gone.
    Lost(String),
    /// There is none, and it is looked for again.
    Absent(String),
}

/// The line.
#[derive(Debug)]
pub(super) struct KeeperLink {
    config: PathBuf,
    runtime: Runtime,
    /// Whether a keeper is started where there is none.
    may_start: bool,
    line: Line,
}

#[derive(Debug)]
enum Line {
    Looking(JoinHandle<Result<(Client, Hello), NoLine>>),
    Open { client: Box<Client>, rotates_logs: bool },
    Closed { look_at: Instant },
}

impl KeeperLink {
    /// Starts to look.
    pub(super) fn open(config: PathBuf, runtime: Runtime, may_start: bool) -> Self {
        Self { config, runtime, may_start, line: Line::Closed { look_at: Instant::now() } }
    }

    /// What comes next. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> FromKeeper {
        loop {
            match &mut self.line {
                Line::Closed { look_at } => {
                    time::sleep_until(*look_at).await;
                    let (config, runtime, may_start) = (self.config.clone(), self.runtime.clone(), self.may_start);
                    self.line = Line::Looking(tokio::spawn(look(config, runtime, may_start)));
                }
                Line::Looking(search) => {
                    let outcome = search.await.unwrap_or_else(|error| Err(error.to_string().into()));
                    match outcome {
                        Ok((client, Hello { pid, walls, rotates_logs, .. })) => {
                            self.line = Line::Open { client: Box::new(client), rotates_logs };
                            return FromKeeper::Connected { pid, walls };
                        }
                        Err(NoLine { problem, look_again }) => {
                            self.line = Line::Closed { look_at: Instant::now() + look_again };
                            return FromKeeper::Absent(problem);
                        }
                    }
                }
                Line::Open { client, .. } => match client.recv().await {
                    Ok(report) => return FromKeeper::Report(report),
                    Err(error) => {
                        self.line = Line::Closed { look_at: Instant::now() };
                        return FromKeeper::Lost(error.to_string());
                    }
                },
            }
        }
    }

    /// Says something; without a keeper it is dropped, because whatever it was about is gone with the keeper.
    pub(super) fn send(&mut self, request: &Request, descriptor: Option<OwnedFd>) {
        if let Line::Open { client, .. } = &mut self.line {
            // A line that is broken says so again when it is listened to, and is then replaced.
            let _ = client.send(request, descriptor);
        }
    }

    /// Has a log made smaller. A keeper that is older than this program cannot: then the worker's next start does it.
    pub(super) fn rotate_log(&mut self, worker: WorkerName) {
        if let Line::Open { rotates_logs: true, .. } = &self.line {
            self.send(&Request::RotateLog { worker }, None);
        }
    }
}

async fn look(config: PathBuf, runtime: Runtime, may_start: bool) -> Result<(Client, Hello), NoLine> {
    let socket = runtime.keeper_socket();
    match Client::connect(&socket).await {
        Ok(found) => return Ok(found),
        // There is one: another could not be started beside it.
        Err(error @ ClientError::OtherVersion(_)) => {
            return Err(NoLine { problem: error.to_string(), look_again: ASK_AGAIN });
        }
        Err(error @ ClientError::Refused(_)) => return Err(error.to_string().into()),
        Err(error) if !may_start => return Err(format!("no keeper answers at {}: {error}", socket.display()).into()),
        Err(_) => {}
    }
    keeper::start_detached(&config, &runtime).await.map_err(|error| error.to_string())?;
    Ok(Client::connect(&socket).await.map_err(|error| error.to_string())?)
}
