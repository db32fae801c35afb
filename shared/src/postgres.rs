//! The database's address, and connections to it.

use std::{fmt, path::Path};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{
    CancelToken, Client, Config, Connection, Socket,
    config::{Host, SslMode, SslNegotiation},
};

use crate::tls::{Authorities, AuthoritiesError};

mod connector;
mod parameters;

use connector::Connector;
pub use connector::Stream;
use parameters::Parameters;

/// The database's address cannot be used. Its text is not quoted: it holds a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database's URL cannot be read: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, and sslmode=verify-full in it for TLS"
)]
pub struct InvalidDatabaseUrl;

/// Where the database is, and how it is trusted where the address asks for TLS.
#[derive(Clone)]
pub struct Address {
    /// As the client library wants it.
    pub config: Config,
    /// Who must have signed the server's certificate; of no meaning without TLS.
    pub authorities: Authorities,
}

/// There is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server refused, or there is none.
    #[error(transparent)]
    Failed(#[from] tokio_postgres::Error),
    /// The server is not trusted, or there is no talking TLS with it.
    #[error(transparent)]
    Handshake(Box<dyn std::error::Error + Send + Sync>),
    /// The URL asks for TLS and the server has none.
    #[error(
        "the database at {host} offers no TLS, which its URL asks for with sslmode: switch it on there (ssl = on), or leave sslmode out"
    )]
    NotOffered {
        /// Where.
        host: String,
    },
    /// There is nothing to check its certificate with.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

/// Reads a URL. TLS is used where its `sslmode` is `require`, `verify-ca` or `verify-full`, and the certificate and its name are
/// then always checked; `sslrootcert` names a file with the authorities' certificates. With every other `sslmode`, or none, there
/// is no TLS: a try of which nothing is checked would keep out nobody who sits in between.
pub fn parse_url(url: &SecretString) -> Result<Address, InvalidDatabaseUrl> {
    let parameters = Parameters::take(url.expose_secret());
    let mut config: Config = parameters.rest.parse().map_err(|_| InvalidDatabaseUrl)?;
    // A socket of this machine has no need of it and no name to check: as in PostgreSQL's own library.
    let local = !config.get_hosts().is_empty() && config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    if config.get_ssl_mode() != SslMode::Require || local {
        config.ssl_mode(SslMode::Disable);
        config.ssl_negotiation(SslNegotiation::Postgres);
    }
    Ok(Address { config, authorities: parameters.authorities.map_or(Authorities::System, Authorities::File) })
}

/// The URL with the authorities' file in it, where it asks for TLS and does not name one itself.
pub fn with_authorities(url: SecretString, file: &Path) -> SecretString {
    match parse_url(&url) {
        Ok(address) if address.is_encrypted() && address.authorities == Authorities::System => {
            parameters::with_authorities(url.expose_secret(), file).into()
        }
        _ => url,
    }
}

impl Address {
    /// Whether what is sent there can be read on the way.
    pub fn is_encrypted(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    /// Trusts these authorities instead of those that the URL names.
    #[must_use]
    pub fn trusting(mut self, authorities: Option<&str>) -> Self {
        if let Some(text) = authorities {
            self.authorities = Authorities::Text(text.into());
        }
        self
    }

    /// Connects. The second part must be polled, or nothing moves.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Stream>), ConnectError> {
        match self.config.connect(self.connector()?).await {
            Ok(connected) => Ok(connected),
            Err(error) if connector::is_not_offered(&error) => Err(ConnectError::NotOffered { host: self.host() }),
            Err(error) => Err(match connector::refusal(error) {
                Ok(refusal) => ConnectError::Handshake(refusal),
                Err(error) => error.into(),
            }),
        }
    }

    /// Asks the server to give up what a connection to this address is in the middle of.
    pub async fn cancel(&self, token: CancelToken) -> Result<(), ConnectError> {
        Ok(token.cancel_query(self.connector()?).await?)
    }

    fn connector(&self) -> Result<Connector, AuthoritiesError> {
        if !self.is_encrypted() {
            return Ok(Connector::without_tls());
        }
        let mut client = self.authorities.client()?;
        if self.config.get_ssl_negotiation() == SslNegotiation::Direct {
            client.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Connector::new(client))
    }

    /// The first host and its port.
    fn host(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        format!("{host}:{}", self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// `host:port/database`: what may be shown of an address.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.host(), self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.shown(), self.authorities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Address {
        parse_url(&url.to_owned().into()).unwrap()
    }

    #[test]
    fn tls_is_used_where_the_url_insists_on_it_and_nowhere_else() {
        for (url, encrypted) in [
            ("postgres://u:p@h/d", false),
            ("postgres://u:p@h/d?sslmode=disable", false),
            ("postgres://u:p@h/d?sslmode=allow", false),
            ("postgres://u:p@h/d?sslmode=prefer", false),
            ("postgres://u:p@h/d?sslmode=require", true),
            ("postgres://u:p@h/d?sslmode=verify-ca", true),
            ("postgresql://u:p@h/d?connect_timeout=3&sslmode=verify-full&application_name=x", true),
            ("postgres://u:p@h/d?sslmode=require&sslnegotiation=direct", true),
            ("host=h user=u sslmode=require", true),
            ("host=h user=u", false),
            ("postgres:///d?host=/run/postgresql&user=u&sslmode=require", false),
        ] {
            assert_eq!(read(url).is_encrypted(), encrypted, "{url}");
        }
        assert!(parse_url(&"postgres://u@h/d?sslmode=verify-everything".to_owned().into()).is_err());
    }

    #[test]
    fn the_authorities_can_be_named_in_the_url() {
        let address = read("postgres://u:p%3F@h/d?sslrootcert=/etc/our%20ca+b.pem&sslmode=verify-full");
        assert_eq!(address.authorities, Authorities::File("/etc/our ca+b.pem".into()));
        assert_eq!(address.config.get_password(), Some(b"p?".as_slice()));
        assert_eq!(read("postgres://u@h/d?sslrootcert=system&sslmode=verify-full").authorities, Authorities::System);
        assert_eq!(
            read("postgres://h/d?sslmode=require").trusting(Some("pem")).authorities,
            Authorities::Text("pem".into())
        );
    }

    #[test]
    fn a_configured_file_goes_into_the_url_where_it_is_of_use() {
        let with =
            |url: &str| with_authorities(url.to_owned().into(), Path::new("/a b+c.pem")).expose_secret().to_owned();
        for url in ["postgres://u:p@h/d?sslmode=require", "postgres://u:p@h:1/d?a=b&sslmode=verify-ca"] {
            let url = url.replace("a=b", "application_name=b");
            assert_eq!(read(&with(&url)).authorities, Authorities::File("/a b+c.pem".into()), "{url}");
        }
        for url in ["postgres://u:p@h/d", "postgres://u@h/d?sslmode=require&sslrootcert=/own"] {
            assert_eq!(with(url), url);
        }
    }

    #[test]
    fn no_debug_output_shows_the_password() {
        assert!(!format!("{:?}", read("postgres://u:hunter2@h/d")).contains("hunter2"));
    }
}
