//! The socket on which workers say that they are ready, as in `sd_notify(3)`.
//!
//! Who speaks is what the kernel says: the sender's process, or the one that leads its session, for programs that let a helper
//! speak. Anybody else is not heard.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt::PassCred},
    unistd::{Pid, getsid},
};

use super::{
    process_table::{ProcessTable, Token},
    raw::{self, Control},
};

/// Longest message that is read whole; `READY=1` stands well before.
const BUFFER: usize = 4096;
/// So many messages at once: a worker that floods the socket must not keep the keeper from everything else.
const MOST_AT_ONCE: usize = 256;

/// The keeper's end.
pub(super) struct NotifySocket {
    pub(super) socket: OwnedFd,
    buffer: Vec<u8>,
    control: Control,
}

impl NotifySocket {
    /// Takes the place of whatever an earlier keeper left there.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        super::directories::remove_stale(path)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&socket, PassCred, &true)?;
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &UnixAddr::new(path)?)?;
        // Workers are other users; the directory decides who comes here, and the sender's number who is heard.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { socket, buffer: vec![0; BUFFER], control: Control::new() })
    }

    /// Reads what has come; the processes that have become ready.
    pub(super) fn newly_ready(&mut self, table: &mut ProcessTable) -> Vec<Token> {
        let mut ready = Vec::new();
        for _ in 0..MOST_AT_ONCE {
            let message = match raw::receive(&self.socket, &mut self.buffer, &mut self.control) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => break,
                Err(errno) => {
                    tracing::warn!(%errno, "notification not received");
                    break;
                }
            };
            if !says_ready(&self.buffer[..message.length]) {
                continue;
            }
            let Some(token) = message.sender.and_then(|sender| speaker(sender, table)) else {
                tracing::debug!(sender = message.sender.map(Pid::as_raw), "notification of an unknown process");
                continue;
            };
            if let Some(process) = table.get_mut(token)
                && !process.ready
            {
                process.ready = true;
                ready.push(token);
            }
        }
        ready
    }
}

fn speaker(sender: Pid, table: &ProcessTable) -> Option<Token> {
    table.of_pid(sender).or_else(|| table.of_pid(getsid(Some(sender)).ok()?))
}

fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_line_of_its_own() {
        assert!(says_ready(b"READY=1"));
        assert!(says_ready(b"STATUS=warm\nREADY=1\n"));
        assert!(!says_ready(b"STATUS=READY=1"));
        assert!(!says_ready(b"READY=10"));
        assert!(!says_ready(b""));
    }
}
