//! TLS to broker, management API and database, and what is refused.

#[path = "tls/by_hand.rs"]
mod by_hand;
#[path = "tls/refused.rs"]
mod refused;
#[path = "tls/supervised.rs"]
mod supervised;
