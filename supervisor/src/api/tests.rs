//! The API over its real sockets, with a made-up fleet behind it.

pub(crate) mod fleet;
