//! The socket on which workers tell of messages in recorded traces.
//!
//! Any worker may say anything here, of itself and of others: what it says is marked as its claim, and what does not read as a record
//! is dropped. The kernel holds a few datagrams, and only so many are taken in a second: whoever sends more costs all workers their
//! spans of that second, and the supervisor no more than that.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use etl_shared::trace::SpanRecord;
use tokio::{
    net::UnixDatagram,
    time::{self, Duration, Instant},
};

use super::{Span, told};

/// Longest record.
const LONGEST: usize = 4096;
/// Datagrams that are read in a second, whatever is in them.
const MOST_IN_A_SECOND: u32 = 1_000;
const SECOND: Duration = Duration::from_secs(1);

/// The supervisor's end.
#[derive(Debug)]
pub(super) struct WorkersSocket {
    socket: UnixDatagram,
    buffer: Vec<u8>,
    /// Read since then.
    read: (Instant, u32),
}

impl WorkersSocket {
    /// Takes the place of whatever an earlier supervisor left there.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        remove(path)?;
        let socket = UnixDatagram::bind(path)?;
        // Workers are other users; the directory decides who comes here.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { socket, buffer: vec![0; LONGEST], read: (Instant::now(), 0) })
    }

    /// The next span that a worker tells of.
    pub(super) async fn next(&mut self) -> io::Result<Span> {
        loop {
            if self.read.0.elapsed() >= SECOND {
                self.read = (Instant::now(), 0);
            } else if self.read.1 >= MOST_IN_A_SECOND {
                time::sleep_until(self.read.0 + SECOND).await;
                continue;
            }
            let length = self.socket.recv(&mut self.buffer).await?;
            self.read.1 += 1;
            let record: Option<SpanRecord> = serde_json::from_slice(&self.buffer[..length]).ok();
            if let Some(span) = record.and_then(told) {
                return Ok(span);
            }
        }
    }
}

/// Removes the socket; it need not be there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_floods_the_socket_is_not_listened_to_all_the_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spans.sock");
        let mut socket = WorkersSocket::bind(&path).unwrap();
        let began = std::time::Instant::now();
        let worker = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let flood = std::thread::spawn(move || {
            let mut sent = 0;
            while worker.send_to(b"{}", &path).is_ok() {
                sent += 1;
            }
            sent
        });
        let heard = time::timeout(Duration::from_millis(2_500), socket.next()).await;
        assert!(heard.is_err(), "nothing of it is a span");
        drop((socket, directory));
        let (sent, seconds) = (flood.join().unwrap(), began.elapsed().as_secs() + 1);
        assert!((1_000..=1_000 * (seconds + 1) + 100).contains(&sent), "{sent} in {seconds} seconds");
    }
}
