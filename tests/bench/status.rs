//! The combined status, asked over the API's unix socket as an operator's program would.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use etl_shared::{
    WorkerName,
    api::{FleetStatus, WorkerState},
};

use crate::outcome::{Doing, Outcome};

const REQUEST: &[u8] =
    b"GET /api/v1/admin/workers/status HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n";

/// The complete body. HTTP 1.0, so that the end of the connection is the end of the body.
pub(crate) fn body(socket: &Path) -> Outcome<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).doing(socket.display())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(REQUEST).doing("ask for the status")?;
    let mut answer = Vec::with_capacity(4 << 20);
    stream.read_to_end(&mut answer).doing("read the status")?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("the API gave no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    if first.split(' ').nth(1) != Some("200") {
        return Err(format!("the API answered {first}").into());
    }
    let announced: Option<usize> = lines.find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let body = answer.split_off(end + 4);
    match announced {
        Some(length) if length != body.len() => Err(format!("{} of {length} bytes came", body.len()).into()),
        _ => Ok(body),
    }
}

pub(crate) fn parse(body: &[u8]) -> Outcome<FleetStatus> {
    serde_json::from_slice(body).doing("understand the status")
}

/// The pids of the workers that are RUNNING.
pub(crate) fn running(status: &FleetStatus) -> BTreeMap<WorkerName, i32> {
    let workers = status.tenants.values().flat_map(|tenant| &tenant.workers);
    let running = workers.filter(|worker| worker.state == WorkerState::Running);
    running.filter_map(|worker| Some((worker.name.clone(), worker.pid?))).collect()
}
