//! The socket on which workers tell of messages in recorded traces.
//!
//! Any worker may say anything here, and it is no more than a line in a drawing: what does not read as a record is dropped, and a
//! flood fills the socket's own buffer and nothing else.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use etl_shared::trace::SpanRecord;
use tokio::net::UnixDatagram;

use super::{Span, told};

/// Longest record.
const LONGEST: usize = 4096;

/// The supervisor's end.
#[derive(Debug)]
pub(super) struct WorkersSocket {
    socket: UnixDatagram,
    buffer: Vec<u8>,
}

impl WorkersSocket {
    /// Takes the place of whatever an earlier supervisor left there.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        remove(path)?;
        let socket = UnixDatagram::bind(path)?;
        // Workers are other users; the directory decides who comes here.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { socket, buffer: vec![0; LONGEST] })
    }

    /// The next span that a worker tells of.
    pub(super) async fn next(&mut self) -> io::Result<Span> {
        loop {
            let length = self.socket.recv(&mut self.buffer).await?;
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
