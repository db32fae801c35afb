//! The broker's address as lapin wants it.

use lapin::uri::AMQPUri;
use secrecy::{ExposeSecret, SecretString};

/// Largest frame, in bytes, named in every address. lapin sizes both of its socket buffers by it, so this one number
/// decides whether an idle worker costs 0.4 MB or 8 MB; RabbitMQ 4.1 and later refuse anything smaller.
pub const FRAME_MAX: u32 = 8192;

/// Largest frame that RabbitMQ accepts unless it is configured otherwise, in bytes. For a connection that has met a message
/// whose headers do not fit into [`FRAME_MAX`]; it costs some 9 MB.
pub const LARGE_FRAME_MAX: u32 = 131_072;

/// The address cannot be used. The text is not quoted: it holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the broker's URL cannot be read: expected amqp://USER:PASSWORD@HOST:PORT/VHOST, where the vhost / is written %2f"
)]
pub struct InvalidAmqpUrl;

/// Reads a URL and adds what every connection of ours needs: [`FRAME_MAX`] and, unless the URL says otherwise, a heartbeat
/// of 30 seconds and a connection timeout of 10.
pub fn parse_url(url: &SecretString) -> Result<AMQPUri, InvalidAmqpUrl> {
    let mut uri: AMQPUri = url.expose_secret().parse().map_err(|_| InvalidAmqpUrl)?;
    uri.query.frame_max.get_or_insert(FRAME_MAX);
    uri.query.heartbeat.get_or_insert(30);
    uri.query.connection_timeout.get_or_insert(10_000);
    Ok(uri)
}

/// `host:port/vhost`: what may be shown of an address.
pub fn shown(uri: &AMQPUri) -> String {
    format!("{}:{}/{}", uri.authority.host, uri.authority.port, uri.vhost.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_names_a_small_frame_unless_it_already_names_one() {
        let uri = parse_url(&"amqp://u:p@localhost:5690/%2f".to_owned().into()).unwrap();
        assert_eq!((uri.query.frame_max, uri.query.heartbeat), (Some(FRAME_MAX), Some(30)));
        let uri = parse_url(&"amqp://u:p@localhost/%2f?frame_max=65536&heartbeat=5".to_owned().into()).unwrap();
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
    }
}
