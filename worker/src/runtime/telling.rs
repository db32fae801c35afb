//! Tells the supervisor of messages that belong to a recorded trace; it exports what is told.
//!
//! A worker that linked an exporter of its own would pay for it in memory and threads, a thousand times. This costs nothing until
//! such a message comes, and one datagram for each, which may be lost.

use std::{
    cell::OnceCell,
    env,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use etl_shared::{
    QueueName,
    environment::{INCARNATION, SPANS_SOCKET, WORKER},
    trace::{Origin, SpanRecord},
};

use super::names::origin;
use crate::job::{Admission, Job};

/// Whom to tell.
pub(super) struct Telling {
    /// `None`: nobody.
    path: Option<PathBuf>,
    socket: OnceCell<Option<UnixDatagram>>,
}

impl Telling {
    /// As the environment says.
    pub(super) fn inherited() -> Self {
        Self { path: env::var_os(SPANS_SOCKET).map(PathBuf::from), socket: OnceCell::new() }
    }

    /// A message is settled: `done`, or given up for a reason.
    pub(super) fn settled(&self, job: &Job, queue: &QueueName, began: SystemTime, outcome: &str, failed: bool) {
        // Nearly every message has no headers at all.
        let Some(path) = self.path.as_ref().filter(|_| job.headers != "{}") else { return };
        let Origin { correlation_id, trace: Some(trace), .. } = origin(job) else { return };
        if !trace.sampled {
            return;
        }
        let Some(socket) = self.socket.get_or_init(open) else { return };
        let variable = |name| env::var(name).unwrap_or_default();
        let kind = match &job.admission {
            Admission::Work(work) => work.data_type.name,
            Admission::Completion => "completion",
            Admission::Refused(..) => "refused",
        };
        #[allow(clippy::disallowed_methods, reason = "the runtime is where the clock is read")]
        let now = SystemTime::now();
        let record = SpanRecord {
            parent: trace.to_string(),
            kind: kind.to_owned(),
            started_us: micros(began),
            ended_us: micros(now),
            queue: queue.to_string(),
            worker: variable(WORKER),
            incarnation: variable(INCARNATION).parse().unwrap_or(0),
            raw_data_id: job.mark.raw_data_id,
            correlation_id,
            outcome: outcome.to_owned(),
            failed,
        };
        // Nobody listens where no traces are exported, and nobody is waited for.
        if let Ok(record) = serde_json::to_vec(&record) {
            let _ = socket.send_to(&record, path);
        }
    }
}

fn open() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
