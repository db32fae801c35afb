//! The brain, seen from the keeper: one at a time, and never waited for.

use std::{
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixStream},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::{Pid, geteuid},
};

use super::{
    packet::{Inbox, Incoming, Outbox},
    protocol::{MAX_PACKET, Report, Request},
};

/// A brain that lets this much pile up is not reading: it is left, and told everything again when it comes back.
const MOST_WAITING: usize = 50_000;

/// A connection that was accepted.
pub(super) struct Peer {
    pub(super) socket: OwnedFd,
    pub(super) pid: Pid,
    /// It has said hello in a version that we speak.
    pub(super) greeted: bool,
    /// The event loop has been asked to tell when there is room to write.
    pub(super) watched_for_room: bool,
    outbox: Outbox,
    inbox: Inbox,
    /// It does not hear us any more; what it has said is still to be read.
    deaf: bool,
}

/// What a peer said.
pub(super) enum Said {
    /// Something that we understand.
    Request(Request, Option<OwnedFd>),
    /// Something that we do not, and why.
    Nonsense(String),
    /// Nothing at the moment.
    Nothing,
    /// It is gone.
    Gone,
}

impl Peer {
    /// Looks at who connected; the error says why it is not let in.
    pub(super) fn admit(connection: UnixStream, socket_path: &Path) -> Result<Self, (UnixStream, String)> {
        let peer = match getsockopt(&connection, PeerCredentials) {
            Ok(peer) => peer,
            Err(errno) => return Err((connection, format!("the peer cannot be identified: {errno}"))),
        };
        let pid = Pid::from_raw(peer.pid());
        let our_group = fs::metadata(socket_path).map(|socket| socket.gid()).ok();
        let in_group = || our_group.is_some_and(|group| group == peer.gid() || supplementary(pid).contains(&group));
        if peer.uid() != geteuid().as_raw() && peer.uid() != 0 && !in_group() {
            return Err((connection, format!("user {} may not speak to this keeper", peer.uid())));
        }
        Ok(Self {
            socket: connection.into(),
            pid,
            greeted: false,
            watched_for_room: false,
            outbox: Outbox::default(),
            inbox: Inbox::new(),
            deaf: false,
        })
    }

    /// Says one thing to a connection that is then closed.
    pub(super) fn turn_away(connection: &UnixStream, detail: String) {
        if let Ok(packet) = serde_json::to_vec(&Report::Refused { detail }) {
            // Whoever does not hear it sees the connection close.
            let _ = Outbox::default().send(connection, packet, None);
        }
    }

    /// Tells the peer something, now or as soon as it reads.
    pub(super) fn tell(&mut self, report: &Report) {
        let Ok(packet) = serde_json::to_vec(report) else { return };
        debug_assert!(packet.len() <= MAX_PACKET, "{report:?}");
        if !self.deaf && self.outbox.send(&self.socket, packet, None).is_err() {
            self.stop_talking();
        }
    }

    /// There is room again.
    pub(super) fn flush(&mut self) {
        if self.outbox.flush(&self.socket).is_err() {
            self.stop_talking();
        }
    }

    fn stop_talking(&mut self) {
        self.deaf = true;
        self.outbox = Outbox::default();
    }

    /// Whether something waits for room.
    pub(super) fn wants_room(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether it lets too much pile up.
    pub(super) fn is_stalled(&self) -> bool {
        self.outbox.len() > MOST_WAITING
    }

    /// Whether it has hung up, though it may have said things that are still to be read.
    pub(super) fn has_hung_up(&self) -> bool {
        let mut look = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        let looked = poll(&mut look, PollTimeout::ZERO);
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
        looked.is_ok() && look[0].revents().is_some_and(|events| events.intersects(gone))
    }

    /// The next thing that it said.
    pub(super) fn hear(&mut self) -> Said {
        match self.inbox.receive(&self.socket) {
            Ok(Incoming::Packet(packet, fd)) => match serde_json::from_slice(&packet) {
                Ok(request) => Said::Request(request, fd),
                Err(error) => Said::Nonsense(format!("a packet that is no request: {error}")),
            },
            Ok(Incoming::TooLarge) => Said::Nonsense(format!("a packet of more than {MAX_PACKET} bytes")),
            Err(Errno::EAGAIN) => Said::Nothing,
            Err(_) => Said::Gone,
        }
    }
}

/// Groups of a process beside its first one; the kernel has let it through the socket's mode for one of them, perhaps.
fn supplementary(pid: Pid) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    groups.split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_process_are_read() {
        let ours: Vec<u32> = nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        assert_eq!(supplementary(Pid::this()), ours);
    }
}
