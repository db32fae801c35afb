//! The API over its real sockets, with a made-up fleet behind it.

mod access;
mod audit;
mod codes;
mod doors;
mod errors;
mod events;
pub(crate) mod fleet;
mod health;
mod logs;
mod metrics;
mod overview;
mod server;
mod session;
mod settings;
mod status;
mod stopping;
mod tags;
mod tokens;
