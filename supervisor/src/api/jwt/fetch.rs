//! Fetches a small document: one request on a connection of its own, without redirects.

use std::{io, path::Path, time::Duration};

use etl_shared::tls::{Authorities, Server};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};
use url::Url;

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Largest document.
const LARGEST: usize = 256 * 1024;

/// The document at this address.
pub(super) async fn get(url: &Url, authorities: Option<&Path>) -> io::Result<Vec<u8>> {
    match time::timeout(WITHIN, fetch(url, authorities)).await {
        Ok(fetched) => fetched.map_err(|error| io::Error::other(format!("{url}: {error}"))),
        Err(_) => Err(io::Error::other(format!("{url} has not answered for {} seconds", WITHIN.as_secs()))),
    }
}

async fn fetch(url: &Url, authorities: Option<&Path>) -> io::Result<Vec<u8>> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(443);
    // An IPv6 address stands in brackets in a URL and without them for the system.
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    if url.scheme() == "http" {
        return exchange(url, stream).await;
    }
    let authorities = authorities.map_or(Authorities::System, |path| Authorities::File(path.to_owned()));
    exchange(url, authorities.secure(Server::Keys, host, stream).await?).await
}

async fn exchange<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(url: &Url, stream: S) -> io::Result<Vec<u8>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let host = url.port().map_or_else(
        || url.host_str().unwrap_or_default().to_owned(),
        |port| format!("{}:{port}", url.host_str().unwrap_or_default()),
    );
    let request = Request::get(target).header(HOST, host).header(ACCEPT, "application/json");
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        if answer.status() != StatusCode::OK {
            return Err(io::Error::other(format!("the answer is {}, not 200", answer.status().as_u16())));
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await.map_err(io::Error::other)?;
        Ok(body.to_bytes().to_vec())
    };
    let answer = answer.await;
    connection.abort();
    answer
}
