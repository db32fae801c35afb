//! The API over its real sockets, with a made-up fleet behind it.

mod access;
mod errors;
mod events;
pub(crate) mod fleet;
mod health;
mod logs;
mod overview;
mod server;
mod session;
mod status;
mod stopping;
mod tags;
mod tokens;
