//! One client that follows, as cheap as it can be: hundreds of them share the machine with what is measured.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What one client has heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The ids of the events, in their order.
    pub(super) ids: Vec<u64>,
    /// From each event until it was here, in microseconds.
    pub(super) delays: Vec<u64>,
    /// The events themselves, where somebody wants to look into them.
    pub(super) text: Option<String>,
    /// What has come of the next message.
    rest: Vec<u8>,
    in_body: bool,
}

/// HTTP 1.0, so that the body is nothing but the stream.
pub(super) fn request(token: &str) -> String {
    format!("GET /api/v1/admin/workers/events HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// Connected, with the stream's first bytes received: from then on it is told everything.
pub(super) async fn connect(address: SocketAddr, token: &str, heard: &mut Heard) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.write_all(request(token).as_bytes()).await.map_err(|error| error.to_string())?;
    while !heard.in_body {
        read(&mut stream, heard).await?;
    }
    Ok(stream)
}

/// Reads what there is; an error at the end of the stream.
pub(super) async fn read(stream: &mut TcpStream, heard: &mut Heard) -> Result<(), String> {
    let mut bytes = [0; 8 * 1024];
    match stream.read(&mut bytes).await {
        Ok(0) => Err(format!("the stream has ended after {} events", heard.ids.len())),
        Ok(length) => heard.take(&bytes[..length], micros()),
        Err(error) => Err(error.to_string()),
    }
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Heard {
    /// Nothing yet.
    pub(super) fn new(keep_text: bool) -> Self {
        Self { text: keep_text.then(String::new), ..Self::default() }
    }

    /// Takes whole messages off what has come at this time.
    pub(super) fn take(&mut self, bytes: &[u8], at: u64) -> Result<(), String> {
        self.rest.extend_from_slice(bytes);
        if !self.in_body {
            let Some(end) = self.rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(()) };
            let head = String::from_utf8_lossy(&self.rest[..end]).into_owned();
            if !head.contains(" 200 ") {
                return Err(head);
            }
            self.rest.drain(..end + 4);
            self.in_body = true;
        }
        while let Some(end) = self.rest.windows(2).position(|bytes| bytes == b"\n\n") {
            let message: Vec<u8> = self.rest.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&message);
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            match (field("event"), field("id").and_then(|id| id.parse::<u64>().ok()), field("data")) {
                (Some("fleet"), Some(id), Some(data)) => {
                    self.ids.push(id);
                    self.delays.push(at.saturating_sub(id));
                    if let Some(text) = &mut self.text {
                        text.push_str(data);
                        text.push('\n');
                    }
                }
                (Some("reset"), _, why) => return Err(format!("something was missed: {why:?}")),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let stream = b"HTTP/1.0 200 OK\r\na: b\r\n\r\nretry: 5\nid: 3\n\n: beat\n\nevent: fleet\nid: 7\ndata: {}\n\n";
        for cut in 1..stream.len() {
            let mut heard = Heard::new(true);
            for bytes in stream.chunks(cut) {
                heard.take(bytes, 9).unwrap();
            }
            assert_eq!((heard.ids, heard.delays, heard.text.unwrap()), (vec![7], vec![2], "{}\n".to_owned()), "{cut}");
        }
    }

    #[test]
    fn a_refusal_and_a_reset_are_errors() {
        assert!(Heard::default().take(b"HTTP/1.0 503 No\r\n\r\n", 1).is_err());
        let mut heard = Heard::default();
        assert!(heard.take(b"HTTP/1.0 200 OK\r\n\r\nevent: reset\ndata: {}\n\n", 1).is_err());
    }
}
