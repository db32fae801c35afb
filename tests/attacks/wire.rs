//! Requests as bytes, so that they can be wrong, and what comes back.

use std::time::Duration;

use system_tests::refusals::Attempt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Scene;

/// An order that would stop the workers of this tenant.
pub(crate) fn stop(tenant: i64) -> String {
    format!(r#"{{"action":"stop","tenant_id":{tenant}}}"#)
}

/// A request with these header lines and this body.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        text.extend([*header, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    (text + "Connection: close\r\n\r\n" + body).into_bytes()
}

impl Scene {
    /// Everything that comes back until the connection ends; waits no longer than this.
    pub(crate) async fn exchange(&self, bytes: &[u8], within: Duration) -> String {
        let mut stream = TcpStream::connect(self.supervisor.address()).await.expect("the API listens");
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        let read = async {
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                answer.extend_from_slice(&buffer[..length]);
            }
        };
        let ended = timeout(within, read).await.is_ok();
        let text = String::from_utf8_lossy(&answer).into_owned();
        if ended { text } else { format!("{text} (still open)") }
    }

    /// Asks for this again and again and takes none of the answers; whether the connection ends within this time.
    pub(crate) async fn never_reads(&self, request: &str, within: Duration) -> bool {
        let mut stream = TcpStream::connect(self.supervisor.address()).await.expect("the API listens");
        let asked = request.repeat(100);
        // Where the server reads no further this waits, until it hangs up.
        let asking = async { while stream.write_all(asked.as_bytes()).await.is_ok() {} };
        timeout(within, asking).await.is_ok()
    }

    /// Status and code of every answer, such as `401 token_invalid`.
    pub(crate) async fn answers(&self, bytes: &[u8]) -> Vec<String> {
        outcomes(&self.exchange(bytes, Duration::from_secs(20)).await)
    }

    /// Tries it; it is refused when the only answer says so.
    pub(crate) async fn attempt(&self, what: &str, bytes: &[u8]) -> Attempt {
        let answers = self.answers(bytes).await;
        let told = answers.join(", then ");
        match answers.as_slice() {
            [one] if one.starts_with('4') => Attempt::refused(what, told),
            _ => Attempt::succeeded(what, told),
        }
    }
}

/// Status and code of every answer in a stream of them.
pub(crate) fn outcomes(text: &str) -> Vec<String> {
    let answers = text.split("HTTP/1.1 ").skip(1).map(|answer| {
        let status = answer.chars().take(3).collect::<String>();
        let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
        code.map_or(status.clone(), |code| format!("{status} {code}"))
    });
    let found: Vec<String> = answers.collect();
    if found.is_empty() { vec![format!("no answer: {text}")] } else { found }
}
