//! TLS to broker, management API and database: the one place that says how a server is trusted.
//!
//! A server's certificate and its name are always checked, against one file of certificates or, without one, against the
//! system's. There is no way to switch that off, and nothing ever falls back to a connection without TLS.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

mod refusal;

pub use refusal::Server;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The authorities that a server's certificate is checked with.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Authorities {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those in a file (PEM), read for every connection, so that a renewed file needs no restart.
    File(PathBuf),
    /// Those in this text (PEM).
    Text(Arc<str>),
}

/// The authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file is not there, or not readable.
    #[error("the certificates of authorities in {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It has something else in it.
    #[error("{origin} holds no certificate: expected PEM text with {BEGIN}")]
    Empty {
        /// Where it was looked for.
        origin: String,
    },
    /// A certificate is damaged.
    #[error("a certificate in {origin} cannot be used as an authority's")]
    Damaged {
        /// Where it stands.
        origin: String,
    },
    /// There is nothing in the system's directories.
    #[error("the system has no certificates of authorities: install ca-certificates, or name a file with ca_file")]
    NoSystem,
}

impl Authorities {
    /// The certificates of a file as text, and nothing else that may stand in it, such as a key. Fails where one of them could
    /// not be used.
    pub fn text_of(path: &Path) -> Result<String, AuthoritiesError> {
        let text = fs::read_to_string(path)
            .map_err(|source| AuthoritiesError::Unreadable { path: path.to_owned(), source })?;
        let text = certificates_of(&text);
        roots_of(&text, &path.display().to_string())?;
        Ok(text)
    }

    /// The settings of a TLS client that trusts these and nobody else.
    pub fn client(&self) -> Result<ClientConfig, AuthoritiesError> {
        let roots = match self {
            Self::System => system()?,
            Self::File(path) => Arc::new(roots_of(&Self::text_of(path)?, &path.display().to_string())?),
            Self::Text(text) => Arc::new(roots_of(text, "the text that was handed over")?),
        };
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = match builder.with_protocol_versions(&versions) {
            Ok(builder) => builder,
            // Only a provider without any cipher suite for these versions is refused.
            Err(error) => unreachable!("ring has TLS 1.2 and 1.3: {error}"),
        };
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// Makes a connection to `host` one with TLS. What goes wrong is said in words that somebody can act upon.
    pub async fn secure(&self, server: Server, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let client = self.client().map_err(io::Error::other)?;
        // An IPv6 address stands in brackets in a URL.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        let shaken = TlsConnector::from(Arc::new(client)).connect(name, stream).await;
        shaken.map_err(|error| server.explain(bare, error))
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => write!(formatter, "System"),
            Self::File(path) => write!(formatter, "File({})", path.display()),
            Self::Text(text) => write!(formatter, "Text({} bytes)", text.len()),
        }
    }
}

/// The parts of a PEM text that are certificates.
fn certificates_of(text: &str) -> String {
    let mut found = String::new();
    for part in text.split(BEGIN).skip(1) {
        if let Some((body, _)) = part.split_once(END) {
            found.extend([BEGIN, body, END, "\n"]);
        }
    }
    found
}

fn roots_of(text: &str, origin: &str) -> Result<RootCertStore, AuthoritiesError> {
    let damaged = || AuthoritiesError::Damaged { origin: origin.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        roots.add(certificate.map_err(|_| damaged())?).map_err(|_| damaged())?;
    }
    if roots.is_empty() {
        return Err(AuthoritiesError::Empty { origin: origin.to_owned() });
    }
    Ok(roots)
}

/// Read at the first need and kept: there are some hundred of them. Who never needs them does not pay for them.
fn system() -> Result<Arc<RootCertStore>, AuthoritiesError> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = SYSTEM.get() {
        return Ok(roots.clone());
    }
    let mut roots = RootCertStore::empty();
    // One that is damaged among many is no reason to trust none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(AuthoritiesError::NoSystem);
    }
    Ok(SYSTEM.get_or_init(|| Arc::new(roots)).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let error = Authorities::text_of(file.path()).unwrap_err().to_string();
        assert!(error.contains(&file.path().display().to_string()) && error.contains("no certificate"), "{error}");
        fs::write(file.path(), format!("{BEGIN}\nAAAA\n{END}\n")).unwrap();
        let error = Authorities::text_of(file.path()).unwrap_err().to_string();
        assert!(error.contains("cannot be used"), "{error}");
        let error = Authorities::File("/nonexistent/ca.pem".into()).client().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/ca.pem"), "{error}");
    }

    #[test]
    fn only_the_certificates_of_a_file_are_taken_out_of_it() {
        let text = format!("# note\n{BEGIN}\none\n{END}\n-----BEGIN PRIVATE KEY-----\nsecret\n{BEGIN}\ntwo\n{END}");
        assert_eq!(certificates_of(&text), format!("{BEGIN}\none\n{END}\n{BEGIN}\ntwo\n{END}\n"));
    }
}
