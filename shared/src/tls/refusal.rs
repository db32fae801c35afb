//! Why a server was not trusted, in words that somebody can act upon.

use std::io;

use rustls::{CertificateError, Error, pki_types::ServerName};

/// What is at the other end: each has its own place for the name of the authorities' file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// RabbitMQ, over AMQP.
    Broker,
    /// RabbitMQ's management API.
    Management,
    /// PostgreSQL.
    Database,
    /// Where the platform publishes the keys of its tokens.
    Keys,
}

/// A handshake that came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Refusal {
    words: String,
    #[source]
    source: Error,
}

impl Server {
    /// The error of a handshake with `host`, with advice before it.
    pub(crate) fn explain(self, host: &str, error: io::Error) -> io::Error {
        let kind = error.kind();
        if kind == io::ErrorKind::UnexpectedEof {
            let words = format!("{host} has ended the connection during the TLS handshake: {}", self.where_tls_is());
            return io::Error::new(kind, words);
        }
        match error.downcast::<Error>() {
            Ok(source) => io::Error::new(kind, Refusal { words: self.words(host, &source), source }),
            Err(error) => error,
        }
    }

    fn words(self, host: &str, error: &Error) -> String {
        match error {
            Error::InvalidCertificate(certificate) => self.certificate_words(host, certificate),
            Error::InvalidMessage(_) => format!("{host} answers without TLS: {}", self.where_tls_is()),
            Error::AlertReceived(_) | Error::PeerIncompatible(_) => {
                format!(
                    "{host} cannot agree with us on TLS: it must speak TLS 1.2 or 1.3, and ask for no client certificate"
                )
            }
            _ => format!("no TLS with {host}"),
        }
    }

    fn certificate_words(self, host: &str, error: &CertificateError) -> String {
        match error {
            // The second is an authority with the name of one of ours and another key, as after it was made anew.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "the certificate of {host} was signed by an authority that is not trusted here: name the file with the authority's certificate, {}",
                self.where_authorities_are()
            ),
            CertificateError::NotValidForName => format!("the certificate of {host} is not for this name"),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let expected = match expected {
                    ServerName::DnsName(name) => name.as_ref().to_owned(),
                    _ => host.to_owned(),
                };
                let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
                format!(
                    "the certificate of the server is not for {expected}: it is for {names}; connect by one of its names, or give it a certificate for this one"
                )
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the certificate of {host} has expired: renew it, or set this machine's clock")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet: set this machine's clock, or the server's")
            }
            _ => format!("the certificate of {host} cannot be trusted"),
        }
    }

    const fn where_authorities_are(self) -> &'static str {
        match self {
            Self::Broker => "[broker] ca_file, or cacertfile=FILE in the URL",
            Self::Management => "[broker] ca_file",
            Self::Database => "[database] ca_file, or sslrootcert=FILE in the URL",
            Self::Keys => "[auth.jwt] jwks_ca_file",
        }
    }

    const fn where_tls_is(self) -> &'static str {
        match self {
            Self::Broker => "is this its port for TLS (usually 5671)? Without TLS the URL begins with amqp://",
            Self::Management => "is this its port for TLS (usually 15671)? Without TLS the URL begins with http://",
            Self::Database | Self::Keys => "does it speak TLS at this port?",
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    fn said(server: Server, error: Error) -> String {
        server.explain("db.example", io::Error::new(io::ErrorKind::InvalidData, error)).to_string()
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let certificate = |error| Error::InvalidCertificate(error);
        let wrong_name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("db.example").unwrap(),
            presented: vec!["DnsName(\"other.example\")".to_owned()],
        };
        for (server, error, expected) in [
            (Server::Broker, certificate(CertificateError::UnknownIssuer), "[broker] ca_file"),
            (Server::Database, certificate(CertificateError::UnknownIssuer), "[database] ca_file"),
            (Server::Management, certificate(CertificateError::BadSignature), "[broker] ca_file"),
            (Server::Database, certificate(wrong_name), "not for db.example: it is for DnsName(\"other.example\")"),
            (Server::Database, certificate(CertificateError::Expired), "db.example has expired"),
            (Server::Database, certificate(CertificateError::NotValidYet), "clock"),
            (Server::Broker, Error::InvalidMessage(InvalidMessage::InvalidContentType), "5671"),
            (Server::Management, Error::InvalidMessage(InvalidMessage::InvalidContentType), "15671"),
        ] {
            let said = said(server, error);
            assert!(said.contains(expected), "{said}");
        }
        let ended = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        assert!(Server::Broker.explain("h", ended).to_string().contains("5671"));
    }
}
