//! Small HTTP client: the supervisor's unix socket and TCP port, and the broker's management API.

use std::{io, path::Path, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    authorization: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

/// The answer to it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// `Content-Type`, empty where there is none.
    pub content_type: String,
    /// The whole body.
    pub body: String,
}

impl Call {
    /// `GET`.
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// `POST` with a JSON body.
    pub fn post(path: &str, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    /// `PUT` with a JSON body.
    pub fn put(path: &str, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path) }
    }

    /// `DELETE`.
    pub fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With a bearer token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a name and a password, as `name:password`.
    #[must_use]
    pub fn basic(mut self, name_and_password: &str) -> Self {
        self.authorization = Some(format!("Basic {}", base64(name_and_password.as_bytes())));
        self
    }

    /// Sends it to a unix socket.
    pub async fn to_socket(self, path: &Path) -> io::Result<Reply> {
        self.send(UnixStream::connect(path).await?).await
    }

    /// Sends it to `host:port`.
    pub async fn to_address(self, address: &str) -> io::Result<Reply> {
        self.send(TcpStream::connect(address).await?).await
    }

    fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), authorization: None, headers: Vec::new(), body: None }
    }

    async fn send<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) -> io::Result<Reply> {
        let what = format!("{} {}", self.method, self.path);
        match timeout(PATIENCE, self.exchange(stream)).await {
            Ok(reply) => reply.map_err(|error| io::Error::other(format!("{what}: {error}"))),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("{what}: no answer within {PATIENCE:?}"))),
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) -> hyper::Result<Reply> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(self.method).uri(self.path).header(HOST, "localhost");
        if let Some(authorization) = self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = match self.body {
            Some(value) => {
                request = request.header(CONTENT_TYPE, "application/json");
                value.to_string()
            }
            None => String::new(),
        };
        let request = request.body(Full::new(Bytes::from(body))).expect("method, path and headers are well-formed");
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok(Reply { status, content_type, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

impl Reply {
    /// The body as JSON of this form; fails the test where it is not.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not what was expected ({error}): {self:?}"))
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: u32, place: u32| char::from(ALPHABET[(group >> (6 * place) & 63) as usize]);
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, i| group << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for (i, place) in [3, 2, 1, 0].into_iter().enumerate() {
            text.push(if i > chunk.len() { '=' } else { digit(group, place) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_the_standard_one() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(super::base64(plain.as_bytes()), coded);
        }
    }
}
