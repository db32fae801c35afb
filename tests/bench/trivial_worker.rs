//! The smallest worker: says that it was born, then waits for a signal to end it.

use std::{env, fs::OpenOptions, io, io::Write, process};

#[allow(dead_code, reason = "reading a record is the bench's side")]
mod record;

fn main() -> io::Result<()> {
    let at = record::now();
    let pid = i32::try_from(process::id()).unwrap_or(0);
    if let Some(path) = env::var_os(record::PATH_VARIABLE) {
        OpenOptions::new().append(true).open(path)?.write_all(&record::Record { pid, at }.to_bytes())?;
    }
    loop {
        nix::unistd::pause();
    }
}
