//! TLS: the stack's own listeners, and servers that present any certificate.

use std::path::Path;

use crate::{
    Platform,
    stack::{Endpoints, TlsEndpoints},
};

mod authority;
mod front;

pub use authority::{Authority, Identity};
pub use front::{Front, Speaks};

/// Where the shared stack listens with TLS.
pub fn endpoints() -> &'static TlsEndpoints {
    let tls = Endpoints::shared().tls.as_ref();
    tls.expect("`scripts/stack env` names no TLS ports: the stack is older than they are; take it down and up again")
}

/// The broker's URL with TLS, at this `host:port`.
pub fn amqps(platform: &Platform, address: &str) -> String {
    platform.broker.url().replacen("amqp://", "amqps://", 1).replacen(&platform.broker.address(), address, 1)
}

/// The broker's URL at the stack's own listener with TLS.
pub fn broker_url(platform: &Platform) -> String {
    amqps(platform, &format!("127.0.0.1:{}", endpoints().amqps_port))
}

/// The database's URL at this `host:port`, certificate and name checked against a file.
pub fn verified(platform: &Platform, address: &str, authorities: &Path) -> String {
    let url = platform.database.url().replacen(&platform.database.address(), address, 1);
    format!("{url}?sslmode=verify-full&sslrootcert={}", authorities.display())
}

/// The management API's URL with TLS.
pub fn management_url() -> String {
    let shared = Endpoints::shared();
    let (account, _) = shared.management.rsplit_once('@').expect("MANAGEMENT_URL names a user");
    format!("{}@localhost:{}", account.replacen("http://", "https://", 1), endpoints().management_port)
}
