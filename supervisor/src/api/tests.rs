//! The API over its real sockets, with a made-up fleet behind it.

mod access;
mod errors;
pub(crate) mod fleet;
mod health;
mod logs;
mod server;
mod status;
mod stopping;
mod tags;
mod tokens;
