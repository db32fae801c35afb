//! Speaks to the running supervisor over its unix socket.

use std::{io, path::PathBuf, time::Duration};

use etl_shared::api::Problem;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, time};

/// How long an answer may take; none of them waits for a worker.
const PATIENCE: Duration = Duration::from_secs(30);

/// A supervisor that may or may not be there.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// No answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no supervisor answers at {}: start it with `systemctl start etl-supervisor`, or by hand with `etl-supervisor run`",
        socket.display()
    )]
    Unreachable {
        /// Where one was looked for.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket is not for this user.
    #[error("you may not use {}: be root, or a member of the group that owns it", socket.display())]
    NotAllowed {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection broke.
    #[error("the supervisor did not finish its answer: it may have been stopped just now")]
    Broken(#[source] hyper::Error),
    /// It took too long.
    #[error("the supervisor has not answered for {} seconds: see its log", PATIENCE.as_secs())]
    Silent,
    /// The supervisor refused.
    #[error("{} ({})", .0.detail, .0.code)]
    Refused(Problem),
    /// The answer has another form: the supervisor is of another version.
    #[error("the supervisor's answer cannot be read: is it of another version than this program?")]
    Unreadable(#[source] serde_json::Error),
}

impl Client {
    /// The supervisor behind this socket.
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        parse(&self.exchange(Method::GET, path, Bytes::new(), None).await?)
    }

    /// Orders; an order without particulars has the body `()`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Unreadable)?;
        parse(&self.exchange(Method::POST, path, body.into(), None).await?)
    }

    /// Replaces what has this entity tag.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        tag: &str,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Unreadable)?;
        parse(&self.exchange(Method::PUT, path, body.into(), Some(tag)).await?)
    }

    /// Removes.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.exchange(Method::DELETE, path, Bytes::new(), None).await.map(|_| ())
    }

    /// The body of an answer that may never end, piece by piece.
    pub async fn stream(&self, path: &str) -> Result<Pieces, ClientError> {
        let answer = time::timeout(PATIENCE, self.send(Method::GET, path, Bytes::new(), None));
        let answer = answer.await.map_err(|_| ClientError::Silent)??;
        if answer.status().is_success() { Ok(Pieces(answer.into_body())) } else { Err(refusal(answer).await) }
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes, tag: Option<&str>) -> Result<Bytes, ClientError> {
        let exchange = async {
            let answer = self.send(method, path, body, tag).await?;
            if !answer.status().is_success() {
                return Err(refusal(answer).await);
            }
            Ok(answer.into_body().collect().await.map_err(ClientError::Broken)?.to_bytes())
        };
        time::timeout(PATIENCE, exchange).await.map_err(|_| ClientError::Silent)?
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        tag: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| {
            let socket = self.socket.clone();
            match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket },
                _ => ClientError::Unreachable { socket, source },
            }
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ClientError::Broken)?;
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        // Paths are ours, and what operators put into them is a number or has been escaped.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(header::HOST, header::HeaderValue::from_static("localhost"));
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(tag) = tag.and_then(|tag| header::HeaderValue::from_str(tag).ok()) {
            headers.insert(header::IF_MATCH, tag);
        }
        sender.send_request(request).await.map_err(ClientError::Broken)
    }
}

/// The rest of an answer.
#[derive(Debug)]
pub struct Pieces(Incoming);

impl Pieces {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.0.frame().await {
            if let Ok(piece) = frame.map_err(ClientError::Broken)?.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

async fn refusal(answer: Response<Incoming>) -> ClientError {
    match answer.into_body().collect().await {
        Ok(body) => parse(&body.to_bytes()).map_or_else(|error| error, ClientError::Refused),
        Err(error) => ClientError::Broken(error),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(ClientError::Unreadable)
}
