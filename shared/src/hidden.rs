//! Memory that holds secrets, kept from the eyes of others.

use std::io;

use nix::sys::{
    prctl::set_dumpable,
    resource::{Resource, setrlimit},
};

/// Neither a core dump nor another process of the same user shows this process's memory from here on. To be called first thing:
/// executing a program makes it visible again.
pub fn hide_memory() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(set_dumpable(false)?)
}
