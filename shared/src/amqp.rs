//! The broker's address, and connections to it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use lapin::{
    Connection, ConnectionProperties,
    uri::{AMQPScheme, AMQPUri},
};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::tls::Authorities;

mod transport;

/// Names the authorities' file in a URL, as in RabbitMQ's own clients.
const CA_PARAMETER: &str = "cacertfile";

/// Largest frame, in bytes, named in every address. lapin sizes both of its socket buffers by it, so this one number
/// decides whether an idle worker costs 0.4 MB or 8 MB; RabbitMQ 4.1 and later refuse anything smaller.
pub const FRAME_MAX: u32 = 8192;

/// Largest frame that RabbitMQ accepts unless it is configured otherwise, in bytes. For a connection that has met a message
/// whose headers do not fit into [`FRAME_MAX`]; it costs some 9 MB.
pub const LARGE_FRAME_MAX: u32 = 131_072;

/// The address cannot be used. The text is not quoted: it holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the broker's URL cannot be read: expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS, where the vhost / is written %2f"
)]
pub struct InvalidAmqpUrl;

/// Where the broker is, and how it is trusted where the address says `amqps`.
#[derive(Clone)]
pub struct Address {
    /// As lapin wants it.
    pub uri: AMQPUri,
    /// Who must have signed the broker's certificate; of no meaning without TLS.
    pub authorities: Authorities,
}

/// Reads a URL and adds what every connection of ours needs: [`FRAME_MAX`] and, unless the URL says otherwise, a heartbeat
/// of 30 seconds and a connection timeout of 10. `cacertfile` in it names a file with the authorities' certificates.
pub fn parse_url(url: &SecretString) -> Result<Address, InvalidAmqpUrl> {
    let mut uri: AMQPUri = url.expose_secret().parse().map_err(|_| InvalidAmqpUrl)?;
    uri.query.frame_max.get_or_insert(FRAME_MAX);
    uri.query.heartbeat.get_or_insert(30);
    uri.query.connection_timeout.get_or_insert(10_000);
    let parsed = Url::parse(url.expose_secret()).map_err(|_| InvalidAmqpUrl)?;
    if let Some(Host::Ipv6(address)) = parsed.host() {
        // lapin would take its own default.
        uri.authority.host = address.to_string();
    }
    Ok(Address { uri, authorities: authorities_of(&parsed) })
}

/// Those that the URL of the broker or of its management API names with `cacertfile`, or the system's.
pub fn authorities_of(url: &Url) -> Authorities {
    let file = url.query_pairs().find(|(name, _)| name == CA_PARAMETER);
    file.map_or(Authorities::System, |(_, path)| Authorities::File(PathBuf::from(path.as_ref())))
}

/// The URL of the broker or of its management API with the authorities' file in it, where it asks for TLS and does not name
/// one itself.
pub fn with_authorities(url: SecretString, file: &Path) -> SecretString {
    let Ok(mut parsed) = Url::parse(url.expose_secret()) else { return url };
    if !matches!(parsed.scheme(), "amqps" | "https") || parsed.query_pairs().any(|(name, _)| name == CA_PARAMETER) {
        return url;
    }
    parsed.query_pairs_mut().append_pair(CA_PARAMETER, &file.to_string_lossy());
    parsed.to_string().into()
}

impl Address {
    /// Whether what is sent there can be read on the way.
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }

    /// Trusts these authorities instead of those that the URL names.
    #[must_use]
    pub fn trusting(mut self, authorities: Option<&str>) -> Self {
        if let Some(text) = authorities {
            self.authorities = Authorities::Text(text.into());
        }
        self
    }

    /// Connects; `name` is how the connection is called in the broker's lists.
    pub async fn connect(&self, name: &str) -> lapin::Result<Connection> {
        transport::connect(self, ConnectionProperties::default().with_connection_name(name.into())).await
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // lapin would show the password.
        write!(formatter, "{} {:?}", shown(&self.uri), self.authorities)
    }
}

/// `host:port/vhost`: what may be shown of an address.
pub fn shown(uri: &AMQPUri) -> String {
    format!("{}:{}/{}", uri.authority.host, uri.authority.port, uri.vhost.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Address {
        parse_url(&url.to_owned().into()).unwrap()
    }

    #[test]
    fn every_address_names_a_small_frame_unless_it_already_names_one() {
        let uri = read("amqp://u:p@localhost:5690/%2f").uri;
        assert_eq!((uri.query.frame_max, uri.query.heartbeat), (Some(FRAME_MAX), Some(30)));
        let uri = read("amqp://u:p@localhost/%2f?frame_max=65536&heartbeat=5").uri;
        assert_eq!((uri.query.frame_max, uri.query.heartbeat), (Some(65536), Some(5)));
        assert!(!shown(&uri).contains('p') || !shown(&uri).contains("u:p"));
    }

    #[test]
    fn an_unusable_address_is_refused_without_showing_its_password() {
        for url in ["http://u:hunter2@localhost", "u:hunter2@localhost", "amqp:u:hunter2@localhost", ""] {
            let error = parse_url(&url.to_owned().into()).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(error.to_string().contains("amqp://"), "{error}");
        }
        assert!(!format!("{:?}", read("amqps://u:hunter2@h/%2f")).contains("hunter2"));
    }

    #[test]
    fn an_address_with_tls_has_its_own_port_and_names_its_authorities() {
        let address = read("amqps://u:p@broker/%2f?cacertfile=/etc/ssl/our%20ca.pem&frame_max=8192");
        assert!(address.is_encrypted());
        assert_eq!(address.uri.authority.port, 5671);
        assert_eq!(address.authorities, Authorities::File("/etc/ssl/our ca.pem".into()));
        assert_eq!(read("amqps://u:p@broker/%2f").authorities, Authorities::System);
        assert!(!read("amqp://u:p@broker/%2f").is_encrypted());
        assert_eq!(read("amqps://u:p@[::1]:5671/%2f").uri.authority.host, "::1");
    }

    #[test]
    fn a_configured_file_goes_into_the_url_where_it_is_of_use() {
        let with =
            |url: &str| with_authorities(url.to_owned().into(), Path::new("/a b+c.pem")).expose_secret().to_owned();
        assert_eq!(read(&with("amqps://u:p%40s@h/%2f")).authorities, Authorities::File("/a b+c.pem".into()));
        assert_eq!(read(&with("amqps://u:p%40s@h/%2f")).uri.authority.userinfo.password, "p@s");
        assert_eq!(with("amqp://u:p@h/%2f"), "amqp://u:p@h/%2f");
        assert_eq!(with("amqps://u:p@h/%2f?cacertfile=/own"), "amqps://u:p@h/%2f?cacertfile=/own");
    }
}
